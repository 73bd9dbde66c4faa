//! The command line as types; what each part is called for people stands in `text/help.rs`.

mod federation;
mod moderation;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::federation::{
    BadKeysCommand, Exchange, FederationCommand, PartnerAddArgs, ServerNameArgs,
};
pub use self::moderation::{NoticeCommand, ReportsCommand};
use crate::lang::Lang;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "pli", version, disable_help_subcommand = true, disable_help_flag = true)]
pub struct Cli {
    /// Which account of this machine.
    #[arg(
        long,
        global = true,
        env = "PLI_PROFILE",
        default_value = "default",
        value_name = "NAME"
    )]
    pub profile: String,
    /// Machine-readable answers.
    #[arg(long, global = true)]
    pub json: bool,
    /// Language of the texts.
    #[arg(long, global = true, value_enum, value_name = "fr|en")]
    pub lang: Option<Lang>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant)] // parsed once
pub enum Command {
    /// Create an account.
    Register(RegisterArgs),
    /// Sign in on this machine.
    Login(LoginArgs),
    /// Sign out and delete the profile.
    Logout,
    /// Who is signed in.
    Whoami,
    /// Rooms.
    #[command(subcommand)]
    Room(RoomCommand),
    /// Send a message or a file.
    Send(SendArgs),
    /// Print messages as they come.
    Listen(ListenArgs),
    /// Print the past of a room.
    History(HistoryArgs),
    /// Full-screen chat.
    Chat(ChatArgs),
    /// Verify a person or a device by emojis.
    Verify(VerifyArgs),
    /// Get the keys back with the recovery key.
    Recover(RecoverArgs),
    /// Room keys in files.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Calls.
    #[command(subcommand)]
    Call(CallCommand),
    /// Administration of a Pli server.
    #[command(subcommand)]
    Admin(AdminCommand),
    /// The devices of the account.
    Devices,
    /// The profiles of this machine.
    #[command(subcommand)]
    Profiles(ProfilesCommand),
    /// Shell completions.
    Completions(CompletionsArgs),
    /// Help.
    Help(HelpArgs),
}

/// How the homeserver is named.
#[derive(Args, Debug)]
pub struct ServerArgs {
    /// Server name or URL.
    #[arg(long, env = "PLI_HOMESERVER", value_name = "SERVER")]
    pub homeserver: Option<String>,
}

/// Where the password comes from.
#[derive(Args, Debug)]
pub struct PasswordArgs {
    /// From standard input.
    #[arg(long, conflicts_with = "password_file")]
    pub password_stdin: bool,
    /// From a file.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// What happens with encryption at the first sign-in.
#[derive(Args, Debug)]
pub struct SetupArgs {
    /// Name of this device.
    #[arg(long, value_name = "NAME")]
    pub device_name: Option<String>,
    /// Where a new recovery key goes.
    #[arg(long, value_name = "FILE")]
    pub recovery_key_file: Option<PathBuf>,
    /// No recovery key.
    #[arg(long, conflicts_with = "recovery_key_file")]
    pub no_recovery: bool,
}

/// `pli register`.
#[derive(Args, Debug)]
pub struct RegisterArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    /// E-mail address.
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// User name, where the server lets one choose.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    #[command(flatten)]
    pub password: PasswordArgs,
    /// Where the code of the mail comes from.
    #[arg(long, value_name = "FILE")]
    pub code_file: Option<PathBuf>,
    /// Registration token.
    #[arg(long, value_name = "TOKEN", num_args = 0..=1, default_missing_value = "")]
    pub token: Option<String>,
    /// Accept the terms without a question.
    #[arg(long)]
    pub accept_terms: bool,
    #[command(flatten)]
    pub setup: SetupArgs,
}

/// `pli login`.
#[derive(Args, Debug)]
pub struct LoginArgs {
    /// User ID, user name or e-mail address.
    pub user: Option<String>,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub password: PasswordArgs,
    #[command(flatten)]
    pub setup: SetupArgs,
}

/// `pli room …`.
#[derive(Debug, Subcommand)]
pub enum RoomCommand {
    /// Make a room.
    Create(RoomCreateArgs),
    /// List the rooms.
    List,
    /// Join, or accept an invitation.
    Join(RoomArgs),
    /// Invite people.
    Invite(RoomInviteArgs),
    /// Leave, or decline an invitation.
    Leave(RoomLeaveArgs),
    /// List the members.
    Members(RoomArgs),
}

/// `pli room create`.
#[derive(Args, Debug)]
pub struct RoomCreateArgs {
    /// Name of the room.
    pub name: Option<String>,
    /// Topic.
    #[arg(long)]
    pub topic: Option<String>,
    /// Local part of an alias.
    #[arg(long)]
    pub alias: Option<String>,
    /// Anyone may join.
    #[arg(long)]
    pub public: bool,
    /// A conversation with one person.
    #[arg(long, value_name = "USER", conflicts_with = "public")]
    pub direct: Option<String>,
    /// Whom to invite.
    #[arg(long, value_name = "USER")]
    pub invite: Vec<String>,
    /// Without encryption.
    #[arg(long)]
    pub unencrypted: bool,
}

/// A room and nothing else.
#[derive(Args, Debug)]
pub struct RoomArgs {
    /// Room ID, alias, name, or the user ID of a person.
    pub room: String,
}

/// `pli room invite`.
#[derive(Args, Debug)]
pub struct RoomInviteArgs {
    pub room: String,
    /// User IDs.
    #[arg(required = true)]
    pub users: Vec<String>,
}

/// `pli room leave`.
#[derive(Args, Debug)]
pub struct RoomLeaveArgs {
    pub room: String,
    /// Forget the room too.
    #[arg(long)]
    pub forget: bool,
}

/// `pli send`.
#[derive(Args, Debug)]
pub struct SendArgs {
    pub room: String,
    /// The text; `-` reads standard input.
    pub text: Option<String>,
    /// A file to send.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The text is HTML.
    #[arg(long)]
    pub html: bool,
    /// A notice, for programs.
    #[arg(long)]
    pub notice: bool,
    /// Reply to this event.
    #[arg(long, value_name = "EVENT")]
    pub reply_to: Option<String>,
    /// Transaction ID, for safe repetition.
    #[arg(long, value_name = "ID")]
    pub txn_id: Option<String>,
    /// Wait until the message comes back.
    #[arg(long)]
    pub wait_ack: bool,
}

/// `pli listen`.
#[derive(Args, Debug)]
pub struct ListenArgs {
    /// Only these rooms.
    pub rooms: Vec<String>,
    /// Begin with what came since the last time.
    #[arg(long)]
    pub since_start: bool,
    /// Stop after so many events.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Stop after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// Save files here.
    #[arg(long, value_name = "DIR")]
    pub download: Option<PathBuf>,
    /// State events too.
    #[arg(long)]
    pub all: bool,
}

/// `pli history`.
#[derive(Args, Debug)]
pub struct HistoryArgs {
    pub room: String,
    /// How many messages.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: u32,
    /// Save files here.
    #[arg(long, value_name = "DIR")]
    pub download: Option<PathBuf>,
    /// State events too.
    #[arg(long)]
    pub all: bool,
}

/// `pli chat`.
#[derive(Args, Debug)]
pub struct ChatArgs {
    pub room: String,
}

/// `pli verify`.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// Whom; nobody means: wait for a request.
    pub user: Option<String>,
    /// One device of that person.
    pub device: Option<String>,
    /// Confirm without a question.
    #[arg(long)]
    pub yes: bool,
    /// Give up after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub timeout: u64,
}

/// `pli recover`.
#[derive(Args, Debug)]
pub struct RecoverArgs {
    /// From standard input.
    #[arg(long, conflicts_with = "recovery_key_file")]
    pub recovery_key_stdin: bool,
    /// From a file.
    #[arg(long, value_name = "FILE")]
    pub recovery_key_file: Option<PathBuf>,
    /// Make a new recovery key instead.
    #[arg(long, conflicts_with = "recovery_key_stdin")]
    pub new_key: bool,
}

/// `pli keys …`.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Write the room keys to a file.
    Export(KeysArgs),
    /// Read room keys from a file.
    Import(KeysArgs),
}

/// `pli keys export|import`.
#[derive(Args, Debug)]
pub struct KeysArgs {
    /// The file.
    pub file: PathBuf,
    /// Passphrase from standard input.
    #[arg(long, conflicts_with = "passphrase_file")]
    pub passphrase_stdin: bool,
    /// Passphrase from a file.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// `pli call …`.
#[derive(Debug, Subcommand)]
pub enum CallCommand {
    /// Start a call in a room.
    Start(CallStartArgs),
}

/// `pli call start`.
#[derive(Args, Debug)]
pub struct CallStartArgs {
    pub room: String,
    /// With cameras.
    #[arg(long)]
    pub video: bool,
    /// Conference server.
    #[arg(long, env = "PLI_CALL_DOMAIN", value_name = "DOMAIN")]
    pub domain: Option<String>,
}

/// `pli admin …`.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// E-mail domains that may register.
    #[command(subcommand)]
    Domains(DomainsCommand),
    /// The servers that this one speaks with.
    #[command(subcommand)]
    Federation(FederationCommand),
    /// Notices of the server.
    #[command(subcommand)]
    Notice(NoticeCommand),
    /// What people have reported.
    #[command(subcommand)]
    Reports(ReportsCommand),
}

/// `pli admin domains …`.
#[derive(Debug, Subcommand)]
pub enum DomainsCommand {
    /// Allow, or change, a domain.
    Add(DomainAddArgs),
    /// List the domains.
    List,
    /// Remove a domain.
    Remove(DomainRemoveArgs),
    /// What would an address get?
    Check(DomainCheckArgs),
}

/// `pli admin domains add`.
#[derive(Args, Debug)]
pub struct DomainAddArgs {
    /// The domain.
    pub domain: String,
    /// Sub-domains too.
    #[arg(long)]
    pub sub_domains: bool,
    /// Label shown in display names.
    #[arg(long, value_name = "NAME")]
    pub organisation: Option<String>,
    /// Agents, guests, or nobody.
    #[arg(long, value_enum, default_value = "agent")]
    pub kind: DomainKind,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Only say what would change.
    #[arg(long)]
    pub dry_run: bool,
}

/// `pli admin domains remove`.
#[derive(Args, Debug)]
pub struct DomainRemoveArgs {
    pub domain: String,
    #[arg(long)]
    pub dry_run: bool,
}

/// `pli admin domains check`.
#[derive(Args, Debug)]
pub struct DomainCheckArgs {
    /// The e-mail address.
    pub address: String,
}

/// What the people of a domain may be.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DomainKind {
    /// Full members.
    Agent,
    /// Invited people.
    Guest,
    /// Nobody.
    Blocked,
}

impl DomainKind {
    /// The word of the server's interface.
    pub fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Guest => "guest",
            Self::Blocked => "blocked",
        }
    }
}

/// `pli profiles …`.
#[derive(Debug, Subcommand)]
pub enum ProfilesCommand {
    /// List the profiles.
    List,
}

/// `pli completions`.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell.
    pub shell: clap_complete::Shell,
}

/// `pli help`.
#[derive(Args, Debug)]
pub struct HelpArgs {
    /// The command, word by word.
    pub words: Vec<String>,
}
