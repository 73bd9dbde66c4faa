//! Queries of keys, of users of any server.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1userkeysquery>

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use pli_schema::records::sending::{RemoteDeviceKey, RemoteUserKey, RemoteUserRecord};
use pli_store::Scan;
use ruma::{
    OwnedDeviceId, OwnedServerName, OwnedUserId, UserId,
    api::federation::keys::get_keys::v1::{Request, Response},
    encryption::{CrossSigningKey, DeviceKeys},
    serde::Raw,
};

use super::Devices;
use crate::{
    Error, Result,
    encryption::{QueriedKeys, are_device_keys, is_cross_signing_key},
    federation::{Bounds, RemoteError},
};

/// Servers that are asked at the same time.
pub(super) const SERVERS_AT_ONCE: usize = 16;
/// Lists of one server that are asked for at the same time.
const LISTS_AT_ONCE: usize = 8;
/// Lists that are asked for one by one; of more users the server is asked in one request.
const LISTS_MAX: usize = 20;
/// The longest time for all servers.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

type Wanted = BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>;

/// Why a server gave no keys, for a client.
pub type Unreachable = BTreeMap<OwnedServerName, &'static str>;

/// Keys of users of several servers, and the servers that gave none.
#[derive(Clone, Debug, Default)]
pub struct KeysOfAll {
    /// The keys.
    pub keys: QueriedKeys,
    /// The servers that could not be asked.
    pub failures: Unreachable,
}

impl Devices {
    /// The keys of users, as [`crate::Encryption::query_keys`] gives them, also of other servers: those
    /// that are tracked as they are known, the others by asking, all within `patience`. Of a server that
    /// cannot be asked those keys are in the answer that were known last.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn query(
        &self,
        asking: &UserId,
        wanted: &Wanted,
        patience: Option<Duration>,
    ) -> Result<KeysOfAll> {
        let keys = self.parts.encryption.query_keys(asking, wanted).await?;
        let mut all = KeysOfAll { keys, ..KeysOfAll::default() };
        let mut by_server: BTreeMap<OwnedServerName, Wanted> = BTreeMap::new();
        for (user_id, devices) in wanted.iter().filter(|(user, _)| !self.rooms().is_local(user)) {
            if !self.known(asking, (user_id, devices), false, &mut all.keys).await? {
                let of_server = by_server.entry(user_id.server_name().to_owned()).or_default();
                of_server.insert(user_id.clone(), devices.clone());
            }
        }
        let patience = patience.unwrap_or(PATIENCE).min(PATIENCE);
        let asked: Vec<_> = by_server
            .into_iter()
            .map(|(server, wanted)| async move {
                let asked = tokio::time::timeout(patience, self.ask(&server, &wanted)).await;
                (server, wanted, asked)
            })
            .collect();
        let mut answers = stream::iter(asked).buffer_unordered(SERVERS_AT_ONCE);
        while let Some((server, wanted, answer)) = answers.next().await {
            match answer {
                Ok(answer) => match answer? {
                    Ok(told) => self.add_told(asking, told, &mut all.keys).await?,
                    Err(error) => drop(all.failures.insert(server, reason(&error))),
                },
                Err(_) => drop(all.failures.insert(server, "The server does not answer")),
            }
            for (user_id, devices) in &wanted {
                if !all.keys.device_keys.contains_key(user_id) {
                    self.known(asking, (user_id, devices), true, &mut all.keys).await?;
                }
            }
        }
        Ok(all)
    }

    /// Adds what is known of a user's keys. Whether it is all: nothing is added if it is not, unless it
    /// is wanted even so (`stale_too`).
    async fn known(
        &self,
        asking: &UserId,
        (user_id, wanted): (&OwnedUserId, &[OwnedDeviceId]),
        stale_too: bool,
        found: &mut QueriedKeys,
    ) -> Result<bool> {
        let record = self.store().get(&RemoteUserKey { user_id: user_id.clone() }).await?;
        let Some(record) = record.filter(|record| stale_too || !record.stale) else {
            return Ok(false);
        };
        if !self.shares(user_id).await? {
            return Ok(false);
        }
        let mut devices = BTreeMap::new();
        let rows = Scan::<RemoteDeviceKey>::prefix((user_id.clone(),));
        for row in self.store().scan(&rows).await? {
            if wanted.is_empty() || wanted.contains(&row.key.device_id) {
                devices.insert(row.key.device_id, from_text::<DeviceKeys>(row.record)?);
            }
        }
        if record.stale && devices.is_empty() {
            // It was never had, or says nothing.
            return Ok(false);
        }
        found.device_keys.insert(user_id.clone(), devices);
        self.add_cross_signing(asking, user_id, record, found).await?;
        Ok(true)
    }

    /// Adds what a server told of users whose lists are not tracked.
    async fn add_told(
        &self,
        asking: &UserId,
        told: QueriedKeys,
        found: &mut QueriedKeys,
    ) -> Result<()> {
        found.device_keys.extend(told.device_keys);
        found.self_signing_keys.extend(told.self_signing_keys);
        for (user_id, key) in told.master_keys {
            let key = self.parts.encryption.signed_by(asking, &user_id, &key).await?;
            found.master_keys.insert(user_id, key);
        }
        Ok(())
    }

    async fn add_cross_signing(
        &self,
        asking: &UserId,
        user_id: &OwnedUserId,
        record: RemoteUserRecord,
        found: &mut QueriedKeys,
    ) -> Result<()> {
        if let Some(key) = record.master_key {
            let key = from_text::<CrossSigningKey>(key)?;
            let key = self.parts.encryption.signed_by(asking, user_id, &key).await?;
            found.master_keys.insert(user_id.clone(), key);
        }
        if let Some(key) = record.self_signing_key {
            found.self_signing_keys.insert(user_id.clone(), from_text(key)?);
        }
        Ok(())
    }

    /// Asks a server for the lists of users who share a room, and for the keys of the others.
    async fn ask(
        &self,
        server: &OwnedServerName,
        wanted: &Wanted,
    ) -> Result<Result<QueriedKeys, RemoteError>> {
        let mut sharing = BTreeSet::new();
        for user_id in wanted.keys() {
            if sharing.len() >= LISTS_MAX {
                break;
            }
            if self.shares(user_id).await? {
                sharing.insert(user_id.clone());
            }
        }
        let lists: Vec<_> = sharing.iter().map(|user_id| self.resync(user_id)).collect();
        let mut lists = stream::iter(lists).buffer_unordered(LISTS_AT_ONCE);
        let mut failed = None;
        while let Some(done) = lists.next().await {
            failed = failed.or(done?.err());
        }
        if let Some(error) = failed {
            return Ok(Err(error));
        }
        let rest = wanted.iter().filter(|(user_id, _)| !sharing.contains(*user_id));
        let rest: Wanted = rest.map(|(user, devices)| (user.clone(), devices.clone())).collect();
        if rest.is_empty() {
            return Ok(Ok(QueriedKeys::default()));
        }
        let remote = self.parts.signed.remote();
        let answer = remote.request(server, Request::new(rest.clone()), Bounds::SMALL).await;
        Ok(answer.map(|answer| only_wanted(answer, &rest)))
    }
}

/// Of an answer what was asked for, as far as it has the right form.
fn only_wanted(answer: Response, wanted: &Wanted) -> QueriedKeys {
    let mut found = QueriedKeys::default();
    for (user_id, devices) in answer.device_keys {
        if let Some(wanted) = wanted.get(&user_id) {
            let right = devices.into_iter().filter(|(device_id, keys)| {
                (wanted.is_empty() || wanted.contains(device_id))
                    && are_device_keys(&user_id, device_id, keys.json())
            });
            found.device_keys.insert(user_id.clone(), right.collect());
        }
    }
    let is_right = |user_id: &OwnedUserId, is_master: bool, key: &Raw<CrossSigningKey>| {
        wanted.contains_key(user_id) && is_cross_signing_key(user_id, is_master, key)
    };
    found.master_keys = answer.master_keys;
    found.master_keys.retain(|user_id, key| is_right(user_id, true, key));
    found.self_signing_keys = answer.self_signing_keys;
    found.self_signing_keys.retain(|user_id, key| is_right(user_id, false, key));
    found
}

/// Why a server gave nothing, in few words of our own.
pub(super) const fn reason(error: &RemoteError) -> &'static str {
    match error {
        RemoteError::NotAdmitted => "This server does not speak with it",
        RemoteError::NotFound(_) => "The server cannot be found",
        RemoteError::NoAnswer(_) => "The server does not answer",
        RemoteError::Status { .. } => "The server answers with an error",
        RemoteError::Malformed(_) | RemoteError::Request(_) => "The server cannot be understood",
    }
}

fn from_text<T>(text: String) -> Result<Raw<T>> {
    Raw::from_json_string(text).map_err(|error| Error::bug(format!("kept keys: {error}")))
}
