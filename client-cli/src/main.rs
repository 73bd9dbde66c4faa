//! pli: the Matrix command-line client of Pli.

mod api;
mod args;
mod chat;
mod commands;
mod conference;
mod connection;
mod context;
mod error;
mod event_view;
mod exit;
mod files;
mod help;
mod lang;
mod profile;
mod room_ref;
mod secret;
mod session;
mod sync;
mod text;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches;
use clap::error::ErrorKind;
use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::args::{Cli, Command};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::lang::Lang;
use crate::profile::Profile;
use crate::text::messages::Msg;

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().collect();
    let lang = Lang::choose(&args, variable);
    let parsed = help::command(lang)
        .try_get_matches_from(&args)
        .and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches));
    match parsed {
        Ok(cli) => start(cli, lang).into(),
        Err(error) => refuse(&error, lang).into(),
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// Answers a command line that asks for help, or that is wrong.
fn refuse(error: &clap::Error, lang: Lang) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            print!("{}", error.render());
            Exit::Ok
        }
        _ => {
            eprintln!("{}\n{}", help::explain(error, lang), Msg::UsageSeeHelp.text(lang, &[]));
            Exit::Usage
        }
    }
}

fn start(cli: Cli, lang: Lang) -> Exit {
    let filter = EnvFilter::try_from_env("PLI_LOG").unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let json = cli.json;
    match run(cli, lang) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            let exit = error.exit();
            let text = error.text(lang);
            if json {
                let object = json!({"error": {
                    "code": error.code(), "exit": exit.code(), "text": text,
                }});
                eprintln!("{object}");
            } else {
                eprintln!("{text}");
            }
            exit
        }
    }
}

fn run(cli: Cli, lang: Lang) -> error::Result<()> {
    let home = profile::home(variable)?;
    let profile = Profile::new(&home, &cli.profile)?;
    let context = Context { lang, json: cli.json, home, profile };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CliError::Other(error.to_string()))?;
    // A verification tells the other side first.
    let hears_ctrl_c = matches!(cli.command, Command::Verify(_));
    let result = runtime.block_on(async {
        tokio::select! {
            result = commands::run(&context, cli.command) => result,
            _ = tokio::signal::ctrl_c(), if !hears_ctrl_c => Err(CliError::Cancelled),
        }
    });
    // A question that nobody answered still waits on its thread; do not wait with it.
    runtime.shutdown_background();
    result
}
