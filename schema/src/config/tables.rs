//! The keys that hold a small table. The comments are the documentation that administrators read.

use super::SectionDoc;
use crate::{
    account_settings::{
        HashingSettings, PasswordRules, SmtpSettings, ValiditySettings, WrongPasswordSettings,
    },
    settings,
};

settings! {
    /// What only test deployments and benchmarks switch on.
    pub struct TestDeployment {
        /// Anyone registers with `m.login.dummy` and any user name, and the allow-list of domains is off.
        pub open_registration: bool = false;
        /// Guest access as in the specification.
        pub guest_access: bool = false;
        /// No limits on the rate of requests, on wrong passwords and on mails.
        pub no_limits: bool = false;
        /// Push gateways and pages for previews may have private and loopback addresses.
        pub private_addresses: bool = false;
    }

    /// Time limits of connections.
    pub struct TimeoutSettings {
        /// For the headers of a request, and for the TLS handshake.
        pub header: u64 = 10_000;
        /// For the body of a request; large uploads get 1000 more per 16 KiB.
        pub body: u64 = 30_000;
        /// For a connection that nobody uses.
        pub idle: u64 = 75_000;
        /// For requests under way when the server is stopped.
        pub drain: u64 = 8_000;
    }

    /// Events that are sent later.
    pub struct DelayedEventSettings {
        /// Events that one user may have scheduled at the same time; 0 turns scheduling off.
        pub per_user: u32 = 100;
        /// Longest time for which an event can be scheduled, in milliseconds.
        pub max_ms: u64 = 86_400_000;
    }

    /// How long messages are kept.
    pub struct RetentionSettings {
        /// Days for which messages are kept in rooms that say nothing; 0 is for ever.
        pub days_default: u32 = 0;
        /// No room deletes its messages earlier than this, in days.
        pub days_min: u32 = 1;
        /// No room keeps its messages longer than this, in days; 0 is for ever.
        pub days_max: u32 = 0;
        /// Rooms (ids) in which nothing is deleted, whatever they say.
        pub legal_hold: Vec<String> = Vec::new();
    }

    /// What one user may have uploaded, in all.
    pub struct UserQuota {
        /// Bytes; 0 is no limit.
        pub bytes: u64 = 0;
        /// Files; 0 is no limit.
        pub files: u64 = 0;
    }

    /// Previews of pages.
    pub struct UrlPreviewSettings {
        /// Domains that are never looked at, with everything below them.
        pub denied_domains: Vec<String> = Vec::new();
    }

    /// TURN servers and how clients authenticate to them.
    pub struct TurnSettings {
        /// Their addresses, as `turn:turn.example.org:3478?transport=udp`; needed.
        pub uris: Vec<String> = Vec::new();
        /// The secret that they share with this server, for credentials that end (coturn's
        /// `static-auth-secret`).
        pub shared_secret: Option<String> = None;
        /// A fixed user name, where there is no shared secret.
        pub username: Option<String> = None;
        /// Its password.
        pub password: Option<String> = None;
        /// How long clients may use the credentials, in seconds.
        pub lifetime_s: u64 = 86_400;
    }

    /// Whom people may ask.
    pub struct SupportSettings {
        /// E-mail address of the administrators.
        pub email: Option<String> = None;
        /// Matrix id of the administrators.
        pub matrix_id: Option<String> = None;
        /// Page with help.
        pub page: Option<String> = None;
    }
}

/// The keys that hold a table, each by its path, with the fields of the table.
#[must_use]
pub fn tables() -> Vec<SectionDoc> {
    vec![
        DelayedEventSettings::documentation("rooms.delayed_events"),
        HashingSettings::documentation("passwords.hashing"),
        PasswordRules::documentation("passwords.rules"),
        RetentionSettings::documentation("rooms.retention"),
        SmtpSettings::documentation("mail.smtp"),
        SupportSettings::documentation("well_known.support"),
        TestDeployment::documentation("test_deployment"),
        TimeoutSettings::documentation("connections.timeouts_ms"),
        TurnSettings::documentation("calls.turn"),
        UrlPreviewSettings::documentation("media.url_previews"),
        UserQuota::documentation("media.user_quota"),
        ValiditySettings::documentation("registration.validity"),
        WrongPasswordSettings::documentation("sessions.wrong_passwords"),
    ]
}
