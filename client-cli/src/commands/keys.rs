//! `pli keys export|import`: the key file format of the specification ("Key exports").

use std::path::{Path, PathBuf};

use matrix_sdk::encryption::RoomKeyImportError;
use serde_json::json;

use crate::args::{KeysArgs, KeysCommand};
use crate::commands::online;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::profile::write_private;
use crate::secret::Source;
use crate::text::messages::Msg;

/// Runs one of the key commands.
///
/// # Errors
/// A wrong passphrase, a file that cannot be read or written.
pub async fn run(context: &Context, command: KeysCommand) -> Result<()> {
    match command {
        KeysCommand::Export(args) => export(context, args).await,
        KeysCommand::Import(args) => import(context, args).await,
    }
}

async fn export(context: &Context, args: KeysArgs) -> Result<()> {
    let ask = [Msg::AskPassphrase, Msg::AskAgain].map(|msg| context.text(msg, &[]));
    let passphrase = source(&args).read_new(&ask[0], &ask[1])?;
    let online = online(context).await?;
    // The library creates files with common rights: it writes beside, in the private profile.
    let beside = context.profile.dir().join(format!("export.{}", std::process::id()));
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = std::sync::Arc::clone(&count);
    let counted = move |_: &_| {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        true
    };
    let written =
        online.client.encryption().export_room_keys(beside.clone(), &passphrase, counted).await;
    let moved = written.map_err(CliError::from).and_then(|()| take(&beside, &args.file));
    let cleaned = std::fs::remove_file(&beside);
    moved?;
    cleaned.map_err(|error| CliError::file(&beside, error))?;
    online.finish().await;
    let count = count.load(std::sync::atomic::Ordering::Relaxed);
    let path = args.file.display().to_string();
    context.answer(
        &json!({"exported": count, "file": path}),
        &context.text(Msg::KeysExported, &[&count.to_string(), &path]),
    )
}

fn take(from: &Path, to: &Path) -> Result<()> {
    let bytes = std::fs::read(from).map_err(|error| CliError::file(from, error))?;
    write_private(to, &bytes)
}

async fn import(context: &Context, args: KeysArgs) -> Result<()> {
    let passphrase = source(&args).read(&context.text(Msg::AskPassphrase, &[]))?;
    let online = online(context).await?;
    let path: PathBuf = args.file.clone();
    let imported = online.client.encryption().import_room_keys(path, &passphrase).await;
    let imported = imported.map_err(|error| match error {
        RoomKeyImportError::Export(error) => CliError::Crypto(Msg::ErrKeyFile, error.to_string()),
        other => CliError::Crypto(Msg::ErrCrypto, other.to_string()),
    })?;
    online.finish().await;
    let (new, total) = (imported.imported_count, imported.total_count);
    context.answer(
        &json!({"imported": new, "total": total}),
        &context.text(Msg::KeysImported, &[&new.to_string(), &total.to_string()]),
    )
}

fn source(args: &KeysArgs) -> Source {
    Source::from_flags(args.passphrase_stdin, args.passphrase_file.as_deref())
}
