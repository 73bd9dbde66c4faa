//! `pli login`

use matrix_sdk::Client;
use matrix_sdk::ruma::api::client::uiaa::{
    EmailUserIdentifier, MatrixUserIdentifier, UserIdentifier,
};
use serde_json::json;
use zeroize::Zeroizing;

use crate::args::LoginArgs;
use crate::commands::setup::{self, DEVICE_NAME};
use crate::connection;
use crate::context::Context;
use crate::error::Result;
use crate::secret::{self, Source};
use crate::session::Session;
use crate::text::messages::Msg;

/// Signs in with a password and prepares encryption on this device.
///
/// # Errors
/// A profile in use, a wrong password, a server that cannot be reached.
pub async fn run(context: &Context, args: LoginArgs) -> Result<()> {
    setup::fresh_profile(context)?;
    let user = match args.user {
        Some(user) => user,
        None => secret::ask(&context.text(Msg::AskUser, &[]))?,
    };
    let store_key = Session::new_store_key();
    let server = args.server.homeserver.as_deref();
    let client = connection::connect(server, Some(&user), &context.profile, &store_key).await?;
    let source =
        Source::from_flags(args.password.password_stdin, args.password.password_file.as_deref());
    let password = source.read(&context.text(Msg::AskPassword, &[]))?;
    let device = args.setup.device_name.as_deref().unwrap_or(DEVICE_NAME);
    if let Err(error) = sign_in(&client, &user, &password, device).await {
        context.profile.delete()?;
        return Err(error);
    }
    let recovery =
        setup::finish_sign_in(context, &client, store_key, &password, &args.setup).await?;
    let session = Session::load(&context.profile)?;
    let (user, device) = (session.user_id.to_string(), session.device_id.to_string());
    let mut answer = json!({
        "user_id": user, "device_id": device, "homeserver": session.homeserver,
        "profile": context.profile.name,
    });
    setup::hand_over(context, &recovery, &args.setup, &mut answer)?;
    context.answer(&answer, &context.text(Msg::LoginDone, &[&user, &device]))
}

async fn sign_in(
    client: &Client,
    user: &str,
    password: &Zeroizing<String>,
    device: &str,
) -> Result<()> {
    client
        .matrix_auth()
        .login_identifier(identifier(user), password)
        .initial_device_display_name(device)
        .send()
        .await?;
    Ok(())
}

/// `@user:server` and `user` are names; `user@domain` is an e-mail address.
fn identifier(user: &str) -> UserIdentifier {
    if !user.starts_with('@') && user.contains('@') {
        UserIdentifier::Email(EmailUserIdentifier::new(user.to_lowercase()))
    } else {
        UserIdentifier::Matrix(MatrixUserIdentifier::new(user.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_no_user_id() {
        assert!(matches!(identifier("a@b.example"), UserIdentifier::Email(_)));
        assert!(matches!(identifier("@a:b.example"), UserIdentifier::Matrix(_)));
        assert!(matches!(identifier("alice"), UserIdentifier::Matrix(_)));
    }
}
