//! The command line of `pli admin federation`.

use clap::{Args, Subcommand, ValueEnum};

/// `pli admin federation …`.
#[derive(Debug, Subcommand)]
pub enum FederationCommand {
    /// Add a partner, or change what was agreed with it.
    Add(PartnerAddArgs),
    /// List the partners.
    List,
    /// Show one partner.
    Show(ServerNameArgs),
    /// Remove a partner.
    Remove(ServerNameArgs),
    /// Exchange nothing with a partner for now.
    Suspend(ServerNameArgs),
    /// End that.
    Resume(ServerNameArgs),
    /// Walk the way to a server and say what is wrong.
    Check(ServerNameArgs),
    /// When each server was heard of last.
    Status,
    /// Exchange nothing with a server.
    Block(BlockArgs),
    /// End that.
    Unblock(ServerNameArgs),
    /// List the servers with which nothing is exchanged.
    Blocked,
    /// Keys that are never believed.
    #[command(subcommand)]
    BadKeys(BadKeysCommand),
}

/// `pli admin federation bad-keys …`.
#[derive(Debug, Subcommand)]
pub enum BadKeysCommand {
    /// Never believe a key.
    Add(BadKeyArgs),
    /// List them.
    List,
    /// Take a key off the list.
    Remove(KeyArgs),
}

/// `pli admin federation add`.
#[derive(Args, Debug)]
pub struct PartnerAddArgs {
    /// The name of the server.
    pub server: String,
    /// A key that is believed, `ed25519:NAME=BASE64`.
    #[arg(long = "key", value_name = "ID=KEY", conflicts_with = "pin")]
    pub keys: Vec<String>,
    /// Pin the keys that the server publishes now.
    #[arg(long)]
    pub pin: bool,
    /// What is not exchanged.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub deny: Vec<Exchange>,
    /// Rooms must keep Pli's rules.
    #[arg(long)]
    pub room_rules: bool,
    /// A label of its people.
    #[arg(long = "label", value_name = "NAME")]
    pub labels: Vec<String>,
    /// Add it suspended.
    #[arg(long)]
    pub suspended: bool,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

/// What may be exchanged with a partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Exchange {
    /// Profiles of people.
    Profiles,
    /// Published rooms and rooms of spaces.
    PublicRooms,
    /// Aliases.
    Directory,
    /// Files.
    Media,
    /// Who is online.
    Presence,
    /// External people.
    Guests,
}

impl Exchange {
    /// All of them, with the words of the server's interface.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Profiles, "profiles"),
        (Self::PublicRooms, "public_rooms"),
        (Self::Directory, "directory"),
        (Self::Media, "media"),
        (Self::Presence, "presence"),
        (Self::Guests, "guests"),
    ];
}

/// A server and nothing else.
#[derive(Args, Debug)]
pub struct ServerNameArgs {
    /// The name of the server.
    pub server: String,
}

/// `pli admin federation block`.
#[derive(Args, Debug)]
pub struct BlockArgs {
    /// The name of the server.
    pub server: String,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

/// A key and nothing else.
#[derive(Args, Debug)]
pub struct KeyArgs {
    /// The public key.
    pub key: String,
}

/// `pli admin federation bad-keys add`.
#[derive(Args, Debug)]
pub struct BadKeyArgs {
    /// The public key.
    pub key: String,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}
