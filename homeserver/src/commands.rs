//! The commands.

use std::path::Path;

use pli_core::{Clock, Random};
use pli_schema::{Language, config};
use pli_store::Progress;

use crate::{
    StartError,
    cli::{Cli, Command},
    configuration::{SettingsError, Sources},
    control::{self, Answer},
    data_dir::{DataDir, write_new_key},
    progress_line::ProgressLine,
    run, server, telemetry, words,
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The log.
    #[error(transparent)]
    Log(#[from] telemetry::FilterError),
    /// The server, its data directory or its store.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The runtime or the control socket.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The store is damaged; what is has been printed.
    #[error("{0}")]
    Damaged(&'static str),
    /// The running server said so.
    #[error("{0}")]
    Refused(String),
}

impl From<pli_core::StoreError> for CommandError {
    fn from(error: pli_core::StoreError) -> Self {
        Self::Start(error.into())
    }
}

/// Does what the command line says.
///
/// # Errors
/// [`CommandError`].
pub fn dispatch(
    cli: Cli,
    environment: &[(String, String)],
    locale: Language,
) -> Result<(), CommandError> {
    let sources = Sources::new(&cli.settings, environment)?;
    let config = sources.load()?;
    let language = words::language(config.server.language.as_deref().or(Some(locale.tag())));
    if let Some(Command::Config(args)) = &cli.command {
        let text = if args.markdown { config::as_markdown() } else { config::as_toml(&config) };
        print!("{text}");
        return Ok(());
    }
    let log = telemetry::start_log(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let dir = DataDir::at(&config.server.data_dir);
    match cli.command.unwrap_or(Command::Run) {
        Command::Run => Ok(runtime.block_on(run::run(sources, config, log, language))?),
        Command::Config(_) => Ok(()),
        Command::Check => runtime.block_on(check(&config, &dir, language)),
        Command::Backup(args) => runtime.block_on(backup(&config, &dir, &args.file, language)),
        Command::Restore(args) => runtime.block_on(restore(&dir, &args.file, language)),
        Command::RotateKey => runtime.block_on(rotate_key(&dir, language)),
        Command::GenerateKey(args) => {
            write_new_key(&args.file, &Random::from_os()).map_err(StartError::from)?;
            let text = words::KEY_WRITTEN.in_language(language);
            println!("{text} {}", args.file.display());
            Ok(())
        }
    }
}

/// A server that runs would go on signing with the old key.
async fn rotate_key(dir: &DataDir, language: Language) -> Result<(), CommandError> {
    if tokio::net::UnixStream::connect(dir.control_socket()).await.is_ok() {
        return Err(CommandError::Refused(words::STOP_FIRST.in_language(language).to_owned()));
    }
    let key = dir.rotate_signing_key(&Random::from_os(), Clock::system().now_ms());
    let key = key.map_err(StartError::from)?;
    println!("{} {}", words::KEY_ROTATED.in_language(language), key.key_id());
    Ok(())
}

async fn check(
    config: &config::Config,
    dir: &DataDir,
    language: Language,
) -> Result<(), CommandError> {
    let store = open_existing(config, dir, language).await?;
    let mut shown = ProgressLine::new(words::CHECKING.in_language(language));
    let report = store.check(move |at| shown.show(at)).await?;
    let (rows, unit) = (report.rows, words::ROWS.in_language(language));
    if report.is_sound() {
        println!("{}: {rows} {unit}", words::SOUND.in_language(language));
        return Ok(());
    }
    println!("{}: {}", words::DAMAGED.in_language(language), report.damages.len());
    for damage in &report.damages {
        println!("  {} {}: {}", damage.table, damage.key, damage.what);
    }
    Err(CommandError::Damaged(words::DAMAGED_ADVICE.in_language(language)))
}

async fn backup(
    config: &config::Config,
    dir: &DataDir,
    file: &Path,
    language: Language,
) -> Result<(), CommandError> {
    let file = std::path::absolute(file)?;
    let mut shown = ProgressLine::new(words::BACKING_UP.in_language(language));
    let told = |rows, size_bytes| shown.show(Progress { what: "backup", rows, size_bytes });
    let done = words::DONE.in_language(language);
    match control::request_backup(&dir.control_socket(), &file, told).await? {
        Some(Answer::Error(text)) => return Err(CommandError::Refused(text)),
        Some(Answer::Done(text)) => {
            println!("{done}: {} ({text})", file.display());
            return Ok(());
        }
        Some(Answer::Progress { .. }) | None => {}
    }
    let store = open_existing(config, dir, language).await?;
    let mut shown = ProgressLine::new(words::BACKING_UP.in_language(language));
    let report = store.backup(file.clone(), move |at| shown.show(at)).await?;
    println!("{done}: {} ({} bytes)", file.display(), report.size_bytes);
    Ok(())
}

async fn restore(dir: &DataDir, file: &Path, language: Language) -> Result<(), CommandError> {
    dir.create().map_err(StartError::from)?;
    let label = words::RESTORING.in_language(language);
    let shown = std::sync::Arc::new(parking_lot::Mutex::new(ProgressLine::new(label)));
    let progress = move |at| shown.lock().show(at);
    let report = pli_store::restore(file.to_owned(), dir.store(), progress).await?;
    let done = words::DONE.in_language(language);
    println!("{done}: {} ({})", dir.store().display(), report.server_name);
    if !dir.signing_key().exists() {
        let text = words::KEY_MISSING.in_language(language);
        println!("{text} {}", dir.path().display());
    }
    Ok(())
}

async fn open_existing(
    config: &config::Config,
    dir: &DataDir,
    language: Language,
) -> Result<pli_core::Store, CommandError> {
    if !dir.store().exists() {
        let what = format!("{}: there is no store", dir.store().display());
        return Err(StartError::Setting(what).into());
    }
    let mut shown = ProgressLine::new(words::MIGRATING.in_language(language));
    let (store, _) = server::open_store(config, dir, move |at| shown.show(at)).await?;
    Ok(store)
}
