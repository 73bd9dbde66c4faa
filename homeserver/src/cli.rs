//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// The Pli homeserver: a Matrix server for public administrations.
///
/// Without a configuration file it runs with defaults, in ./pli-data, on http://127.0.0.1:8008.
#[derive(Debug, Parser)]
#[command(name = "pli-homeserver", version, about)]
pub struct Cli {
    /// Where the settings come from.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Where the settings come from; flags override the environment, the environment the file.
#[derive(Args, Clone, Debug, Default)]
pub struct SettingsArgs {
    /// Configuration file (TOML)
    #[arg(long, global = true, env = "PLI_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Name of the server, as in user ids
    #[arg(long, global = true, value_name = "NAME")]
    pub server_name: Option<String>,
    /// Address and port to listen on; may be given several times
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    pub listen: Vec<String>,
    /// Directory of everything the server keeps
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Any key of the configuration, such as registration.enabled=false
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// What to do; `run` if nothing is said.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Run,
    /// Print every key of the configuration with its documentation, as a TOML file
    Config(ConfigArgs),
    /// Verify everything in the store that can be verified
    Check,
    /// Write a backup to a new file; the server may be running
    Backup(BackupArgs),
    /// Restore a backup into a data directory without a store
    Restore(RestoreArgs),
    /// Make a new signing key and write it to a new file
    GenerateKey(GenerateKeyArgs),
    /// Sign with a new key from the next start on; the old one stays published. The server must be stopped
    RotateKey,
}

/// `config`
#[derive(Args, Debug)]
pub struct ConfigArgs {
    /// The reference of the documentation instead, in Markdown
    #[arg(long)]
    pub markdown: bool,
}

/// `backup`
#[derive(Args, Debug)]
pub struct BackupArgs {
    /// The file to write; it must not exist
    pub file: PathBuf,
}

/// `restore`
#[derive(Args, Debug)]
pub struct RestoreArgs {
    /// The backup
    pub file: PathBuf,
}

/// `generate-key`
#[derive(Args, Debug)]
pub struct GenerateKeyArgs {
    /// The file to write; it must not exist
    pub file: PathBuf,
}
