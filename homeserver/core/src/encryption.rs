//! End-to-end encryption as far as a server has a part in it: it stores and forwards.
//!
//! * keys of devices, one-time and fallback keys: [`Encryption::upload_keys`], [`Encryption::query_keys`],
//!   [`Encryption::claim_keys`]. A one-time key is handed out once, in the order of upload.
//! * cross-signing keys and signatures, which are verified before they are stored.
//! * to-device messages, deleted when the client comes back with a later token.
//! * who must learn of changed devices, exact over restarts: [`Encryption::device_list_updates`].
//! * backups of room keys.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#end-to-end-encryption>

pub mod backup;
mod backup_keys;
mod cross_signing;
pub mod device_lists;
mod one_time_keys;
mod query;
mod removal;
mod signatures;
mod signed_json;
mod stock;
mod to_device;
mod to_device_servers;
mod upload;

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    sync::Arc,
};

use pli_store::Store;
use ruma::{DeviceId, OwnedServerName, ServerName, UserId};
use tokio::sync::{Mutex, OwnedMutexGuard};

pub use self::{
    cross_signing::{CrossSigningUpload, is_cross_signing_key},
    device_lists::{DeviceListUpdates, device_list_changed},
    one_time_keys::{ClaimedKeys, KeyClaims},
    query::{PublishedKeys, QueriedKeys},
    removal::remove_device,
    signatures::{SignatureFailure, SignatureFailures},
    to_device::{Inbox, ToDeviceMessages},
    upload::{KeyUpload, are_device_keys, check_upload, put_upload},
};
use crate::Clock;

/// Lanes for claims; two devices may share one.
const LANES: usize = 64;

/// Keys, to-device messages, device lists and backups. Clones share everything.
#[derive(Clone, Debug)]
pub struct Encryption {
    store: Store,
    clock: Clock,
    server_name: OwnedServerName,
    /// Messages for devices of other servers are kept until they are sent.
    federates: bool,
    /// Claims and uploads of one device follow each other, so that many at once do not overtake each
    /// other again and again. Correctness does not rest on that but on the record of the stock.
    lanes: Arc<[Arc<Mutex<()>>]>,
}

impl Encryption {
    /// The encryption part of the server of this name.
    #[must_use]
    pub fn new(store: Store, clock: Clock, server_name: OwnedServerName) -> Self {
        let lanes = (0..LANES).map(|_| Arc::new(Mutex::new(()))).collect();
        Self { store, clock, server_name, federates: false, lanes }
    }

    /// The same for a server that takes part in federation (or not): else messages for devices of other
    /// servers go nowhere.
    #[must_use]
    pub fn federating(self, federates: bool) -> Self {
        Self { federates, ..self }
    }

    /// Whether the user is of this server.
    fn is_local(&self, user_id: &UserId) -> bool {
        user_id.server_name() == <OwnedServerName as AsRef<ServerName>>::as_ref(&self.server_name)
    }

    /// Waits for the lanes of these devices and holds them. They are taken in one order, so that two
    /// callers never wait for each other.
    async fn hold<'a>(
        &self,
        devices: impl Iterator<Item = (&'a UserId, &'a DeviceId)>,
    ) -> Vec<OwnedMutexGuard<()>> {
        let mut numbers: Vec<usize> = devices.map(|(user, device)| lane(user, device)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut guards = Vec::with_capacity(numbers.len());
        for number in numbers {
            if let Some(lane) = self.lanes.get(number) {
                guards.push(Arc::clone(lane).lock_owned().await);
            }
        }
        guards
    }
}

fn lane(user_id: &UserId, device_id: &DeviceId) -> usize {
    let mut hasher = DefaultHasher::new();
    (user_id, device_id).hash(&mut hasher);
    usize::try_from(hasher.finish()).unwrap_or(0) % LANES
}

#[cfg(test)]
mod tests;
