//! The allow-list of domains, the audit log, the mails to send.

use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};

use crate::{Record, Stamp, table};

/// What the people of a domain are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DomainKind {
    /// They register as agents.
    Agent,
    /// They register as guests.
    Guest,
    /// They cannot register, even if a parent domain can.
    Blocked,
}

/// What an entry of the allow-list says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainEntry {
    /// Domains below it count too.
    pub sub_domains: bool,
    /// The label in display names; `None` derives it from the domain.
    pub organization: Option<String>,
    /// The kind.
    pub kind: DomainKind,
    /// The server that serves it in a federation of several; `None` for this one.
    pub homeserver: Option<String>,
    /// It counts from here, in milliseconds since 1970.
    pub valid_from_ms: Option<u64>,
    /// It counts until here, in milliseconds since 1970.
    pub valid_until_ms: Option<u64>,
    /// A note of the admins.
    pub note: Option<String>,
}

/// An entry of the allow-list. (On disk the fields of `entry` come first, without a frame.)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainRecord {
    /// What it says.
    pub entry: DomainEntry,
    /// Who added it; `None` for the server's configuration.
    pub added_by: Option<OwnedUserId>,
    /// When, in milliseconds since 1970.
    pub added_at_ms: u64,
}

impl Record for DomainRecord {}

/// An exact address that overrides its domain's entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressRuleRecord {
    /// The kind.
    pub kind: DomainKind,
    /// The label in the display name.
    pub organization: Option<String>,
    /// A note of the admins.
    pub note: Option<String>,
    /// Who added it.
    pub added_by: Option<OwnedUserId>,
    /// When, in milliseconds since 1970.
    pub added_at_ms: u64,
}

impl Record for AddressRuleRecord {}

/// Something that admins (or the server) did and must be able to explain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who; `None` for the server itself.
    pub actor: Option<OwnedUserId>,
    /// What, as `area.verb` (`domain.put`, `account.deactivate`, …).
    pub action: String,
    /// To what: a domain, a user id, …
    pub subject: String,
    /// The particulars as JSON text; no secrets, no bodies.
    pub details_json: String,
}

impl Record for AuditRecord {}

/// A mail to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailJobRecord {
    /// The validation session whose mail it is: address, language and text are there. Code and link are
    /// made when the mail is sent, so that the store never holds them.
    pub sid: String,
    /// How often sending has failed.
    pub failures: u32,
    /// When to try, in milliseconds since 1970.
    pub next_try_ms: u64,
}

impl Record for MailJobRecord {}

table! {
    /// An entry of the allow-list.
    Domain: pub struct DomainKey { domain: String } => DomainRecord;
    /// A rule for one address (in canonical form).
    AddressRule: pub struct AddressRuleKey { address: String } => AddressRuleRecord;
    /// The audit log, in order.
    Audit: pub struct AuditKey { at: Stamp, index: u32 } => AuditRecord;
    /// The mails to send, in order.
    MailJob: pub struct MailJobKey { at: Stamp, index: u32 } => MailJobRecord;
}
