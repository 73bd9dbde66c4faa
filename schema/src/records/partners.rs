//! With whom this server federates, and files of other servers.

use ruma::{OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};

use super::media::MediaContent;
use crate::{Record, table};

/// A key that a partner signs with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedKey {
    /// Its name, as `ed25519:a_Zw3f`.
    pub key_id: String,
    /// The public key in unpadded base64.
    pub key: String,
}

/// What a partner may ask for and be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// Profiles of people.
    #[serde(default = "yes")]
    pub profiles: bool,
    /// The directory of published rooms, and rooms of spaces.
    #[serde(default = "yes")]
    pub public_rooms: bool,
    /// Which room an alias names.
    #[serde(default = "yes")]
    pub directory: bool,
    /// Files.
    #[serde(default = "yes")]
    pub media: bool,
    /// Who is online.
    #[serde(default = "yes")]
    pub presence: bool,
    /// Invitations of external people of this server by people of that one.
    #[serde(default = "yes")]
    pub guests: bool,
}

const fn yes() -> bool {
    true
}

impl Default for Allowed {
    fn default() -> Self {
        Self {
            profiles: true,
            public_rooms: true,
            directory: true,
            media: true,
            presence: true,
            guests: true,
        }
    }
}

/// Another server with which this one has an agreement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartnerRecord {
    /// The only keys that are believed of it; empty for whatever it publishes.
    pub pinned_keys: Vec<PinnedKey>,
    /// What it may ask for and be asked for.
    pub allowed: Allowed,
    /// Invitations into rooms of it that do not keep the rules that Pli gives rooms are refused.
    pub room_rules_required: bool,
    /// The labels that its people may have in their display names, as `Name [Label]`; empty if none
    /// were agreed.
    pub organizations: Vec<String>,
    /// Nothing is exchanged with it for now.
    pub suspended: bool,
    /// A note of the admins.
    pub note: Option<String>,
    /// Who wrote the entry last.
    pub changed_by: OwnedUserId,
    /// When, in milliseconds since 1970.
    pub changed_at_ms: u64,
}

impl Record for PartnerRecord {}

/// Something that is not wanted: a server, a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRecord {
    /// A note of the admins.
    pub note: Option<String>,
    /// Who decided it.
    pub by: OwnedUserId,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

impl Record for RefusedRecord {}

/// A file of another server that is kept here for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteMediaRecord {
    /// The bytes and what the other server says of them.
    pub content: MediaContent,
    /// When they came, in milliseconds since 1970.
    pub fetched_ms: u64,
    /// When somebody asked for them last, in milliseconds since 1970, to the day.
    pub used_ms: u64,
}

impl Record for RemoteMediaRecord {}

table! {
    /// A server with which this one has an agreement.
    Partner: pub struct PartnerKey { server: OwnedServerName } => PartnerRecord;
    /// A server with which nothing is exchanged.
    BlockedServer: pub struct BlockedServerKey { server: OwnedServerName } => RefusedRecord;
    /// A public key, in unpadded base64, that is never believed, whoever publishes it.
    RefusedKey: pub struct RefusedKeyKey { key: String } => RefusedRecord;
    /// A file of another server.
    RemoteMedia: pub struct RemoteMediaKey {
        server_name: String, media_id: String,
    } => RemoteMediaRecord;
}
