//! What follows a registration or a first sign-in: the session file, cross-signing, recovery key.

use matrix_sdk::Client;
use matrix_sdk::encryption::recovery::RecoveryState;
use matrix_sdk::ruma::api::client::uiaa::{
    AuthData, MatrixUserIdentifier, Password, UserIdentifier,
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::args::SetupArgs;
use crate::commands::settle;
use crate::connection;
use crate::context::{Context, line};
use crate::error::{CliError, Result};
use crate::profile::{make_private, write_private};
use crate::session::{Session, StoreKey};
use crate::sync;
use crate::text::messages::Msg;

/// The name of a device when none is given.
pub const DEVICE_NAME: &str = "pli";

/// What became of the recovery key.
pub enum Recovery {
    /// Made now; the person must keep it.
    Made(Zeroizing<String>),
    /// The account has one already.
    Exists,
    /// Not wanted.
    Skipped,
    /// The server refused; why.
    Failed(String),
}

/// Saves the session of a client that has just signed in and prepares its encryption.
///
/// # Errors
/// When the session cannot be saved. A server that refuses cross-signing or backups does not undo
/// the sign-in.
pub async fn finish_sign_in(
    context: &Context,
    client: &Client,
    store_key: StoreKey,
    password: &Zeroizing<String>,
    args: &SetupArgs,
) -> Result<Recovery> {
    let sdk = client.matrix_auth().session().ok_or(CliError::NotLoggedIn)?;
    let session = Session {
        homeserver: client.homeserver(),
        user_id: sdk.meta.user_id,
        device_id: sdk.meta.device_id,
        access_token: Zeroizing::new(sdk.tokens.access_token),
        store_key,
    };
    session.save(&context.profile)?;
    make_private(&context.profile.store_dir())?;
    connection::share_store(client).await?;
    let turn = connection::turn(client).await?;
    let first = sync::refresh(client).await?;
    // The first `pli listen --since-start` prints what comes from now on.
    write_private(&context.profile.listen_cursor_file(), first.next_batch.as_bytes())?;
    client.encryption().wait_for_e2ee_initialization_tasks().await;
    let recovery = match prepare(client, password, args.no_recovery).await {
        Ok(recovery) => recovery,
        Err(error) => Recovery::Failed(error.text(context.lang)),
    };
    sync::refresh(client).await?;
    settle(client).await;
    drop(turn);
    Ok(recovery)
}

/// Makes the account's signing keys and its recovery key where they do not exist.
async fn prepare(client: &Client, password: &str, no_recovery: bool) -> Result<Recovery> {
    bootstrap(client, password).await?;
    if no_recovery {
        return Ok(Recovery::Skipped);
    }
    let exists = client.encryption().secret_storage().is_enabled().await?;
    if exists || client.encryption().recovery().state() == RecoveryState::Incomplete {
        return Ok(Recovery::Exists);
    }
    let key = client.encryption().recovery().enable().wait_for_backups_to_upload().await?;
    Ok(Recovery::Made(Zeroizing::new(key)))
}

/// Uploads cross-signing keys, with the password when the server asks for it again.
async fn bootstrap(client: &Client, password: &str) -> Result<()> {
    let encryption = client.encryption();
    let Err(error) = encryption.bootstrap_cross_signing_if_needed(None).await else {
        return Ok(());
    };
    let (Some(uiaa), Some(user)) = (error.as_uiaa_response(), client.user_id()) else {
        return Err(error.into());
    };
    let user = UserIdentifier::Matrix(MatrixUserIdentifier::new(user.to_string()));
    let mut auth = Password::new(user, password.to_owned());
    auth.session.clone_from(&uiaa.session);
    Ok(encryption.bootstrap_cross_signing(Some(AuthData::Password(auth))).await?)
}

/// Gives the recovery key to the person, once, and adds what happened to the answer for scripts.
///
/// # Errors
/// When the file or standard output cannot be written.
pub fn hand_over(
    context: &Context,
    recovery: &Recovery,
    args: &SetupArgs,
    answer: &mut Value,
) -> Result<()> {
    match (recovery, &args.recovery_key_file) {
        (Recovery::Made(key), Some(path)) => {
            write_private(path, format!("{}\n", key.as_str()).as_bytes())?;
            let path = path.display().to_string();
            context.note(Msg::RecoveryKeyWritten, &[&path]);
            answer["recovery"] = json!("made");
            answer["recovery_key_file"] = json!(path);
        }
        (Recovery::Made(key), None) => {
            answer["recovery"] = json!("made");
            if context.json {
                answer["recovery_key"] = json!(key.as_str());
            } else {
                line(&context.text(Msg::RecoveryKeyShown, &[]))?;
                line(&format!("\n    {}\n", key.as_str()))?;
            }
        }
        (Recovery::Exists, _) => {
            context.note(Msg::RecoveryExists, &[]);
            answer["recovery"] = json!("exists");
        }
        (Recovery::Skipped, _) => answer["recovery"] = json!("skipped"),
        (Recovery::Failed(why), _) => {
            context.note(Msg::RecoverySetupFailed, &[why]);
            answer["recovery"] = json!("failed");
            answer["recovery_error"] = json!(why);
        }
    }
    Ok(())
}

/// Refuses to sign in over an existing session and clears what a failed attempt left.
///
/// # Errors
/// `AlreadyLoggedIn`, or a file error.
pub fn fresh_profile(context: &Context) -> Result<()> {
    match Session::load(&context.profile) {
        Ok(session) => Err(CliError::AlreadyLoggedIn(session.user_id.to_string())),
        Err(CliError::NotLoggedIn) => context.profile.delete(),
        Err(error) => Err(error),
    }
}
