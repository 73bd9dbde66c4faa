//! Settings of accounts, registration, passwords, tokens and mail, as they stand in the configuration
//! file. Every field has a default; unknown fields are errors.

use serde::{Deserialize, Serialize};

use crate::Language;

/// `[registration]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistrationSettings {
    /// People may make accounts by themselves. Registration tokens and the first admin's code work
    /// whatever this says.
    pub enabled: bool,
    /// For test deployments only: anyone registers with `m.login.dummy` and any user name, and the
    /// allow-list of domains is off.
    pub open_with_dummy: bool,
    /// For test deployments only: guest access as in the specification.
    pub guest_access: bool,
    /// The secret of `/_synapse/admin/v1/register`, for tools that need it; absent turns it off.
    pub shared_secret: Option<String>,
    /// The terms that must be accepted, if any.
    pub terms: Vec<TermsDocument>,
    /// Mails to one address within an hour, at most.
    pub mails_per_address_per_hour: u32,
}

impl Default for RegistrationSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            open_with_dummy: false,
            guest_access: false,
            shared_secret: None,
            terms: Vec::new(),
            mails_per_address_per_hour: 5,
        }
    }
}

/// A document of `m.login.terms`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TermsDocument {
    /// Its id, such as `privacy_policy`.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Its name and address in French.
    pub fr: TermsTranslation,
    /// Its name and address in English.
    pub en: TermsTranslation,
}

/// A translation of a [`TermsDocument`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TermsTranslation {
    /// The name.
    pub name: String,
    /// Where it can be read.
    pub url: String,
}

/// `[passwords]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PasswordSettings {
    /// People may log in with a password.
    pub enabled: bool,
    /// Characters, at least.
    pub minimum_length: u32,
    /// At least one digit.
    pub require_digit: bool,
    /// At least one character that is no letter of a–z or A–Z and no digit.
    pub require_symbol: bool,
    /// At least one lower-case letter.
    pub require_lowercase: bool,
    /// At least one upper-case letter.
    pub require_uppercase: bool,
    /// Argon2id: memory of one hash, in KiB. The default is OWASP's (19 MiB, 2 passes, 1 lane).
    pub memory_kib: u32,
    /// Argon2id: passes.
    pub passes: u32,
    /// Argon2id: lanes.
    pub lanes: u32,
    /// Hashes computed at once; 0 for half the cores, at least one.
    pub hashes_at_once: u32,
    /// Hashes that may wait for their turn; what comes above is told to try again.
    pub hashes_waiting: u32,
}

impl Default for PasswordSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            minimum_length: 12,
            require_digit: false,
            require_symbol: false,
            require_lowercase: false,
            require_uppercase: false,
            memory_kib: 19 * 1024,
            passes: 2,
            lanes: 1,
            hashes_at_once: 0,
            hashes_waiting: 256,
        }
    }
}

impl PasswordSettings {
    /// Cheap hashing and short passwords, for tests and test deployments.
    #[must_use]
    pub fn cheap() -> Self {
        Self { minimum_length: 1, memory_kib: 8, passes: 1, ..Self::default() }
    }
}

/// `[sessions]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionSettings {
    /// How long an access token lives that came with a refresh token, in seconds.
    pub access_token_lifetime_s: u64,
    /// How long a refresh token lives, in seconds.
    pub refresh_token_lifetime_s: u64,
    /// Wrong passwords for one account in a row before it must wait.
    pub wrong_passwords: u32,
    /// How long a wrong password counts, in seconds.
    pub wrong_password_counts_s: u64,
    /// The limits on wrong passwords and mails hold. Off only in test deployments.
    pub limits: bool,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            access_token_lifetime_s: 3_600,
            refresh_token_lifetime_s: 90 * 24 * 3_600,
            wrong_passwords: 10,
            wrong_password_counts_s: 300,
            limits: true,
        }
    }
}

/// `[profiles]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileSettings {
    /// People whose name comes from their e-mail address cannot change it.
    pub display_name_locked: bool,
}

/// How the connection to the SMTP server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpSecurity {
    /// TLS after `STARTTLS`; refused if the server does not offer it.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// None: for a server on the same machine.
    None,
}

/// `[mail]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailSettings {
    /// Host of the SMTP server. Without it mails are written to `folder`.
    pub smtp_host: Option<String>,
    /// Its port; 587 for `starttls`, 465 for `tls`, 25 for `none` if absent.
    pub smtp_port: Option<u16>,
    /// How the connection is protected.
    pub smtp_security: SmtpSecurity,
    /// PEM file of an additional certificate authority.
    pub smtp_ca_file: Option<String>,
    /// User name.
    pub smtp_user: Option<String>,
    /// File whose first line is the password.
    pub smtp_password_file: Option<String>,
    /// The sender, `Name <address>` or an address; `Pli <no-reply@SERVER>` if absent.
    pub from: Option<String>,
    /// Where mails are written without an SMTP server; `mail` in the data directory if absent.
    pub folder: Option<String>,
    /// The language where a person's is not known.
    pub language: Language,
}

impl Default for MailSettings {
    fn default() -> Self {
        Self {
            smtp_host: None,
            smtp_port: None,
            smtp_security: SmtpSecurity::default(),
            smtp_ca_file: None,
            smtp_user: None,
            smtp_password_file: None,
            from: None,
            folder: None,
            language: Language::Fr,
        }
    }
}
