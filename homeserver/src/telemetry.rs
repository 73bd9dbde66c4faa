//! The log, on standard error, and the metrics.

use pli_schema::config::{LogFormat, LogSettings};
use tracing::Metadata;
use tracing_subscriber::{
    EnvFilter, Registry, filter::FilterFn, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

/// Changes the filter of the running log.
#[derive(Clone, Debug)]
pub struct LogControl(reload::Handle<EnvFilter, Registry>);

/// The filter of the log is not understood.
#[derive(Debug, thiserror::Error)]
#[error("log.filter: {0}")]
pub struct FilterError(String);

fn filter(settings: &LogSettings) -> Result<EnvFilter, FilterError> {
    // The rules tell of every event that they allow.
    let quieter = format!("ruma_state_res=warn,{}", settings.filter);
    EnvFilter::try_new(quieter).map_err(|error| FilterError(error.to_string()))
}

/// Keeps the lines of the store's engine out of the log, whatever the filter says.
///
/// They quote keys and values, and the engine writes some when a thread ends, after the log has given up
/// what it keeps for the thread: the log would panic there and take the process with it.
#[must_use]
pub fn without_engine() -> FilterFn {
    let is_ours: fn(&Metadata<'_>) -> bool = |metadata| !metadata.target().starts_with("sled");
    FilterFn::new(is_ours)
}

/// Starts the log of this process.
///
/// # Errors
/// [`FilterError`] for a filter that is not understood, or if there is a log already.
pub fn start_log(settings: &LogSettings) -> Result<LogControl, FilterError> {
    let (filter, handle) = reload::Layer::new(filter(settings)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter).with(without_engine());
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

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_engine_is_never_in_the_log() {
        let captured = Captured::default();
        let writer = captured.clone();
        let lines = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
        let filter = EnvFilter::new("trace,sled::tree=trace");
        let log = tracing_subscriber::registry().with(filter).with(without_engine()).with(lines);
        tracing::subscriber::with_default(log, || {
            tracing::error!(target: "sled::tree", "setting a key");
            tracing::trace!(target: "pli::request", "a request");
        });
        let written = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
        assert!(written.contains("a request") && !written.contains("a key"), "{written}");
    }
}
