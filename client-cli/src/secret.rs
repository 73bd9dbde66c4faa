//! Secrets: asked without echo, read from standard input or a file, never from the arguments.

use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::distr::{Alphanumeric, SampleString};
use rand::rngs::StdRng;
use zeroize::Zeroizing;

use crate::error::{CliError, Result};

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The terminal without echo, or the next line of standard input when that is no terminal.
    Prompt,
    /// The next line of standard input, even on a terminal.
    Stdin,
    /// The first line of a file.
    File(PathBuf),
}

impl Source {
    /// From the two flags `--…-stdin` and `--…-file`.
    pub fn from_flags(stdin: bool, file: Option<&Path>) -> Self {
        match file {
            Some(path) => Self::File(path.to_owned()),
            None if stdin => Self::Stdin,
            None => Self::Prompt,
        }
    }

    /// Reads the secret; `prompt` is shown when a person is asked.
    ///
    /// # Errors
    /// An empty secret, an unreadable file, the end of standard input.
    pub fn read(&self, prompt: &str) -> Result<Zeroizing<String>> {
        let secret = match self {
            Self::Prompt if io::stdin().is_terminal() => Zeroizing::new(
                rpassword::prompt_password(format!("{prompt} ")).map_err(|_| CliError::NoInput)?,
            ),
            Self::Prompt | Self::Stdin => Zeroizing::new(next_line()?),
            Self::File(path) => {
                let text = Zeroizing::new(
                    fs::read_to_string(path).map_err(|error| CliError::file(path, error))?,
                );
                Zeroizing::new(text.lines().next().unwrap_or_default().to_owned())
            }
        };
        if secret.is_empty() { Err(CliError::NoInput) } else { Ok(secret) }
    }

    /// Reads a secret that is being chosen: a person types it twice.
    ///
    /// # Errors
    /// As `read`, and two entries that differ.
    pub fn read_new(&self, prompt: &str, again: &str) -> Result<Zeroizing<String>> {
        let first = self.read(prompt)?;
        if *self == Self::Prompt && io::stdin().is_terminal() && *self.read(again)? != *first {
            return Err(CliError::SecretsDiffer);
        }
        Ok(first)
    }
}

/// Asks a question in the open and reads the answer: from the person, or the next line of input.
///
/// # Errors
/// The end of standard input.
pub fn ask(question: &str) -> Result<String> {
    if io::stdin().is_terminal() {
        let mut err = io::stderr();
        write!(err, "{question} ").and_then(|()| err.flush()).map_err(|_| CliError::NoInput)?;
    }
    next_line()
}

/// The next line of standard input without its end.
fn next_line() -> Result<String> {
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line).map_err(|_| CliError::NoInput)?;
    if read == 0 {
        return Err(CliError::NoInput);
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// `length` random letters and digits from the operating system's generator.
pub fn random_string(length: usize) -> String {
    Alphanumeric.sample_string(&mut random(), length)
}

/// A generator for secrets, seeded by the operating system.
pub fn random() -> StdRng {
    StdRng::from_os_rng()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_its_first_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pw");
        fs::write(&path, "s3cret é \r\nrest\n").unwrap();
        let source = Source::from_flags(true, Some(&path));
        assert_eq!(source.read("").unwrap().as_str(), "s3cret é ");
        fs::write(&path, "\n").unwrap();
        assert!(matches!(source.read(""), Err(CliError::NoInput)));
        assert!(matches!(
            Source::File(dir.path().join("none")).read(""),
            Err(CliError::File { .. })
        ));
    }

    #[test]
    fn flags_choose_the_source() {
        assert_eq!(Source::from_flags(false, None), Source::Prompt);
        assert_eq!(Source::from_flags(true, None), Source::Stdin);
    }

    #[test]
    fn random_strings_are_letters_and_digits() {
        let text = random_string(40);
        assert_eq!(text.len(), 40);
        assert!(text.chars().all(|c| c.is_ascii_alphanumeric()));
    }
}
