//! `pli-homeserver run`: the server with its signals, and what it tells at the start.

use std::path::Path;

use pli_api::health;
use pli_schema::{Language, config::Config};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    Server, StartError,
    configuration::{Sources, dangerous_switches},
    server::Surroundings,
    telemetry::LogControl,
    words,
};

/// Runs the server until SIGTERM or SIGINT.
///
/// # Errors
/// [`StartError`] if it cannot start.
pub async fn run(
    sources: Sources,
    config: Config,
    log: LogControl,
    language: Language,
) -> Result<(), StartError> {
    let say = |text: &str| println!("{text}");
    let mut signals = Signals::new().map_err(StartError::Control)?;
    let mut shown = crate::progress_line::ProgressLine::new(words::MIGRATING.in_language(language));
    let server =
        Server::start(config.clone(), Surroundings::of_the_machine(), move |at| shown.show(at))
            .await?;
    start_metrics(&config, &server).await?;
    for line in greeting(&config, &server, language).await? {
        say(&line);
    }
    loop {
        tokio::select! {
            _ = signals.hangup.recv() => reload(&sources, &server, &log),
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
        }
    }
    say(words::STOPPING.in_language(language));
    server.stop().await
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// Takes what can change from the settings as they are now. What is wrong is logged and nothing
/// changes.
fn reload(sources: &Sources, server: &Server, log: &LogControl) {
    let config = match sources.load() {
        Ok(config) => config,
        Err(error) => {
            tracing::error!(%error, "the settings were not read again");
            return;
        }
    };
    server.state.rate_limits.reload(&config);
    if let Err(error) = log.reload(&config.log) {
        tracing::error!(%error, "the log keeps its filter");
    }
    let files = (&config.tls.certificate_file, &config.tls.private_key_file);
    if let (Some(tls), (Some(certificate), Some(key))) = (&server.tls, files)
        && let Err(error) = tls.reload(Path::new(certificate), Path::new(key))
    {
        tracing::error!(%error, "the listener keeps its certificate");
    }
    let federation = &config.federation;
    let files = (&federation.certificate_file, &federation.private_key_file);
    if let (Some(tls), (Some(certificate), Some(key))) = (&server.federation_tls, files)
        && let Err(error) = tls.reload(Path::new(certificate), Path::new(key))
    {
        tracing::error!(%error, "the listener for other servers keeps its certificate");
    }
    tracing::info!("the settings were read again");
}

async fn start_metrics(config: &Config, server: &Server) -> Result<(), StartError> {
    let Some(address) = &config.metrics.listen else { return Ok(()) };
    let router = health::metrics_router()
        .map_err(|error| StartError::Setting(format!("metrics: {error}")))?;
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen { address: address.clone(), source })?;
    let (stop, settings) = (server.stop_token().clone(), config.connections.clone());
    tokio::spawn(pli_api::serve::serve(vec![listener], router, settings, None, stop));
    Ok(())
}

/// What is said at the start: where, what is dangerous, and what to try next.
async fn greeting(
    config: &Config,
    server: &Server,
    language: Language,
) -> Result<Vec<String>, StartError> {
    let mut lines = Vec::new();
    let base_url = &server.state.server.base_url;
    let name = &config.server.server_name;
    lines.push(format!("{} {base_url} ({name})", words::LISTENING.in_language(language)));
    let data_dir = &config.server.data_dir;
    lines.push(format!("{} {data_dir}", words::KEPT_IN.in_language(language)));
    if config.mail.smtp.is_none() {
        let folder = config.mail.folder.clone();
        let folder = folder.unwrap_or_else(|| format!("{data_dir}/mail"));
        lines.push(format!("{} {folder}", words::MAIL_FOLDER.in_language(language)));
    }
    let dangerous = dangerous_switches(config);
    if !dangerous.is_empty() {
        let what = dangerous.join(", ");
        tracing::warn!(switches = what, "settings for test deployments only");
        lines.push(format!("!!! {} {what}", words::DANGEROUS.in_language(language)));
    }
    if let Some(code) = server.state.accounts.first_admin_code().await? {
        lines.push(String::new());
        lines.push(words::FIRST_ADMIN.in_language(language).to_owned());
        lines.push(String::new());
        lines.push(format!(
            "  pli --profile admin register --homeserver {base_url} --user admin --token {}",
            code.reveal()
        ));
        lines.push("  pli --profile admin admin domains add agents.example".to_owned());
        lines.push(format!(
            "  pli --profile alice register --homeserver {base_url} --email alice@agents.example"
        ));
        lines.push(String::new());
        lines.push(words::CODE_ONCE.in_language(language).to_owned());
    }
    Ok(lines)
}
