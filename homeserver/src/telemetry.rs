//! The log, on standard error, and the metrics.

use pli_schema::config::{LogFormat, LogSettings};
use tracing_subscriber::{
    EnvFilter, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

/// Changes the filter of the running log.
#[derive(Clone, Debug)]
pub struct LogControl(reload::Handle<EnvFilter, Registry>);

/// The filter of the log is not understood.
#[derive(Debug, thiserror::Error)]
#[error("log.filter: {0}")]
pub struct FilterError(String);

fn filter(settings: &LogSettings) -> Result<EnvFilter, FilterError> {
    EnvFilter::try_new(&settings.filter).map_err(|error| FilterError(error.to_string()))
}

/// Starts the log of this process.
///
/// # Errors
/// [`FilterError`] for a filter that is not understood, or if there is a log already.
pub fn start_log(settings: &LogSettings) -> Result<LogControl, FilterError> {
    let (filter, handle) = reload::Layer::new(filter(settings)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match settings.format {
        LogFormat::Text => registry.with(lines.with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(lines.json()).try_init(),
    };
    started.map_err(|error| FilterError(error.to_string()))?;
    std::panic::set_hook(Box::new(|panic| {
        // The place only: the message of a panic may quote what was being worked on.
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
    Ok(LogControl(handle))
}

impl LogControl {
    /// Takes the filter of new settings.
    ///
    /// # Errors
    /// [`FilterError`] for a filter that is not understood; the old one stays.
    pub fn reload(&self, settings: &LogSettings) -> Result<(), FilterError> {
        let filter = filter(settings)?;
        self.0.reload(filter).map_err(|error| FilterError(error.to_string()))
    }
}
