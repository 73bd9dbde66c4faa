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
        /// The secret of `/_synapse/admin/v1/register`, for tools that need it; absent turns it off.
        pub shared_secret: Option<String> = None;
        /// The terms that must be accepted, if any.
        pub terms: Vec<TermsDocument> = Vec::new();
        /// Accounts with an e-mail address must be renewed by mail; absent, they last. A table of:
        pub validity: Option<ValiditySettings> = None;
        /// Mails to one address within an hour, at most.
        pub mails_per_address_per_hour: u32 = 5;
    }
}

settings! {
    /// How long accounts are valid, and when their owners are reminded.
    pub struct ValiditySettings {
        /// Days from one renewal to the next.
        pub period_days: u64 = 90;
        /// Days before the end at which a mail is sent, the greatest first.
        pub reminders_days_before: Vec<u64> = vec![28, 7, 1];
        /// Days after the end during which the account still reads.
        pub grace_days: u64 = 30;
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
        /// What a new password must be. A table of:
        pub rules: PasswordRules = PasswordRules::default();
        /// How passwords are hashed, with Argon2id. A table of:
        pub hashing: HashingSettings = HashingSettings::default();
    }

    /// The rules for new passwords.
    pub struct PasswordRules {
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
    }

    /// The cost of a hash and how many there are.
    pub struct HashingSettings {
        /// Memory of one hash, in KiB; OWASP advises 19 MiB, 2 passes and 1 lane.
        pub memory_kib: u32 = 19 * 1024;
        /// Passes over it.
        pub passes: u32 = 2;
        /// Lanes.
        pub lanes: u32 = 1;
        /// Hashes computed at once; 0 for half the cores, at least one.
        pub at_once: u32 = 0;
        /// Hashes that may wait for their turn; what comes above is told to try again.
        pub waiting: u32 = 256;
    }
}

impl PasswordSettings {
    /// Cheap hashing and short passwords, for tests and test deployments.
    #[must_use]
    pub fn cheap() -> Self {
        Self {
            rules: PasswordRules { minimum_length: 1, ..PasswordRules::default() },
            hashing: HashingSettings { memory_kib: 8, passes: 1, ..HashingSettings::default() },
            ..Self::default()
        }
    }
}

settings! {
    /// Access tokens, and wrong tries.
    pub struct SessionSettings {
        /// How long an access token lives that came with a refresh token, in seconds.
        pub access_token_lifetime_s: u64 = 3_600;
        /// How long a refresh token lives, in seconds.
        pub refresh_token_lifetime_s: u64 = 90 * 24 * 3_600;
        /// When an account must wait before its next password is looked at. A table of:
        pub wrong_passwords: WrongPasswordSettings = WrongPasswordSettings::default();
    }

    /// How many wrong passwords an account may see.
    pub struct WrongPasswordSettings {
        /// Wrong passwords in a row.
        pub tries: u32 = 10;
        /// How long each counts, in seconds.
        pub window_s: u64 = 300;
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
        /// The SMTP server; absent, mails are written to `folder`. A table of:
        pub smtp: Option<SmtpSettings> = None;
        /// The sender, `Name <address>` or an address; `Pli <no-reply@SERVER>` if absent.
        pub from: Option<String> = None;
        /// Where mails are written without an SMTP server; `mail` in the data directory if absent.
        pub folder: Option<String> = None;
        /// The language where a person's is not known.
        pub language: Language = Language::Fr;
    }

    /// The SMTP server.
    pub struct SmtpSettings {
        /// Its host; needed.
        pub host: String = String::new();
        /// Its port; 587 for `starttls`, 465 for `tls`, 25 for `none` if absent.
        pub port: Option<u16> = None;
        /// How the connection is protected: `starttls`, `tls`, or `none` on the same machine.
        pub security: SmtpSecurity = SmtpSecurity::default();
        /// PEM file of an additional certificate authority.
        pub ca_file: Option<String> = None;
        /// User name there.
        pub user: Option<String> = None;
        /// File whose first line is the password.
        pub password_file: Option<String> = None;
    }
}
