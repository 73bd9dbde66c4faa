//! The streams of local users' devices, as other servers follow them.
//!
//! Each change of a device has a place in its user's stream. What a server is told of a device names the
//! place before it, so that one that missed something notices and asks for the whole list. A server that
//! is away is told of each device once, however often it changed.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#device-management>

use std::collections::{BTreeMap, BTreeSet};

use pli_schema::{
    Position,
    records::{
        encryption::DeviceListChangeKey,
        sending::{
            DeviceListOutKey, DeviceListOutRecord, PendingDevices, ToldDeviceKey, ToldDeviceRecord,
            ToldUserKey, ToldUserRecord,
        },
    },
};
use pli_store::{Scan, Tx};
use ruma::{OwnedDeviceId, OwnedServerName, OwnedUserId};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Run, Sender};
use crate::{Error, Result, encryption::PublishedKeys};

impl Sender {
    /// Takes down which devices changed up to a place in the log, and who is to be told.
    pub(super) async fn note_devices(&self, run: &mut Run, to: Position) -> Result<()> {
        let changes = Scan::<DeviceListChangeKey>::prefix(()).after((run.at,)).up_to((to,));
        for row in self.store().scan(&changes).await? {
            if self.rooms().is_local(&row.key.user_id) {
                for destination in self.note_user(&row.key.user_id).await? {
                    run.peers.wake(&destination).await?;
                }
            }
        }
        Ok(())
    }

    async fn note_user(&self, user_id: &OwnedUserId) -> Result<BTreeSet<OwnedServerName>> {
        let mut audience = BTreeSet::new();
        for room in self.rooms().joined_rooms(user_id).await? {
            audience.extend(self.others(room).await?);
        }
        if audience.is_empty() {
            return Ok(audience);
        }
        let published = &self.parts.encryption.published_keys(user_id).await?;
        let destinations = &audience;
        let changed = self
            .store()
            .write(|tx| async move {
                let key = ToldUserKey { user_id: user_id.clone() };
                let before = tx.get(&key).await?.unwrap_or_default();
                let stream_id = note_changed(&tx, user_id, published, before.stream_id).await?;
                let user = ToldUserRecord { stream_id, keys: hash(&keys_text(published)) };
                let keys = user.keys != before.keys && published.master_key.is_some();
                if user == before || !(keys || stream_id > before.stream_id) {
                    return Ok::<_, Error>(false);
                }
                tx.put(&key, &user)?;
                for destination in destinations {
                    let (destination, user_id) = (destination.clone(), user_id.clone());
                    let key = DeviceListOutKey { destination, user_id };
                    let waiting = tx.get(&key).await?;
                    let from = waiting.map_or(before.stream_id, |waiting| waiting.from);
                    let changes = waiting.map_or(0, |waiting| waiting.changes).wrapping_add(1);
                    let keys = keys || waiting.is_some_and(|waiting| waiting.keys);
                    tx.put(&key, &DeviceListOutRecord { from, keys, changes })?;
                }
                Ok(true)
            })
            .await?;
        Ok(if changed { audience } else { BTreeSet::new() })
    }

    /// The newest place in the stream of a user's devices.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn stream_of(&self, user_id: &OwnedUserId) -> Result<u64> {
        let key = ToldUserKey { user_id: user_id.clone() };
        Ok(self.store().get(&key).await?.unwrap_or_default().stream_id)
    }

    /// Adds what a server is to be told of a user's devices, up to a place in their stream, in so many
    /// EDUs at most. If there is more, the newest are told, and the server asks for the rest.
    pub(super) async fn add_changes(
        &self,
        user_id: &OwnedUserId,
        (record, to): (DeviceListOutRecord, u64),
        most: usize,
        edus: &mut Vec<String>,
    ) -> Result<()> {
        let published = self.parts.encryption.published_keys(user_id).await?;
        let rows = Scan::<ToldDeviceKey>::prefix((user_id.clone(),));
        let changes: BTreeMap<u64, (OwnedDeviceId, bool)> = self
            .store()
            .scan(&rows)
            .await?
            .into_iter()
            .filter(|row| row.record.stream_id > record.from && row.record.stream_id <= to)
            .map(|row| (row.record.stream_id, (row.key.device_id, row.record.what.is_none())))
            .collect();
        let skipped = changes.len().saturating_sub(most.saturating_sub(1));
        let mut previous = (record.from > 0).then_some(record.from);
        for (index, (stream_id, (device_id, deleted))) in changes.into_iter().enumerate() {
            if index >= skipped {
                let place = (stream_id, previous);
                edus.push(device_edu(user_id, &device_id, place, (&published, deleted)));
            }
            previous = Some(stream_id);
        }
        if record.keys
            && let Some(master_key) = &published.master_key
        {
            let mut content = json!({ "user_id": user_id, "master_key": master_key });
            if let (Some(key), Some(object)) =
                (&published.self_signing_key, content.as_object_mut())
            {
                object.insert("self_signing_key".to_owned(), json!(key));
            }
            let edu = json!({ "edu_type": "m.signing_key_update", "content": content });
            edus.push(edu.to_string());
        }
        Ok(())
    }
}

fn device_edu(
    user_id: &OwnedUserId,
    device_id: &OwnedDeviceId,
    (stream_id, previous): (u64, Option<u64>),
    (published, deleted): (&PublishedKeys, bool),
) -> String {
    let prev_id: Vec<u64> = previous.into_iter().collect();
    let mut content = json!({
        "user_id": user_id, "device_id": device_id, "stream_id": stream_id, "prev_id": prev_id,
    });
    if let Some(object) = content.as_object_mut() {
        match published.devices.get(device_id).filter(|_| !deleted) {
            Some(keys) => object.insert("keys".to_owned(), json!(keys)),
            None => object.insert("deleted".to_owned(), json!(true)),
        };
    }
    json!({ "edu_type": "m.device_list_update", "content": content }).to_string()
}

/// Gives the devices that changed their places in the stream; the newest one.
async fn note_changed(
    tx: &Tx,
    user_id: &OwnedUserId,
    published: &PublishedKeys,
    stream_id: u64,
) -> Result<u64> {
    let mut stream_id = stream_id;
    let rows = tx.scan(&Scan::<ToldDeviceKey>::prefix((user_id.clone(),))).await?;
    let told: BTreeMap<OwnedDeviceId, Option<[u8; 16]>> =
        rows.into_iter().map(|row| (row.key.device_id, row.record.what)).collect();
    let now =
        published.devices.iter().map(|(id, keys)| (id.clone(), Some(hash(keys.json().get()))));
    let mut now: BTreeMap<OwnedDeviceId, Option<[u8; 16]>> = now.collect();
    for device_id in told.keys() {
        now.entry(device_id.clone()).or_insert(None);
    }
    for (device_id, what) in now {
        if told.get(&device_id).copied() == Some(what) {
            continue;
        }
        stream_id = stream_id.saturating_add(1);
        let key = ToldDeviceKey { user_id: user_id.clone(), device_id };
        tx.put(&key, &ToldDeviceRecord { stream_id, what })?;
    }
    Ok(stream_id)
}

fn keys_text(published: &PublishedKeys) -> String {
    let keys = [&published.master_key, &published.self_signing_key];
    keys.into_iter().flatten().map(|key| key.json().get()).collect::<Vec<_>>().join("\n")
}

fn hash(text: &str) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    digest.first_chunk().copied().unwrap_or_default()
}

/// A server was told of a user's devices. What changed meanwhile is told next.
pub(super) async fn settle(
    tx: &Tx,
    destination: &OwnedServerName,
    told: &PendingDevices,
) -> Result<()> {
    let (destination, user_id) = (destination.clone(), told.user_id.clone());
    let key = DeviceListOutKey { destination, user_id };
    match tx.get(&key).await? {
        Some(record) if record.changes != told.changes => {
            tx.put(&key, &DeviceListOutRecord { from: told.to, ..record })?;
        }
        Some(_) => tx.delete(&key),
        None => {}
    }
    Ok(())
}
