//! `pli whoami`

use serde_json::json;

use crate::commands::online;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::session::Session;
use crate::text::messages::Msg;

/// Says who is signed in, and whether this device is verified.
///
/// # Errors
/// No session, or one that the server ended.
pub async fn run(context: &Context) -> Result<()> {
    let session = Session::load(&context.profile)?;
    let online = online(context).await?;
    let me = online.client.whoami().await?;
    let device = online.client.encryption().get_own_device().await;
    let verified = device
        .map_err(|error| CliError::Crypto(Msg::ErrCrypto, error.to_string()))?
        .is_some_and(|device| device.is_cross_signed_by_owner());
    let (user, device) = (me.user_id.to_string(), session.device_id.to_string());
    let server = session.homeserver.to_string();
    let json = json!({
        "user_id": user, "device_id": device, "homeserver": server,
        "profile": context.profile.name, "verified": verified,
        "recovery": format!("{:?}", online.client.encryption().recovery().state()).to_lowercase(),
    });
    let state = if verified { Msg::WhoamiVerified } else { Msg::WhoamiUnverified };
    let lines = [
        context.text(Msg::WhoamiUser, &[&user]),
        context.text(Msg::WhoamiDevice, &[&device]),
        context.text(Msg::WhoamiServer, &[&server]),
        context.text(state, &[]),
    ];
    online.finish().await;
    context.answer(&json, &lines.join("\n"))
}
