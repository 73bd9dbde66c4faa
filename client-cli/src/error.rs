//! What can go wrong, what the person is told, and the exit code.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use matrix_sdk::encryption::identities::RequestVerificationError;
use matrix_sdk::encryption::recovery::RecoveryError;
use matrix_sdk::encryption::secret_storage::SecretStorageError;
use matrix_sdk::ruma::api::error::ErrorKind;
use matrix_sdk::{ClientBuildError, HttpError};

use crate::exit::Exit;
use crate::lang::Lang;
use crate::text::messages::Msg;

/// The result of everything in this crate.
pub type Result<T, E = CliError> = std::result::Result<T, E>;

/// Everything that can stop a command.
#[derive(Debug)]
pub enum CliError {
    /// The command line asks for something that cannot be.
    Usage(Msg, Vec<String>),
    /// A profile name that cannot be a folder name.
    BadProfileName(String),
    /// No folder for the profiles.
    NoHome,
    /// No session in this profile.
    NotLoggedIn,
    /// The profile already has a session.
    AlreadyLoggedIn(String),
    /// The server no longer knows the access token.
    SessionEnded,
    /// The server refused: errcode and its text.
    Refused { errcode: String, error: String },
    /// The server cannot be reached, or does not speak Matrix.
    Network(String),
    /// Something named does not exist.
    NotFound(Msg, String),
    /// Encryption, verification or recovery failed.
    Crypto(Msg, String),
    /// A local file cannot be used.
    File { path: PathBuf, error: String },
    /// Standard input ended, or the secret was empty.
    NoInput,
    /// Two entries of a new secret differ.
    SecretsDiffer,
    /// What was waited for did not come.
    Timeout(Msg),
    /// Stopped by the person.
    Cancelled,
    /// Anything else, in the words of the library.
    Other(String),
}

impl CliError {
    /// A file error with its path.
    pub fn file(path: &Path, error: impl Display) -> Self {
        Self::File { path: path.to_owned(), error: error.to_string() }
    }

    /// An error from a Matrix error answer.
    pub fn refused(errcode: &str, error: &str) -> Self {
        match errcode {
            "M_UNKNOWN_TOKEN" | "M_MISSING_TOKEN" => Self::SessionEnded,
            _ => Self::Refused { errcode: errcode.to_owned(), error: error.to_owned() },
        }
    }

    /// The exit code of the process.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(..) | Self::BadProfileName(_) | Self::AlreadyLoggedIn(_) => Exit::Usage,
            Self::NoInput | Self::SecretsDiffer => Exit::Usage,
            Self::NotLoggedIn | Self::SessionEnded => Exit::NotLoggedIn,
            Self::Refused { errcode, .. } if errcode == "M_NOT_FOUND" => Exit::NotFound,
            Self::Refused { .. } => Exit::Refused,
            Self::Network(_) => Exit::Network,
            Self::NotFound(..) => Exit::NotFound,
            Self::Crypto(..) => Exit::Crypto,
            Self::File { .. } | Self::NoHome => Exit::File,
            Self::Timeout(_) => Exit::Timeout,
            Self::Cancelled => Exit::Cancelled,
            Self::Other(_) => Exit::Failure,
        }
    }

    /// A stable word for scripts, the errcode when the server gave one.
    pub fn code(&self) -> &str {
        match self {
            Self::Usage(..) => "usage",
            Self::BadProfileName(_) => "bad_profile_name",
            Self::NoHome => "no_home",
            Self::NotLoggedIn => "not_logged_in",
            Self::AlreadyLoggedIn(_) => "already_logged_in",
            Self::SessionEnded => "session_ended",
            Self::Refused { errcode, .. } => errcode,
            Self::Network(_) => "network",
            Self::NotFound(..) => "not_found",
            Self::Crypto(..) => "crypto",
            Self::File { .. } => "file",
            Self::NoInput => "no_input",
            Self::SecretsDiffer => "secrets_differ",
            Self::Timeout(_) => "timeout",
            Self::Cancelled => "cancelled",
            Self::Other(_) => "other",
        }
    }

    /// The sentence for a person.
    pub fn text(&self, lang: Lang) -> String {
        let say = |msg: Msg, values: &[&str]| msg.text(lang, values);
        match self {
            Self::Usage(msg, values) => {
                say(*msg, &values.iter().map(String::as_str).collect::<Vec<_>>())
            }
            Self::BadProfileName(name) => say(Msg::ErrBadProfileName, &[name]),
            Self::NoHome => say(Msg::ErrNoHome, &[]),
            Self::NotLoggedIn => say(Msg::ErrNotLoggedIn, &[]),
            Self::AlreadyLoggedIn(user) => say(Msg::ErrAlreadyLoggedIn, &[user]),
            Self::SessionEnded => say(Msg::ErrSessionEnded, &[]),
            Self::Refused { errcode, error } => say(Msg::ErrRefused, &[error, errcode]),
            Self::Network(error) => say(Msg::ErrNetwork, &[error]),
            Self::NotFound(msg, what) | Self::Crypto(msg, what) => say(*msg, &[what]),
            Self::File { path, error } => say(Msg::ErrFile, &[&path.display().to_string(), error]),
            Self::NoInput => say(Msg::ErrNoInput, &[]),
            Self::SecretsDiffer => say(Msg::ErrSecretsDiffer, &[]),
            Self::Timeout(msg) => say(*msg, &[]),
            Self::Cancelled => say(Msg::ErrCancelled, &[]),
            Self::Other(error) => say(Msg::ErrOther, &[error]),
        }
    }
}

impl From<HttpError> for CliError {
    fn from(error: HttpError) -> Self {
        if let Some(api) = error.as_client_api_error() {
            let errcode = api.error_kind().map(|kind: &ErrorKind| kind.errcode().to_string());
            let text = api.to_string();
            // The library writes "[403 / M_FORBIDDEN] text": the text alone is for people.
            let text = text.split_once("] ").map_or(text.as_str(), |(_, text)| text);
            return Self::refused(&errcode.unwrap_or_else(|| "M_UNKNOWN".to_owned()), text);
        }
        match error {
            HttpError::Cached(inner) => match std::sync::Arc::try_unwrap(inner) {
                Ok(inner) => Self::from(inner),
                Err(inner) => Self::Network(inner.to_string()),
            },
            HttpError::Reqwest(error) => Self::from(error),
            other => Self::Network(other.to_string()),
        }
    }
}

impl From<reqwest::Error> for CliError {
    fn from(error: reqwest::Error) -> Self {
        // The chain of causes ends with what happened ("connection refused"); the URL may hold
        // identifiers and is left out.
        let error = error.without_url();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Self::Network(cause.to_string())
    }
}

impl From<matrix_sdk::Error> for CliError {
    fn from(error: matrix_sdk::Error) -> Self {
        use matrix_sdk::Error as Sdk;
        match error {
            Sdk::Http(error) => Self::from(*error),
            Sdk::AuthenticationRequired => Self::NotLoggedIn,
            error @ (Sdk::OlmError(_)
            | Sdk::MegolmError(_)
            | Sdk::DecryptorError(_)
            | Sdk::NoOlmMachine
            | Sdk::CryptoStoreError(_)
            | Sdk::BadCryptoStoreState) => Self::Crypto(Msg::ErrCrypto, error.to_string()),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<RequestVerificationError> for CliError {
    fn from(error: RequestVerificationError) -> Self {
        match error {
            RequestVerificationError::Sdk(error) => Self::from(error),
            other => Self::Crypto(Msg::ErrCrypto, other.to_string()),
        }
    }
}

impl From<ClientBuildError> for CliError {
    fn from(error: ClientBuildError) -> Self {
        match error {
            ClientBuildError::Http(error) => Self::from(error),
            ClientBuildError::AutoDiscovery(_) | ClientBuildError::InvalidServerName => {
                Self::Network(error.to_string())
            }
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<RecoveryError> for CliError {
    fn from(error: RecoveryError) -> Self {
        match error {
            RecoveryError::Sdk(error) => Self::from(error),
            RecoveryError::BackupExistsOnServer => {
                Self::Crypto(Msg::ErrBackupExists, String::new())
            }
            RecoveryError::SecretStorage(error) => Self::from(error),
        }
    }
}

impl From<SecretStorageError> for CliError {
    fn from(error: SecretStorageError) -> Self {
        match error {
            SecretStorageError::Sdk(error) => Self::from(error),
            SecretStorageError::MissingKeyInfo { .. } => {
                Self::Crypto(Msg::ErrNoRecovery, String::new())
            }
            SecretStorageError::SecretStorageKey(_) => {
                Self::Crypto(Msg::ErrBadRecoveryKey, String::new())
            }
            other => Self::Crypto(Msg::ErrCrypto, other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_exit_code() {
        let cases = [
            (CliError::NotLoggedIn, 3),
            (CliError::refused("M_UNKNOWN_TOKEN", "x"), 3),
            (CliError::refused("M_FORBIDDEN", "no"), 4),
            (CliError::refused("M_NOT_FOUND", "no"), 6),
            (CliError::Network("refused".into()), 5),
            (CliError::NotFound(Msg::ErrNoRoom, "x".into()), 6),
            (CliError::Crypto(Msg::ErrCrypto, "x".into()), 7),
            (CliError::file(Path::new("/x"), "denied"), 8),
            (CliError::Timeout(Msg::ErrTimeoutVerify), 9),
            (CliError::Cancelled, 10),
            (CliError::NoInput, 2),
            (CliError::Other("x".into()), 1),
        ];
        for (error, code) in cases {
            assert_eq!(error.exit().code(), code, "{error:?}");
            assert!(!error.text(Lang::Fr).is_empty() && !error.code().is_empty());
        }
    }

    #[test]
    fn the_words_of_the_server_reach_the_person() {
        let error = CliError::refused("M_THREEPID_DENIED", "domain not allowed");
        assert!(error.text(Lang::En).contains("domain not allowed"));
        assert_eq!(error.code(), "M_THREEPID_DENIED");
    }
}
