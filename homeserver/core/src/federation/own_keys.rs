//! What this server publishes about its own keys
//! (<https://spec.matrix.org/v1.19/server-server-api/#publishing-keys>).

use std::{collections::BTreeMap, sync::Arc};

use pli_federation::{
    keys::SigningKey,
    server_keys::{self, OldKey},
};
use ruma::{CanonicalJsonObject, OwnedServerName, OwnedServerSigningKeyId, ServerName};

use crate::{Clock, Error, Result};

/// What is published stays valid this long: others ask again when half of it is over.
const VALID_MS: u64 = 24 * 60 * 60 * 1_000;

/// This server's keys: the one with which it signs, and earlier ones. Clones share them.
#[derive(Clone, Debug)]
pub struct OwnKeys {
    server_name: OwnedServerName,
    key: Arc<SigningKey>,
    old: Arc<BTreeMap<OwnedServerSigningKeyId, OldKey>>,
    clock: Clock,
}

impl OwnKeys {
    /// The keys of a server.
    #[must_use]
    pub fn new(
        server_name: OwnedServerName,
        key: Arc<SigningKey>,
        old: BTreeMap<OwnedServerSigningKeyId, OldKey>,
        clock: Clock,
    ) -> Self {
        Self { server_name, key, old: Arc::new(old), clock }
    }

    /// The name of the server.
    #[must_use]
    pub fn server_name(&self) -> &ServerName {
        &self.server_name
    }

    /// The key with which it signs.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The answer of `GET /_matrix/key/v2/server`, signed.
    ///
    /// # Errors
    /// [`Error::Bug`] if it cannot be signed.
    pub fn published(&self) -> Result<CanonicalJsonObject> {
        let until = self.clock.now_ms().saturating_add(VALID_MS);
        server_keys::published(&self.server_name, &self.key, &self.old, until)
            .map_err(|error| Error::bug(error.to_string()))
    }

    /// Adds this server's signature to an object.
    ///
    /// # Errors
    /// [`Error::BadJson`] if its `signatures` have the wrong form.
    pub fn sign(&self, object: &mut CanonicalJsonObject) -> Result<()> {
        self.key
            .sign_json(&self.server_name, object)
            .map_err(|error| Error::bad_json(error.to_string()))
    }
}
