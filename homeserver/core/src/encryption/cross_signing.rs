//! Cross-signing keys.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#cross-signing>

use pli_schema::records::encryption::{
    CrossSigningKeyKey, CrossSigningKeyRecord, CrossSigningUsage, DeviceKeysKey, KeySignatureKey,
};
use pli_store::{Scan, Tx};
use ruma::{OwnedUserId, UserId, encryption::CrossSigningKey, serde::Raw};

use super::{
    Encryption, device_list_changed,
    signatures::device_public_key,
    signed_json::{SignedJson, is_public_key},
};
use crate::{Error, Result};

/// What a user uploads.
#[derive(Clone, Debug, Default)]
pub struct CrossSigningUpload {
    /// The master key.
    pub master_key: Option<Raw<CrossSigningKey>>,
    /// The self-signing key.
    pub self_signing_key: Option<Raw<CrossSigningKey>>,
    /// The user-signing key.
    pub user_signing_key: Option<Raw<CrossSigningKey>>,
}

/// A cross-signing key of the right form.
#[derive(Clone, Debug)]
struct Checked {
    usage: CrossSigningUsage,
    public_key: String,
    json: SignedJson,
}

impl Encryption {
    /// Whether an upload needs user-interactive authentication: there is a master key already, and the
    /// upload brings a key that is not there.
    ///
    /// # Errors
    /// As [`Self::upload_cross_signing_keys`] for keys of a wrong form.
    pub async fn cross_signing_needs_authentication(
        &self,
        user_id: &UserId,
        upload: &CrossSigningUpload,
    ) -> Result<bool> {
        let master = key_of(user_id, CrossSigningUsage::Master);
        if self.store.get(&master).await?.is_none() {
            return Ok(false);
        }
        for key in check(user_id, upload)? {
            let stored = self.store.get(&key_of(user_id, key.usage)).await?;
            if stored.is_none_or(|record| record.json != key.json.canonical) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Publishes cross-signing keys: all of them or none. Whoever calls has seen to the
    /// authentication that [`Self::cross_signing_needs_authentication`] asks for; `authenticated`
    /// tells, and is looked at again here, in the transaction.
    ///
    /// # Errors
    /// [`Error::BadJson`], [`Error::InvalidParam`] for keys of a wrong form;
    /// [`Error::InvalidSignature`] if the self-signing or user-signing key is not signed by the master
    /// key; [`Error::MissingParam`] without a master key; [`Error::Forbidden`] if a key is named as a
    /// device, or if authentication is missing.
    pub async fn upload_cross_signing_keys(
        &self,
        user_id: &UserId,
        upload: &CrossSigningUpload,
        authenticated: bool,
    ) -> Result<()> {
        let keys = &check(user_id, upload)?;
        let user = &user_id.to_owned();
        self.store
            .write(|tx| async move {
                let stored_master = tx.get(&key_of(user, CrossSigningUsage::Master)).await?;
                let had_master = stored_master.is_some();
                let master = keys
                    .iter()
                    .find(|key| key.usage == CrossSigningUsage::Master)
                    .map(|key| key.public_key.clone())
                    .or(stored_master.map(|record| record.public_key));
                let master =
                    master.ok_or_else(|| Error::missing_param("There is no master key"))?;
                let mut changed = false;
                for key in keys {
                    let place = key_of(user, key.usage);
                    let before = tx.get(&place).await?;
                    let new = before.as_ref().is_none_or(|b| b.json != key.json.canonical);
                    if new && had_master && !authenticated {
                        return Err(Error::forbidden(
                            "Authentication is needed to change the keys",
                        ));
                    }
                    if let Some(before) = before.filter(|b| b.public_key != key.public_key) {
                        forget_signatures(&tx, user, &before.public_key).await?;
                    }
                    changed |= put_key(&tx, user, key, &master).await?;
                }
                if changed {
                    device_list_changed(&tx, user).await?;
                }
                Ok(())
            })
            .await
    }
}

fn key_of(user_id: &UserId, usage: CrossSigningUsage) -> CrossSigningKeyKey {
    CrossSigningKeyKey { user_id: user_id.to_owned(), usage: usage as u8 }
}

/// Writes a key with its verified signatures. Returns whether anything is new.
async fn put_key(tx: &Tx, user: &OwnedUserId, key: &Checked, master: &str) -> Result<bool> {
    let device = DeviceKeysKey { user_id: user.clone(), device_id: key.public_key.as_str().into() };
    if tx.get(&device).await?.is_some() {
        return Err(Error::forbidden("The key has the name of a device"));
    }
    let signatures = match key.usage {
        CrossSigningUsage::Master => device_signatures(tx, user, &key.json).await?,
        CrossSigningUsage::SelfSigning | CrossSigningUsage::UserSigning => {
            let key_id = format!("ed25519:{master}");
            if !key.json.is_signed_by(user, &key_id, master) {
                let text = "The key is not signed by the master key";
                return Err(Error::InvalidSignature(text.to_owned()));
            }
            let signature = key.json.signature(user, &key_id).unwrap_or_default().to_owned();
            vec![(key_id, signature)]
        }
    };
    let record = CrossSigningKeyRecord {
        json: key.json.canonical.clone(),
        public_key: key.public_key.clone(),
    };
    let place = key_of(user, key.usage);
    let mut changed = false;
    if tx.get(&place).await?.as_ref() != Some(&record) {
        tx.put(&place, &record)?;
        changed = true;
    }
    for (signing_key_id, signature) in signatures {
        let target = key.public_key.clone();
        let (user_id, signer) = (user.clone(), user.clone());
        let key = KeySignatureKey { user_id, target, signer, signing_key_id };
        if tx.get(&key).await?.as_ref() != Some(&signature) {
            tx.put(&key, &signature)?;
            changed = true;
        }
    }
    Ok(changed)
}

/// The signatures of the user's devices on a master key. One that does not verify is an error; those of
/// keys that are not known here are left out.
async fn device_signatures(
    tx: &Tx,
    user: &OwnedUserId,
    master: &SignedJson,
) -> Result<Vec<(String, String)>> {
    let mut verified = Vec::new();
    for (key_id, signature) in master.signatures.get(user).into_iter().flatten() {
        let Some(public_key) = device_public_key(tx, user, key_id).await? else {
            continue;
        };
        if !master.is_signed_by(user, key_id, &public_key) {
            let text = format!("The signature of the master key with {key_id} is not valid");
            return Err(Error::InvalidSignature(text));
        }
        verified.push((key_id.clone(), signature.clone()));
    }
    Ok(verified)
}

/// A key was replaced: what it had signed of the user's own keys, and the signatures it had.
async fn forget_signatures(tx: &Tx, user: &OwnedUserId, public_key: &str) -> Result<()> {
    let signing_key_id = format!("ed25519:{public_key}");
    for row in tx.scan(&Scan::<KeySignatureKey>::prefix((user.clone(),))).await? {
        let by_it = row.key.signer == *user && row.key.signing_key_id == signing_key_id;
        if by_it || row.key.target == public_key {
            tx.delete(&row.key);
        }
    }
    Ok(())
}

fn check(user_id: &UserId, upload: &CrossSigningUpload) -> Result<Vec<Checked>> {
    let parts = [
        (CrossSigningUsage::Master, "master", &upload.master_key),
        (CrossSigningUsage::SelfSigning, "self_signing", &upload.self_signing_key),
        (CrossSigningUsage::UserSigning, "user_signing", &upload.user_signing_key),
    ];
    let mut keys = Vec::new();
    for (usage, name, raw) in parts {
        if let Some(raw) = raw {
            keys.push(check_key(user_id, usage, name, raw)?);
        }
    }
    Ok(keys)
}

/// Whether a key has the form of a master key (or else of a self-signing key) of a user, also of another
/// server.
#[must_use]
pub fn is_cross_signing_key(user_id: &UserId, is_master: bool, raw: &Raw<CrossSigningKey>) -> bool {
    let (usage, name) = match is_master {
        true => (CrossSigningUsage::Master, "master"),
        false => (CrossSigningUsage::SelfSigning, "self_signing"),
    };
    check_key(user_id, usage, name, raw).is_ok()
}

fn check_key(
    user_id: &UserId,
    usage: CrossSigningUsage,
    name: &str,
    raw: &Raw<CrossSigningKey>,
) -> Result<Checked> {
    let json = SignedJson::parse(raw.json())?;
    if json.string("user_id") != Some(user_id.as_str()) {
        return Err(Error::invalid_param(format!("`user_id` of the {name} key is not yours")));
    }
    if !json.strings("usage")?.contains(&name) {
        return Err(Error::invalid_param(format!("`usage` of the {name} key has no `{name}`")));
    }
    let wrong =
        || Error::invalid_param(format!("`keys` of the {name} key must be one ed25519 key"));
    let keys = json.keys()?;
    let mut keys = keys.iter();
    let (Some((key_id, public_key)), None) = (keys.next(), keys.next()) else {
        return Err(wrong());
    };
    if key_id.strip_prefix("ed25519:") != Some(public_key) || !is_public_key(public_key) {
        return Err(wrong());
    }
    Ok(Checked { usage, public_key: (*public_key).to_owned(), json: json.clone() })
}
