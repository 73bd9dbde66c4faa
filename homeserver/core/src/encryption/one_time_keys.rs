//! One-time keys: first in, first out, and never twice.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysclaim>

use std::collections::BTreeMap;

use pli_schema::{
    Stamp, Topic,
    records::encryption::{
        FallbackKeyKey, FallbackKeyRecord, KeyStockKey, KeyStockRecord, OneTimeKeyByIdKey,
        OneTimeKeyKey, OneTimeKeyPlace, OneTimeKeyRecord,
    },
};
use pli_store::{Scan, Tx};
use ruma::{
    OneTimeKeyAlgorithm, OneTimeKeyId, OneTimeKeyName, OwnedDeviceId, OwnedOneTimeKeyId,
    OwnedUserId, encryption::OneTimeKey, serde::Raw,
};
use sha2::{Digest, Sha256};

use super::{Encryption, stock};
use crate::{Error, Result};

/// Most unclaimed keys of a device and an algorithm.
const STOCK_MAX: u32 = 1_000;
/// Devices whose keys are claimed in one transaction.
const CLAIMS_PER_COMMIT: usize = 64;

/// The keys that are wanted.
pub type KeyClaims = BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, OneTimeKeyAlgorithm>>;

/// The keys that were got: at most one per device.
pub type ClaimedKeys =
    BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, BTreeMap<OwnedOneTimeKeyId, Raw<OneTimeKey>>>>;

/// A one-time or fallback key of an upload.
#[derive(Clone, Debug)]
pub(super) struct NewKey {
    pub(super) algorithm: String,
    pub(super) key_id: String,
    /// In canonical JSON.
    pub(super) json: String,
}

type Device = (OwnedUserId, OwnedDeviceId);

/// A key that was taken: its id and its JSON.
type Taken = Option<(String, String)>;

impl Encryption {
    /// Hands out one key per device: the oldest one-time key, else the fallback key. Devices that are
    /// not here or have no key are not in the answer.
    ///
    /// # Errors
    /// Those of the store. Keys of devices that come before the failure in order are spent then.
    pub async fn claim_keys(&self, claims: &KeyClaims) -> Result<ClaimedKeys> {
        let wanted: Vec<(Device, String)> = claims
            .iter()
            .filter(|(user, _)| self.is_local(user))
            .flat_map(|(user, devices)| {
                let one = |(device, algorithm): (&OwnedDeviceId, &OneTimeKeyAlgorithm)| {
                    ((user.clone(), device.clone()), algorithm.to_string())
                };
                devices.iter().map(one)
            })
            .collect();
        let mut claimed = ClaimedKeys::new();
        for part in wanted.chunks(CLAIMS_PER_COMMIT) {
            let devices = part.iter().map(|((user, device), _)| (user.as_ref(), device.as_ref()));
            let _lanes = self.hold(devices).await;
            let taken = self.take(part).await?;
            for (((user, device), algorithm), taken) in part.iter().zip(taken) {
                let Some((name, json)) = taken else { continue };
                let key_id = key_id(algorithm, &name)?;
                let raw = Raw::from_json_string(json)
                    .map_err(|error| Error::bug(format!("stored one-time key: {error}")))?;
                let devices = claimed.entry(user.clone()).or_default();
                devices.entry(device.clone()).or_default().insert(key_id, raw);
            }
        }
        Ok(claimed)
    }

    async fn take(&self, wanted: &[(Device, String)]) -> Result<Vec<Taken>> {
        self.store
            .write(|tx| async move {
                let mut taken = Vec::with_capacity(wanted.len());
                for (device, algorithm) in wanted {
                    taken.push(take_key(&tx, device, algorithm).await?);
                }
                Ok(taken)
            })
            .await
    }
}

fn key_id(algorithm: &str, name: &str) -> Result<OwnedOneTimeKeyId> {
    let name: &OneTimeKeyName = name.into();
    Ok(OneTimeKeyId::from_parts(algorithm.into(), name))
}

async fn take_key(tx: &Tx, device: &Device, algorithm: &str) -> Result<Taken> {
    let (user_id, device_id) = device.clone();
    let stock_key = KeyStockKey { user_id: user_id.clone(), device_id: device_id.clone() };
    let Some(mut stock) = tx.get(&stock_key).await? else {
        return Ok(None);
    };
    let queue = Scan::<OneTimeKeyKey>::prefix((user_id, device_id, algorithm.to_owned())).limit(1);
    if let Some(row) = tx.scan(&queue).await?.into_iter().next() {
        let by_id = by_id(device, algorithm, &row.key.key_id);
        if let Some(mut place) = tx.get(&by_id).await? {
            place.claimed = true;
            tx.put(&by_id, &place)?;
        }
        tx.delete(&row.key);
        stock::add(&mut stock, algorithm, -1);
        tx.put(&stock_key, &stock)?;
        tx.wake(Topic::Device(device.0.clone(), device.1.clone()));
        return Ok(Some((row.key.key_id, row.record.json)));
    }
    let key = fallback(device, algorithm);
    let Some(mut record) = tx.get(&key).await? else {
        return Ok(None);
    };
    let taken = (record.key_id.clone(), record.json.clone());
    if !record.used {
        record.used = true;
        tx.put(&key, &record)?;
        stock.unused_fallback.retain(|name| name != algorithm);
        tx.put(&stock_key, &stock)?;
        tx.wake(Topic::Device(device.0.clone(), device.1.clone()));
    }
    Ok(Some(taken))
}

/// Puts one-time keys at the end of the queue. A key that is there with the same content, or was and is
/// claimed, is left alone.
pub(super) async fn put(
    tx: &Tx,
    device: &Device,
    keys: &[NewKey],
    stock: &mut KeyStockRecord,
) -> Result<()> {
    for (index, key) in (0_u32..).zip(keys) {
        let by_id = by_id(device, &key.algorithm, &key.key_id);
        let hash = hash(&key.json);
        if let Some(place) = tx.get(&by_id).await? {
            if place.hash == hash {
                continue;
            }
            if !place.claimed {
                let (algorithm, id) = (&key.algorithm, &key.key_id);
                let text =
                    format!("One-time key {algorithm}:{id} is here already, with other content");
                return Err(Error::invalid_param(text));
            }
        }
        tx.put(&by_id, &OneTimeKeyPlace { index, hash, claimed: false })?;
        let queued = OneTimeKeyKey {
            user_id: device.0.clone(),
            device_id: device.1.clone(),
            algorithm: key.algorithm.clone(),
            at: Stamp::Commit,
            index,
            key_id: key.key_id.clone(),
        };
        tx.put(&queued, &OneTimeKeyRecord { json: key.json.clone() })?;
        stock::add(stock, &key.algorithm, 1);
    }
    if stock.one_time.iter().any(|(_, count)| *count > STOCK_MAX) {
        return Err(Error::too_large("The device has too many one-time keys here"));
    }
    Ok(())
}

/// Replaces fallback keys. The same key again stays used if it was.
pub(super) async fn put_fallback(
    tx: &Tx,
    device: &Device,
    keys: &[NewKey],
    stock: &mut KeyStockRecord,
) -> Result<()> {
    for key in keys {
        let stored = fallback(device, &key.algorithm);
        let before = tx.get(&stored).await?;
        if before.is_some_and(|b| b.key_id == key.key_id && b.json == key.json) {
            continue;
        }
        let record =
            FallbackKeyRecord { key_id: key.key_id.clone(), json: key.json.clone(), used: false };
        tx.put(&stored, &record)?;
        if !stock.unused_fallback.contains(&key.algorithm) {
            stock.unused_fallback.push(key.algorithm.clone());
        }
    }
    Ok(())
}

fn by_id((user, device): &Device, algorithm: &str, key_id: &str) -> OneTimeKeyByIdKey {
    OneTimeKeyByIdKey {
        user_id: user.clone(),
        device_id: device.clone(),
        algorithm: algorithm.to_owned(),
        key_id: key_id.to_owned(),
    }
}

fn fallback((user, device): &Device, algorithm: &str) -> FallbackKeyKey {
    FallbackKeyKey {
        user_id: user.clone(),
        device_id: device.clone(),
        algorithm: algorithm.to_owned(),
    }
}

fn hash(json: &str) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(json.as_bytes()).into();
    digest.first_chunk().copied().unwrap_or_default()
}
