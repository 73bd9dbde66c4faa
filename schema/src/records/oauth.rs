//! OAuth: clients, the sessions that they have, links to accounts at other providers.

use ruma::{OwnedDeviceId, OwnedUserId};
use serde::{Deserialize, Serialize};

use super::accounts::SecretHash;
use crate::{Record, table};

/// A client that has registered itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OauthClientRecord {
    /// What was registered, as the JSON text of its answer (without `client_id`).
    pub metadata_json: String,
    /// When it first registered, in milliseconds since 1970.
    pub created_ms: u64,
    /// It has had a session.
    pub used: bool,
}

impl Record for OauthClientRecord {}

/// A session that began by OAuth. Its device holds the tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OauthSessionRecord {
    /// The client.
    pub client_id: String,
    /// Hash of the part of the refresh tokens that names the session.
    pub selector: SecretHash,
    /// The scope that was granted, as the client wrote it.
    pub scope: String,
    /// When it began, in milliseconds since 1970.
    pub granted_ms: u64,
}

impl Record for OauthSessionRecord {}

/// The device of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OauthSelectorRecord {
    /// Whose.
    pub user_id: OwnedUserId,
    /// Which device.
    pub device_id: OwnedDeviceId,
}

impl Record for OauthSelectorRecord {}

/// The account of somebody whom an OpenID Connect provider knows. It stays when the account is closed,
/// so that nobody whose account was closed gets a new one by signing in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamLinkRecord {
    /// The account.
    pub user_id: OwnedUserId,
    /// When they were linked, in milliseconds since 1970.
    pub linked_at_ms: u64,
}

impl Record for UpstreamLinkRecord {}

table! {
    /// A client.
    OauthClient: pub struct OauthClientKey { client_id: String } => OauthClientRecord;
    /// A session.
    OauthSession: pub struct OauthSessionKey {
        user_id: OwnedUserId, device_id: OwnedDeviceId,
    } => OauthSessionRecord;
    /// The device of a session, by the hash of the part of the refresh tokens that names it.
    OauthSelector: pub struct OauthSelectorKey { selector: SecretHash } => OauthSelectorRecord;
    /// An account at a provider.
    UpstreamLink: pub struct UpstreamLinkKey { issuer: String, subject: String } => UpstreamLinkRecord;
    /// A client without a session.
    OauthUnusedClient: pub struct OauthUnusedClientKey { created_ms: u64, client_id: String } => ();
}
