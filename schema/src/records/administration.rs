//! What people tell the administrators, and what the server tells others of its people.

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};

use super::accounts::SecretHash;
use crate::{Record, Stamp, table};

/// What is reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportSubject {
    /// A room.
    Room(OwnedRoomId),
    /// An event.
    Event {
        /// Its room.
        room_id: OwnedRoomId,
        /// The event.
        event_id: OwnedEventId,
        /// Who sent it.
        sender: OwnedUserId,
    },
    /// A user.
    User(OwnedUserId),
}

/// How an admin has closed a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportClosing {
    /// Who.
    pub by: OwnedUserId,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What was done, in the words of the admin.
    pub note: Option<String>,
}

/// A report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRecord {
    /// When it came, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who reports.
    pub reporter: OwnedUserId,
    /// What.
    pub subject: ReportSubject,
    /// Why, in the words of the person.
    pub reason: Option<String>,
    /// How it was closed.
    pub closing: Option<ReportClosing>,
}

impl Record for ReportRecord {}

/// A token with which others ask who a user is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenIdTokenRecord {
    /// Whose.
    pub user_id: OwnedUserId,
    /// When it ends, in milliseconds since 1970.
    pub expires_at_ms: u64,
}

impl Record for OpenIdTokenRecord {}

/// The room in which a user gets the server's notices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeRoomRecord {
    /// The room.
    pub room_id: OwnedRoomId,
}

impl Record for NoticeRoomRecord {}

/// Until when an account is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountValidityRecord {
    /// In milliseconds since 1970.
    pub expires_at_ms: u64,
    /// Reminders that were sent for this end.
    pub mails_sent: u32,
}

impl Record for AccountValidityRecord {}

table! {
    /// A report; the position of the commit that brought it is its number.
    Report: pub struct ReportKey { at: Stamp } => ReportRecord;
    /// An OpenID token.
    OpenIdToken: pub struct OpenIdTokenKey { hash: SecretHash } => OpenIdTokenRecord;
    /// The room of a user's notices.
    NoticeRoom: pub struct NoticeRoomKey { user_id: OwnedUserId } => NoticeRoomRecord;
    /// The validity of an account.
    AccountValidity: pub struct AccountValidityKey {
        user_id: OwnedUserId,
    } => AccountValidityRecord;
}
