//! Settings of accounts, registration, passwords, tokens and mail, as they stand in the configuration
//! file. Every field has a default; unknown fields are errors.

use serde::{Deserialize, Serialize};

use crate::{Language, settings};

settings! {
    /// Registration of accounts.
    pub struct RegistrationSettings {
        /// People may make accounts by themselves. Registration tokens and the first admin's code work
        /// whatever this says.
        pub enabled: bool = true;
        /// For test deployments only: anyone registers with `m.login.dummy` and any user name, and the
        /// allow-list of domains is off.
        pub open_with_dummy: bool = false;
        /// For test deployments only: guest access as in the specification.
        pub guest_access: bool = false;
        /// The secret of `/_synapse/admin/v1/register`, for tools that need it; absent turns it off.
        pub shared_secret: Option<String> = None;
        /// The terms that must be accepted, if any.
        pub terms: Vec<TermsDocument> = Vec::new();
        /// Accounts with an e-mail address must be renewed by mail: a table of `period_days` (90),
        /// `reminders_days_before` (28, 7, 1) and `grace_days` (30) during which they still read.
        pub validity: Option<ValiditySettings> = None;
        /// Mails to one address within an hour, at most.
        pub mails_per_address_per_hour: u32 = 5;
    }
}

/// How long accounts are valid, and when their owners are reminded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ValiditySettings {
    /// Days from one renewal to the next.
    pub period_days: u64,
    /// Days before the end at which a mail is sent, the greatest first.
    pub reminders_days_before: Vec<u64>,
    /// Days after the end during which the account still reads.
    pub grace_days: u64,
}

impl Default for ValiditySettings {
    fn default() -> Self {
        Self { period_days: 90, reminders_days_before: vec![28, 7, 1], grace_days: 30 }
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

settings! {
    /// Passwords and how they are hashed.
    pub struct PasswordSettings {
        /// People may log in with a password.
        pub enabled: bool = true;
        /// Characters, at least.
        pub minimum_length: u32 = 12;
        /// At least one digit.
        pub require_digit: bool = false;
        /// At least one character that is no letter of a–z or A–Z and no digit.
        pub require_symbol: bool = false;
        /// At least one lower-case letter.
        pub require_lowercase: bool = false;
        /// At least one upper-case letter.
        pub require_uppercase: bool = false;
        /// Argon2id: memory of one hash, in KiB. The default is OWASP's (19 MiB, 2 passes, 1 lane).
        pub memory_kib: u32 = 19 * 1024;
        /// Argon2id: passes.
        pub passes: u32 = 2;
        /// Argon2id: lanes.
        pub lanes: u32 = 1;
        /// Hashes computed at once; 0 for half the cores, at least one.
        pub hashes_at_once: u32 = 0;
        /// Hashes that may wait for their turn; what comes above is told to try again.
        pub hashes_waiting: u32 = 256;
    }
}

impl PasswordSettings {
    /// Cheap hashing and short passwords, for tests and test deployments.
    #[must_use]
    pub fn cheap() -> Self {
        Self { minimum_length: 1, memory_kib: 8, passes: 1, ..Self::default() }
    }
}

settings! {
    /// Access tokens, and wrong tries.
    pub struct SessionSettings {
        /// How long an access token lives that came with a refresh token, in seconds.
        pub access_token_lifetime_s: u64 = 3_600;
        /// How long a refresh token lives, in seconds.
        pub refresh_token_lifetime_s: u64 = 90 * 24 * 3_600;
        /// Wrong passwords for one account in a row before it must wait.
        pub wrong_passwords: u32 = 10;
        /// How long a wrong password counts, in seconds.
        pub wrong_password_counts_s: u64 = 300;
        /// The limits on wrong passwords and mails hold. Off only in test deployments.
        pub limits: bool = true;
    }
}

/// Whom people find in the user directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DirectoryScope {
    /// Those with whom they share a room, and the members of rooms that are open to everyone.
    #[default]
    Rooms,
    /// Everyone of this server.
    All,
}

settings! {
    /// Sign-in in the browser: the OAuth 2.0 API, and other providers of identity.
    pub struct OauthSettings {
        /// Clients may sign in with OAuth, and old ones with single sign-on.
        pub enabled: bool = true;
        /// How long an access token lives, in seconds. Clients renew it by themselves.
        pub access_token_lifetime_s: u64 = 300;
        /// OpenID Connect providers with whom people may sign in.
        pub providers: Vec<OauthProvider> = Vec::new();
    }
}

/// An OpenID Connect provider with whom people may sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OauthProvider {
    /// A short name for addresses and scripts, of `a-z 0-9 . _ -`, such as `proconnect`.
    pub id: String,
    /// The issuer, as its discovery document says it.
    pub issuer: String,
    /// What the provider calls this server.
    pub client_id: String,
    /// File whose first line is the secret; without it the client is a public one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<String>,
    /// The scopes that are asked for.
    #[serde(default = "OauthProvider::default_scopes")]
    pub scopes: Vec<String>,
    /// What the button says in French.
    pub label_fr: String,
    /// What the button says in English.
    pub label_en: String,
    /// The provider has verified every address that it tells, also where it does not say so
    /// (`email_verified` is absent).
    #[serde(default)]
    pub email_is_verified: bool,
    /// It may have a private or loopback address, and no TLS.
    #[serde(default)]
    pub allow_private_addresses: bool,
}

impl OauthProvider {
    fn default_scopes() -> Vec<String> {
        ["openid", "email"].map(str::to_owned).to_vec()
    }

    /// What the button says.
    #[must_use]
    pub fn label(&self, language: Language) -> &str {
        match language {
            Language::Fr => &self.label_fr,
            Language::En => &self.label_en,
        }
    }
}

settings! {
    /// Profiles.
    pub struct ProfileSettings {
        /// People whose name comes from their e-mail address cannot change it, neither in their profile
        /// nor for a single room: what an event says otherwise is replaced by the name.
        pub display_name_locked: bool = false;
        /// Whom people find by name: `all` of this server, or those of `rooms` that they share or that
        /// are open to everyone. External people find only those with whom they share a room.
        pub directory: DirectoryScope = DirectoryScope::default();
        /// Profiles can be read without an access token. Since user ids come from e-mail addresses, that
        /// tells anyone which addresses have an account.
        pub lookup_without_token: bool = false;
    }
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

settings! {
    /// Outgoing mail.
    pub struct MailSettings {
        /// Host of the SMTP server. Without it mails are written to `folder`.
        pub smtp_host: Option<String> = None;
        /// Its port; 587 for `starttls`, 465 for `tls`, 25 for `none` if absent.
        pub smtp_port: Option<u16> = None;
        /// How the connection is protected.
        pub smtp_security: SmtpSecurity = SmtpSecurity::default();
        /// PEM file of an additional certificate authority.
        pub smtp_ca_file: Option<String> = None;
        /// User name on the SMTP server.
        pub smtp_user: Option<String> = None;
        /// File whose first line is the password.
        pub smtp_password_file: Option<String> = None;
        /// The sender, `Name <address>` or an address; `Pli <no-reply@SERVER>` if absent.
        pub from: Option<String> = None;
        /// Where mails are written without an SMTP server; `mail` in the data directory if absent.
        pub folder: Option<String> = None;
        /// The language where a person's is not known.
        pub language: Language = Language::Fr;
    }
}
