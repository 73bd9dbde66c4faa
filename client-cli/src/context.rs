//! What every command is given: the language, the profile, the way to answer.

use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::Value;

use crate::error::{CliError, Result};
use crate::lang::Lang;
use crate::profile::Profile;
use crate::text::messages::Msg;

/// The surroundings of a command.
#[derive(Clone, Debug)]
pub struct Context {
    /// The language to speak.
    pub lang: Lang,
    /// Answer in JSON.
    pub json: bool,
    /// The folder of all profiles.
    pub home: PathBuf,
    /// The account to use.
    pub profile: Profile,
}

impl Context {
    /// A text in the language of the person.
    pub fn text(&self, msg: Msg, values: &[&str]) -> String {
        msg.text(self.lang, values)
    }

    /// Tells a person something that is not the answer: standard error, silent with `--json`.
    pub fn note(&self, msg: Msg, values: &[&str]) {
        if !self.json {
            eprintln!("{}", self.text(msg, values));
        }
    }

    /// Gives the answer: one line of JSON, or what a person reads.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn answer(&self, json: &Value, human: &str) -> Result<()> {
        if self.json { line(&json.to_string()) } else { line(human) }
    }

    /// Gives an answer that only scripts need.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn event(&self, json: &Value) -> Result<()> {
        if self.json { line(&json.to_string()) } else { Ok(()) }
    }
}

/// Writes one line to standard output and pushes it out, so that a pipe sees it at once.
///
/// # Errors
/// When standard output is closed.
pub fn line(text: &str) -> Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => CliError::Cancelled,
        _ => CliError::Other(error.to_string()),
    })
}

/// Makes text from others safe for a terminal: no control characters but line feed and tab,
/// no characters that turn the writing direction around.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_cannot_move_the_cursor() {
        assert_eq!(
            printable("a\u{1b}[2Jb\r\nc\td\u{202e}e"),
            "a\u{fffd}[2Jb\u{fffd}\nc\td\u{fffd}e"
        );
        assert_eq!(printable("é 👍🏽 日本"), "é 👍🏽 日本");
    }
}
