//! `pli recover`

use serde_json::json;

use crate::args::{RecoverArgs, SetupArgs};
use crate::commands::setup::{self, Recovery};
use crate::commands::{online, settle};
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::secret::Source;
use crate::sync;
use crate::text::messages::Msg;
use zeroize::Zeroizing;

/// Unlocks the account's secrets with the recovery key, or makes a new key.
///
/// # Errors
/// A wrong key, an account without one, a refusal.
pub async fn run(context: &Context, args: RecoverArgs) -> Result<()> {
    if args.new_key { new_key(context, args).await } else { recover(context, &args).await }
}

async fn recover(context: &Context, args: &RecoverArgs) -> Result<()> {
    let source = Source::from_flags(args.recovery_key_stdin, args.recovery_key_file.as_deref());
    let key = source.read(&context.text(Msg::AskRecoveryKey, &[]))?;
    let online = online(context).await?;
    online.client.encryption().recovery().recover_and_fix_backup(key.trim()).await?;
    // Tells the server that the account has signed this device, and hears what came of it.
    sync::refresh(&online.client).await?;
    settle(&online.client).await;
    online.finish().await;
    context.answer(&json!({"recovered": true}), &context.text(Msg::RecoveryDone, &[]))
}

async fn new_key(context: &Context, args: RecoverArgs) -> Result<()> {
    let online = online(context).await?;
    let encryption = online.client.encryption();
    let complete = encryption.cross_signing_status().await.is_some_and(|s| s.is_complete());
    if !complete {
        return Err(CliError::Crypto(Msg::ErrMissingSecrets, String::new()));
    }
    let key = if encryption.secret_storage().is_enabled().await? {
        encryption.recovery().reset_key().await?
    } else {
        encryption.recovery().enable().wait_for_backups_to_upload().await?
    };
    sync::refresh(&online.client).await?;
    online.finish().await;
    let setup = SetupArgs {
        device_name: None,
        recovery_key_file: args.recovery_key_file,
        no_recovery: false,
    };
    let mut answer = json!({});
    setup::hand_over(context, &Recovery::Made(Zeroizing::new(key)), &setup, &mut answer)?;
    context.answer(&answer, "")
}
