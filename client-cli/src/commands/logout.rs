//! `pli logout`

use serde_json::json;

use crate::connection;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::session::Session;
use crate::text::messages::Msg;

/// Ends the session on the server and deletes the profile's files.
///
/// The files go even when the server cannot be told: the person wants them gone.
///
/// # Errors
/// No session, or files that cannot be deleted.
pub async fn run(context: &Context) -> Result<()> {
    Session::load(&context.profile)?;
    let told = tell_server(context).await;
    context.profile.delete()?;
    let server_told = match &told {
        Ok(()) | Err(CliError::SessionEnded) => true,
        Err(error) => {
            context.note(Msg::LogoutServerUnreachable, &[&error.text(context.lang)]);
            false
        }
    };
    let name = context.profile.name.as_str();
    context.answer(
        &json!({"profile": name, "server_told": server_told}),
        &context.text(Msg::LogoutDone, &[name]),
    )
}

async fn tell_server(context: &Context) -> Result<()> {
    let client = connection::resume(&context.profile).await?;
    client.matrix_auth().logout().await?;
    Ok(())
}
