//! Uploads of device keys, one-time keys and fallback keys.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysupload>

use std::collections::{BTreeMap, BTreeSet};

use pli_schema::{
    Topic,
    records::{
        accounts::DeviceKey,
        encryption::{
            CrossSigningKeyKey, CrossSigningUsage, DeviceKeysKey, DeviceKeysRecord,
            KeySignatureKey, KeyStockKey,
        },
    },
};
use pli_store::Tx;
use ruma::{
    DeviceId, OneTimeKeyAlgorithm, OwnedDeviceId, OwnedOneTimeKeyId, OwnedUserId, UserId,
    canonical_json::to_canonical_value,
    encryption::{DeviceKeys, OneTimeKey},
    serde::Raw,
};
use serde_json::value::RawValue;

use super::{
    Encryption, device_list_changed,
    one_time_keys::{self, NewKey},
    removal::remove_one_time_keys,
    signed_json::{SignedJson, is_public_key},
    stock,
};
use crate::{Error, Result};

/// Largest one-time or fallback key, in bytes of its JSON.
const KEY_MAX_BYTES: usize = 4_096;
/// Most keys in one upload.
const KEYS_MAX: usize = 1_000;

/// What a device uploads.
#[derive(Clone, Debug, Default)]
pub struct KeyUpload {
    /// The identity keys.
    pub device_keys: Option<Raw<DeviceKeys>>,
    /// One-time keys by id.
    pub one_time_keys: BTreeMap<OwnedOneTimeKeyId, Raw<OneTimeKey>>,
    /// Fallback keys by id, one per algorithm.
    pub fallback_keys: BTreeMap<OwnedOneTimeKeyId, Raw<OneTimeKey>>,
}

/// An upload that has the right form and signatures.
#[derive(Debug)]
pub struct Checked {
    device_keys: Option<SignedJson>,
    one_time_keys: Vec<NewKey>,
    fallback_keys: Vec<NewKey>,
}

impl Encryption {
    /// Publishes keys of a device: all of them or none. What is there already with the same content is
    /// left as it is.
    ///
    /// # Errors
    /// [`Error::BadJson`], [`Error::InvalidParam`], [`Error::TooLarge`] for keys of a wrong form, of
    /// another user or device, or for a one-time key whose id stands for another key;
    /// [`Error::InvalidSignature`] if the device keys are not signed by the device.
    pub async fn upload_keys(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        upload: &KeyUpload,
    ) -> Result<Vec<(OneTimeKeyAlgorithm, u32)>> {
        let checked = &check_upload(user_id, device_id, upload)?;
        let _lane = self.hold(std::iter::once((user_id, device_id))).await;
        let device = &(user_id.to_owned(), device_id.to_owned());
        self.store
            .write(|tx| async move {
                require_device(&tx, device).await?;
                put_upload(&tx, device, checked).await
            })
            .await
    }
}

/// Publishes checked keys of a device within a transaction.
///
/// # Errors
/// As [`Encryption::upload_keys`].
pub async fn put_upload(
    tx: &Tx,
    device: &(OwnedUserId, OwnedDeviceId),
    checked: &Checked,
) -> Result<Vec<(OneTimeKeyAlgorithm, u32)>> {
    if let Some(keys) = &checked.device_keys {
        put_device_keys(tx, device, keys).await?;
    }
    let key = KeyStockKey { user_id: device.0.clone(), device_id: device.1.clone() };
    let before = tx.get(&key).await?;
    let mut stock = before.clone().unwrap_or_default();
    one_time_keys::put(tx, device, &checked.one_time_keys, &mut stock).await?;
    one_time_keys::put_fallback(tx, device, &checked.fallback_keys, &mut stock).await?;
    if before.as_ref() != Some(&stock) {
        tx.put(&key, &stock)?;
        tx.wake(Topic::Device(device.0.clone(), device.1.clone()));
    }
    Ok(stock::counts(&stock))
}

async fn require_device(tx: &Tx, (user, device): &(OwnedUserId, OwnedDeviceId)) -> Result<()> {
    let key = DeviceKey { user_id: user.clone(), device_id: device.clone() };
    if tx.get(&key).await?.is_some() {
        Ok(())
    } else {
        Err(Error::UnknownToken { soft_logout: false })
    }
}

/// Writes device keys if they are new. Another identity makes the old one-time keys worthless.
async fn put_device_keys(
    tx: &Tx,
    device: &(OwnedUserId, OwnedDeviceId),
    keys: &SignedJson,
) -> Result<()> {
    let (user, device_id) = device;
    let key = DeviceKeysKey { user_id: user.clone(), device_id: device_id.clone() };
    let before = tx.get(&key).await?;
    let mut changed = false;
    if before.as_ref().is_none_or(|record| record.json != keys.canonical) {
        if let Some(before) = before
            && identity(&before.json) != identity(&keys.canonical)
        {
            remove_one_time_keys(tx, user, device_id).await?;
        }
        tx.put(&key, &DeviceKeysRecord { json: keys.canonical.clone() })?;
        changed = true;
    }
    for (key_id, signature) in trusted_signatures(tx, user, device_id, keys).await? {
        let key = KeySignatureKey {
            user_id: user.clone(),
            target: device_id.to_string(),
            signer: user.clone(),
            signing_key_id: key_id,
        };
        if tx.get(&key).await?.as_ref() != Some(&signature) {
            tx.put(&key, &signature)?;
            changed = true;
        }
    }
    if changed {
        device_list_changed(tx, user).await?;
    }
    Ok(())
}

/// The `keys` of stored device keys.
fn identity(json: &str) -> Option<serde_json::Value> {
    let object: serde_json::Value = serde_json::from_str(json).ok()?;
    object.get("keys").cloned()
}

/// Of the owner's signatures those that verify: the device's own, and the self-signing key's.
async fn trusted_signatures(
    tx: &Tx,
    user: &OwnedUserId,
    device_id: &DeviceId,
    keys: &SignedJson,
) -> Result<Vec<(String, String)>> {
    let own = format!("ed25519:{device_id}");
    let mut trusted = Vec::new();
    if let Some(signature) = keys.signature(user, &own) {
        trusted.push((own, signature.to_owned()));
    }
    let usage = CrossSigningUsage::SelfSigning as u8;
    let key = CrossSigningKeyKey { user_id: user.clone(), usage };
    if let Some(record) = tx.get(&key).await? {
        let key_id = format!("ed25519:{}", record.public_key);
        if let Some(signature) = keys.signature(user, &key_id)
            && keys.is_signed_by(user, &key_id, &record.public_key)
        {
            trusted.push((key_id, signature.to_owned()));
        }
    }
    Ok(trusted)
}

/// Checks form and signatures of an upload.
///
/// # Errors
/// As [`Encryption::upload_keys`].
pub fn check_upload(user_id: &UserId, device_id: &DeviceId, upload: &KeyUpload) -> Result<Checked> {
    let device_keys = match &upload.device_keys {
        Some(raw) => Some(check_device_keys(user_id, device_id, raw.json())?),
        None => None,
    };
    if upload.one_time_keys.len().saturating_add(upload.fallback_keys.len()) > KEYS_MAX {
        return Err(Error::too_large("At most 1000 keys may be uploaded at once"));
    }
    let fallback_keys = check_keys(&upload.fallback_keys)?;
    let algorithms: BTreeSet<&str> =
        fallback_keys.iter().map(|key| key.algorithm.as_str()).collect();
    if algorithms.len() < fallback_keys.len() {
        return Err(Error::invalid_param("There may be one fallback key per algorithm"));
    }
    Ok(Checked { device_keys, one_time_keys: check_keys(&upload.one_time_keys)?, fallback_keys })
}

/// Whether a device's keys have the form that clients rely on, and are signed by the device: also those
/// of users of other servers.
#[must_use]
pub fn are_device_keys(user_id: &UserId, device_id: &DeviceId, json: &RawValue) -> bool {
    check_device_keys(user_id, device_id, json).is_ok()
}

/// The form that other servers and clients rely on, whatever this server makes of it (CVE-2025-61672).
fn check_device_keys(
    user_id: &UserId,
    device_id: &DeviceId,
    json: &RawValue,
) -> Result<SignedJson> {
    let keys = SignedJson::parse(json)?;
    if keys.string("user_id") != Some(user_id.as_str()) {
        return Err(Error::invalid_param("`user_id` of the device keys is not yours"));
    }
    if keys.string("device_id") != Some(device_id.as_str()) {
        return Err(Error::invalid_param("`device_id` of the device keys is not this device"));
    }
    keys.strings("algorithms")?;
    let own = format!("ed25519:{device_id}");
    let public_keys = keys.keys()?;
    for key_id in public_keys.keys() {
        if key_id.split_once(':').is_none_or(|(_, device)| device != device_id.as_str()) {
            return Err(Error::invalid_param(format!("`{key_id}` is no key of this device")));
        }
    }
    let Some(public_key) = public_keys.get(own.as_str()).filter(|key| is_public_key(key)) else {
        return Err(Error::invalid_param(format!("The device keys have no public key `{own}`")));
    };
    if !keys.is_signed_by(user_id, &own, public_key) {
        return Err(Error::InvalidSignature("The device keys are not signed by the device".into()));
    }
    Ok(keys)
}

fn check_keys(keys: &BTreeMap<OwnedOneTimeKeyId, Raw<OneTimeKey>>) -> Result<Vec<NewKey>> {
    keys.iter().map(|(key_id, raw)| check_key(key_id, raw.json())).collect()
}

fn check_key(key_id: &OwnedOneTimeKeyId, json: &RawValue) -> Result<NewKey> {
    let wrong = |what: &str| Error::bad_json(format!("The one-time key `{key_id}` {what}"));
    if json.get().len() > KEY_MAX_BYTES || key_id.as_str().len() > 255 {
        return Err(Error::too_large(format!("The one-time key `{key_id}` is too large")));
    }
    let algorithm = key_id.algorithm();
    let signed = algorithm.as_str().starts_with("signed_");
    let canonical = if signed {
        let key = SignedJson::parse(json)?;
        if key.string("key").is_none() {
            return Err(wrong("has no `key`"));
        }
        if key.signatures.is_empty() {
            return Err(wrong("is not signed"));
        }
        canonical(json)?
    } else {
        let text: String = serde_json::from_str(json.get()).map_err(|_| wrong("is no string"))?;
        serde_json::Value::String(text).to_string()
    };
    Ok(NewKey {
        algorithm: algorithm.to_string(),
        key_id: key_id.key_name().to_string(),
        json: canonical,
    })
}

/// The canonical JSON of a value, with signatures.
fn canonical(json: &RawValue) -> Result<String> {
    let wrong = |error: String| Error::bad_json(format!("A key is no canonical JSON: {error}"));
    let value: serde_json::Value =
        serde_json::from_str(json.get()).map_err(|error| wrong(error.to_string()))?;
    let value = to_canonical_value(value).map_err(|error| wrong(error.to_string()))?;
    Ok(value.to_string())
}
