//! Signatures of keys: verified before they are stored.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keyssignaturesupload>

use std::collections::BTreeMap;

use pli_schema::{
    Stamp, Topic,
    records::{
        encryption::{
            CrossSigningKeyKey, CrossSigningUsage, DeviceKeysKey, KeySignatureKey,
            SignatureChangeKey,
        },
        sending::RemoteUserKey,
    },
};
use pli_store::Tx;
use ruma::{OwnedUserId, UserId};
use serde_json::value::RawValue;

use super::{Encryption, device_list_changed, signed_json::SignedJson};
use crate::{Error, Result};

/// Why signatures of one key were not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureFailure {
    /// `M_INVALID_SIGNATURE`, `M_NOT_FOUND` or `M_INVALID_PARAM`.
    pub errcode: &'static str,
    /// The text.
    pub error: String,
}

/// Failures by user and key id.
pub type SignatureFailures = BTreeMap<OwnedUserId, BTreeMap<String, SignatureFailure>>;

/// Most keys in one upload.
const KEYS_MAX: usize = 1_000;

fn failure(errcode: &'static str, error: &str) -> SignatureFailure {
    SignatureFailure { errcode, error: error.to_owned() }
}

fn invalid(error: &str) -> SignatureFailure {
    failure("M_INVALID_SIGNATURE", error)
}

/// The outcome for one key: the store failed, or the signatures were refused, or they are in.
type Outcome = Result<Result<(), SignatureFailure>>;

impl Encryption {
    /// Adds signatures made by a user: of the own devices with the self-signing key, of the own master
    /// key with a device, of others' master keys with the user-signing key. Each key is judged on its
    /// own; failures say why.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for more than 1000 keys; those of the store.
    pub async fn upload_signatures(
        &self,
        user_id: &UserId,
        signed: &BTreeMap<OwnedUserId, BTreeMap<String, Box<RawValue>>>,
    ) -> Result<SignatureFailures> {
        if signed.values().map(BTreeMap::len).fold(0_usize, usize::saturating_add) > KEYS_MAX {
            return Err(Error::too_large("At most 1000 keys may be signed at once"));
        }
        let mut failures = SignatureFailures::new();
        for (owner, keys) in signed {
            for (key_id, json) in keys {
                if let Err(failure) =
                    self.upload_signatures_of(user_id, owner, key_id, json).await?
                {
                    failures.entry(owner.clone()).or_default().insert(key_id.clone(), failure);
                }
            }
        }
        Ok(failures)
    }

    async fn upload_signatures_of(
        &self,
        signer: &UserId,
        owner: &OwnedUserId,
        key_id: &str,
        json: &RawValue,
    ) -> Outcome {
        let signed = match SignedJson::parse(json) {
            Ok(signed) => signed,
            Err(Error::Store(error)) => return Err(error.into()),
            Err(error) => return Ok(Err(failure("M_INVALID_PARAM", &error.to_string()))),
        };
        let (signed, signer) = (&signed, &signer.to_owned());
        self.store
            .write(|tx| async move {
                if owner == signer {
                    let outcome = if signed.object.contains_key("device_id") {
                        sign_own_device(&tx, signer, key_id, signed).await?
                    } else {
                        sign_own_master(&tx, signer, key_id, signed).await?
                    };
                    if let Ok(true) = outcome {
                        device_list_changed(&tx, signer).await?;
                    }
                    return Ok(outcome.map(|_| ()));
                }
                let outcome = sign_other(&tx, signer, owner, key_id, signed).await?;
                if let Ok(true) = outcome {
                    let observer = signer.clone();
                    let key =
                        SignatureChangeKey { observer, at: Stamp::Commit, user_id: owner.clone() };
                    tx.put(&key, &())?;
                    tx.wake(Topic::User(signer.clone()));
                }
                Ok(outcome.map(|_| ()))
            })
            .await
    }
}

/// Whether something was added, or why not.
type Added = Result<Result<bool, SignatureFailure>>;

async fn sign_own_device(
    tx: &Tx,
    user: &OwnedUserId,
    device_id: &str,
    signed: &SignedJson,
) -> Added {
    let key = DeviceKeysKey { user_id: user.clone(), device_id: device_id.into() };
    let Some(record) = tx.get(&key).await? else {
        return Ok(Err(failure("M_NOT_FOUND", "The device is not known here")));
    };
    if record.json != signed.canonical {
        return Ok(Err(invalid("What is signed is not the device's keys")));
    }
    let own_key_id = format!("ed25519:{device_id}");
    let usage = CrossSigningUsage::SelfSigning;
    let Some(public_key) = cross_signing_public_key(tx, user, usage).await? else {
        return Ok(Err(failure("M_NOT_FOUND", "You have no self-signing key")));
    };
    let mut candidates = Vec::new();
    for key_id in signed.signatures.get(user).into_iter().flat_map(BTreeMap::keys) {
        // The device's own signature comes along, as it was downloaded.
        if *key_id != own_key_id {
            candidates.push((
                key_id.clone(),
                (*key_id == format!("ed25519:{public_key}")).then(|| public_key.clone()),
            ));
        }
    }
    add(tx, user, user, device_id, (signed, candidates)).await
}

async fn sign_own_master(tx: &Tx, user: &OwnedUserId, key_id: &str, signed: &SignedJson) -> Added {
    if let Err(failure) = require_master(tx, user, key_id, signed).await? {
        return Ok(Err(failure));
    }
    let mut candidates = Vec::new();
    for key_id in signed.signatures.get(user).into_iter().flat_map(BTreeMap::keys) {
        candidates.push((key_id.clone(), device_public_key(tx, user, key_id).await?));
    }
    add(tx, user, user, key_id, (signed, candidates)).await
}

async fn sign_other(
    tx: &Tx,
    signer: &OwnedUserId,
    owner: &OwnedUserId,
    key_id: &str,
    signed: &SignedJson,
) -> Added {
    if let Err(failure) = require_master(tx, owner, key_id, signed).await? {
        return Ok(Err(failure));
    }
    let usage = CrossSigningUsage::UserSigning;
    let Some(public_key) = cross_signing_public_key(tx, signer, usage).await? else {
        return Ok(Err(failure("M_NOT_FOUND", "You have no user-signing key")));
    };
    let mine = format!("ed25519:{public_key}");
    let keys = signed.signatures.get(signer).into_iter().flat_map(BTreeMap::keys);
    let candidates = keys
        .map(|key_id| (key_id.clone(), (*key_id == mine).then(|| public_key.clone())))
        .collect();
    add(tx, signer, owner, key_id, (signed, candidates)).await
}

/// The signed object must be the owner's master key.
async fn require_master(
    tx: &Tx,
    owner: &OwnedUserId,
    key_id: &str,
    signed: &SignedJson,
) -> Result<Result<(), SignatureFailure>> {
    Ok(match master_key(tx, owner).await? {
        Some((public_key, canonical)) if public_key == key_id => {
            if canonical == signed.canonical {
                Ok(())
            } else {
                Err(invalid("What is signed is not the master key"))
            }
        }
        _ => Err(failure("M_NOT_FOUND", "There is no such key to be signed")),
    })
}

/// The public key and the canonical JSON of a user's master key; of a user of another server as far as
/// it is known here.
async fn master_key(tx: &Tx, owner: &OwnedUserId) -> Result<Option<(String, String)>> {
    let usage = CrossSigningUsage::Master as u8;
    let key = CrossSigningKeyKey { user_id: owner.clone(), usage };
    if let Some(record) = tx.get(&key).await? {
        return Ok(Some((record.public_key, record.json)));
    }
    let remote = tx.get(&RemoteUserKey { user_id: owner.clone() }).await?;
    let Some(json) = remote.and_then(|record| record.master_key) else { return Ok(None) };
    let raw: Box<RawValue> = serde_json::from_str(&json)
        .map_err(|error| Error::bug(format!("stored master key: {error}")))?;
    let key = SignedJson::parse(&raw)?;
    let public_key = key.keys()?.values().next().map(|&key| key.to_owned());
    Ok(public_key.map(|public_key| (public_key, key.canonical)))
}

/// Signatures to be added: the signing key's id, and its public key if that key may sign here.
type Candidates = Vec<(String, Option<String>)>;

/// Verifies and stores signatures; one wrong one spoils all of this key. What cannot be verified is not
/// stored.
async fn add(
    tx: &Tx,
    signer: &OwnedUserId,
    owner: &OwnedUserId,
    target: &str,
    (signed, candidates): (&SignedJson, Candidates),
) -> Added {
    let mut verified = Vec::new();
    for (key_id, public_key) in candidates {
        let signature = signed.signature(signer, &key_id).unwrap_or_default().to_owned();
        match public_key {
            Some(public_key) if signed.is_signed_by(signer, &key_id, &public_key) => {
                verified.push((key_id, signature));
            }
            Some(_) => return Ok(Err(invalid("The signature is not valid"))),
            // A signature that came along with the download, of a key that may not sign here.
            None => {}
        }
    }
    if verified.is_empty() {
        return Ok(Err(invalid("There is no signature by a key that may sign this")));
    }
    let mut added = false;
    for (signing_key_id, signature) in verified {
        let (user_id, signer) = (owner.clone(), signer.clone());
        let key = KeySignatureKey { user_id, target: target.to_owned(), signer, signing_key_id };
        if tx.get(&key).await?.as_ref() != Some(&signature) {
            tx.put(&key, &signature)?;
            added = true;
        }
    }
    Ok(Ok(added))
}

async fn cross_signing_public_key(
    tx: &Tx,
    user: &OwnedUserId,
    usage: CrossSigningUsage,
) -> Result<Option<String>> {
    let key = CrossSigningKeyKey { user_id: user.clone(), usage: usage as u8 };
    Ok(tx.get(&key).await?.map(|record| record.public_key))
}

/// The ed25519 key of a user's device, by key id (`ed25519:DEVICE`).
pub(super) async fn device_public_key(
    tx: &Tx,
    user: &OwnedUserId,
    key_id: &str,
) -> Result<Option<String>> {
    let Some(device_id) = key_id.strip_prefix("ed25519:") else {
        return Ok(None);
    };
    let key = DeviceKeysKey { user_id: user.clone(), device_id: device_id.into() };
    let Some(record) = tx.get(&key).await? else {
        return Ok(None);
    };
    let object: serde_json::Value = serde_json::from_str(&record.json)
        .map_err(|error| Error::bug(format!("stored device keys: {error}")))?;
    let key = object.get("keys").and_then(|keys| keys.get(key_id));
    Ok(key.and_then(|key| key.as_str()).map(str::to_owned))
}
