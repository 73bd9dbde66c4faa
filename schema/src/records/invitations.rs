//! Invitations of people who have no account yet.

use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};

use crate::{EmailAddress, Language, Record, RoomNumber, Stamp, table};

/// An invitation into a room that waits for the owner of an e-mail address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThirdPartyInviteRecord {
    /// The room.
    pub room: RoomNumber,
    /// The address.
    pub address: EmailAddress,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

impl Record for ThirdPartyInviteRecord {}

/// A mail that tells somebody of an invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteMailRecord {
    /// To whom.
    pub address: EmailAddress,
    /// The language of whoever invites.
    pub language: Language,
    /// Who invites, as they are called.
    pub inviter: String,
    /// What the room is called.
    pub room_name: Option<String>,
    /// How often sending has failed.
    pub failures: u32,
    /// When to try, in milliseconds since 1970.
    pub next_try_ms: u64,
}

impl Record for InviteMailRecord {}

table! {
    /// The invitations by e-mail of a user; `token` is the state key of `m.room.third_party_invite`.
    ThirdPartyInvite: pub struct ThirdPartyInviteKey {
        inviter: OwnedUserId, token: String,
    } => ThirdPartyInviteRecord;
    /// The invitations that wait for an address.
    ThirdPartyInviteByAddress: pub struct ThirdPartyInviteByAddressKey {
        address: String, inviter: OwnedUserId, token: String,
    } => ();
    /// The mails to send, in order.
    InviteMail: pub struct InviteMailKey { at: Stamp, index: u32 } => InviteMailRecord;
}
