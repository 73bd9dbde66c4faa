//! How far long work is, for whoever waits at the terminal.

use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

use pli_store::Progress;

/// How far long work is: one line that is written over on a terminal, a line every few seconds
/// elsewhere.
#[derive(Debug)]
pub struct ProgressLine {
    label: &'static str,
    shown: Option<Instant>,
}

impl ProgressLine {
    /// A line that begins with a label.
    #[must_use]
    pub const fn new(label: &'static str) -> Self {
        Self { label, shown: None }
    }

    /// Shows progress, unless some was shown just now.
    pub fn show(&mut self, at: Progress) {
        let mut out = std::io::stderr();
        let is_terminal = out.is_terminal();
        let pause = if is_terminal { Duration::from_millis(200) } else { Duration::from_secs(5) };
        if self.shown.is_some_and(|shown| shown.elapsed() < pause) {
            return;
        }
        self.shown = Some(Instant::now());
        let text = format!("{}: {} ({} MiB)", self.label, at.rows, at.size_bytes / 1_048_576);
        // Nobody may be reading; the work goes on.
        let _ = if is_terminal { write!(out, "\r{text}\u{1b}[K") } else { writeln!(out, "{text}") };
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        let mut out = std::io::stderr();
        if self.shown.is_some() && out.is_terminal() {
            let _ = writeln!(out);
        }
    }
}
