//! The Pli homeserver: a Matrix server for public administrations.

use std::process::ExitCode;

use clap::Parser;
use pli_homeserver::{cli::Cli, commands, words::language};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let locale = language(sys_locale::get_locale().as_deref());
    // TLS for mails and pushes as well as for our own listener; a second installation is refused,
    // which does no harm.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match commands::dispatch(cli, &environment, locale) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pli-homeserver: {error}");
            ExitCode::FAILURE
        }
    }
}
