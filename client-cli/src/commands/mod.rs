//! One file per verb.

mod admin;
mod call;
mod chat;
mod completions;
mod devices;
mod federation;
mod help;
mod history;
mod keys;
mod listen;
mod login;
mod logout;
mod moderation;
mod profiles;
mod recover;
mod register;
mod room;
mod send;
mod setup;
mod verify;
mod whoami;

use std::time::Duration;

use matrix_sdk::Client;

use crate::args::Command;
use crate::connection;
use crate::context::Context;
use crate::error::Result;
use crate::sync;

/// How long a command waits at its end for room keys to reach the backup.
const BACKUP_PATIENCE: Duration = Duration::from_secs(10);

/// Runs one command.
///
/// # Errors
/// Whatever stopped it.
pub async fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Register(args) => register::run(context, args).await,
        Command::Login(args) => login::run(context, args).await,
        Command::Logout => logout::run(context).await,
        Command::Whoami => whoami::run(context).await,
        Command::Room(command) => room::run(context, command).await,
        Command::Send(args) => send::run(context, args).await,
        Command::Listen(args) => listen::run(context, args).await,
        Command::History(args) => history::run(context, args).await,
        Command::Chat(args) => chat::run(context, args).await,
        Command::Verify(args) => verify::run(context, args).await,
        Command::Recover(args) => recover::run(context, args).await,
        Command::Keys(command) => keys::run(context, command).await,
        Command::Call(command) => call::run(context, command).await,
        Command::Admin(command) => admin::run(context, command).await,
        Command::Devices => devices::run(context).await,
        Command::Profiles(command) => profiles::run(context, &command),
        Command::Completions(args) => completions::run(context, &args),
        Command::Help(args) => help::run(context, &args),
    }
}

/// A session that is up to date and has its turn with the local store.
struct Online<G> {
    client: Client,
    turn: G,
}

/// Resumes the session, takes the turn and takes in what the server has to tell.
async fn online(context: &Context) -> Result<Online<impl Drop + use<>>> {
    let client = connection::resume(&context.profile).await?;
    let turn = connection::turn(&client).await?;
    sync::refresh(&client).await?;
    client.encryption().wait_for_e2ee_initialization_tasks().await;
    Ok(Online { client, turn })
}

impl<G> Online<G> {
    /// Lets the room keys of this command reach the backup, then gives the turn back.
    async fn finish(self) {
        settle(&self.client).await;
        drop(self.turn);
    }
}

/// Waits, not forever, until new room keys are in the server's backup.
///
/// A failure is no failure of the command: the keys stay marked and go with the next one.
async fn settle(client: &Client) {
    let backups = client.encryption().backups();
    if !backups.are_enabled().await {
        return;
    }
    match tokio::time::timeout(BACKUP_PATIENCE, backups.wait_for_steady_state()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "room keys are not backed up yet"),
        Err(_) => tracing::warn!("room keys are not backed up yet: time-out"),
    }
}
