//! Signed JSON objects: taken apart into object and signatures, compared, verified.
//!
//! Spec: <https://spec.matrix.org/v1.19/appendices/#signing-json>

use std::collections::BTreeMap;

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedUserId, SigningKeyAlgorithm, UserId,
    canonical_json::to_canonical_value,
    serde::{Base64, base64::Standard},
    signatures::{to_canonical_json_string_for_signing, verify_canonical_json_bytes},
};
use serde_json::value::RawValue;

use crate::{Error, Result};

/// Largest device key or cross-signing key, in bytes of its JSON.
const OBJECT_MAX_BYTES: usize = 16_384;

/// Signatures by signer and key id (`ed25519:…`).
pub(super) type Signatures = BTreeMap<OwnedUserId, BTreeMap<String, String>>;

/// A signed object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SignedJson {
    /// The object without `signatures` and `unsigned`.
    pub(super) object: CanonicalJsonObject,
    /// The signatures, not verified yet.
    pub(super) signatures: Signatures,
    /// What the signatures sign: the canonical JSON of the object.
    pub(super) canonical: String,
}

impl SignedJson {
    /// Takes a client's object apart.
    ///
    /// # Errors
    /// [`Error::BadJson`] if it is no object, no canonical JSON, or `signatures` has another shape;
    /// [`Error::TooLarge`].
    pub(super) fn parse(json: &RawValue) -> Result<Self> {
        if json.get().len() > OBJECT_MAX_BYTES {
            return Err(Error::too_large("A key is larger than 16 KiB"));
        }
        let value: serde_json::Value = serde_json::from_str(json.get())
            .map_err(|error| Error::bad_json(format!("A key is no JSON: {error}")))?;
        let value = to_canonical_value(value)
            .map_err(|error| Error::bad_json(format!("A key is no canonical JSON: {error}")))?;
        let CanonicalJsonValue::Object(mut object) = value else {
            return Err(Error::bad_json("A key must be an object"));
        };
        object.remove("unsigned");
        let signatures = match object.remove("signatures") {
            Some(value) => parse_signatures(value)?,
            None => Signatures::new(),
        };
        let canonical = to_canonical_json_string_for_signing(&object)
            .map_err(|error| Error::bad_json(format!("A key is no canonical JSON: {error}")))?;
        Ok(Self { object, signatures, canonical })
    }

    /// A string of the object.
    pub(super) fn string(&self, field: &str) -> Option<&str> {
        match self.object.get(field) {
            Some(CanonicalJsonValue::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The map of strings under `keys`.
    ///
    /// # Errors
    /// [`Error::BadJson`] if it is not one.
    pub(super) fn keys(&self) -> Result<BTreeMap<&str, &str>> {
        string_map(self.object.get("keys"))
            .ok_or_else(|| Error::bad_json("`keys` must be a map of strings"))
    }

    /// The list of strings under `field`.
    ///
    /// # Errors
    /// [`Error::BadJson`] if it is not one.
    pub(super) fn strings(&self, field: &str) -> Result<Vec<&str>> {
        let wrong = || Error::bad_json(format!("`{field}` must be a list of strings"));
        let Some(CanonicalJsonValue::Array(items)) = self.object.get(field) else {
            return Err(wrong());
        };
        items.iter().map(|item| item.as_str().ok_or_else(wrong)).collect()
    }

    /// The signature of a signer with a key.
    pub(super) fn signature(&self, signer: &UserId, key_id: &str) -> Option<&str> {
        self.signatures.get(signer)?.get(key_id).map(String::as_str)
    }

    /// Whether the signature of `signer` with `key_id` is there and valid for this public key.
    pub(super) fn is_signed_by(&self, signer: &UserId, key_id: &str, public_key: &str) -> bool {
        self.signature(signer, key_id)
            .is_some_and(|signature| verifies(&self.canonical, public_key, signature))
    }
}

/// Whether an ed25519 signature (base64) of a text is valid for a public key (base64).
pub(super) fn verifies(canonical: &str, public_key: &str, signature: &str) -> bool {
    let (Ok(public_key), Ok(signature)) =
        (Base64::<Standard>::parse(public_key), Base64::<Standard>::parse(signature))
    else {
        return false;
    };
    verify_canonical_json_bytes(
        &SigningKeyAlgorithm::Ed25519,
        public_key.as_bytes(),
        signature.as_bytes(),
        canonical.as_bytes(),
    )
    .is_ok()
}

/// Whether a text is an unpadded base64 public key of 32 bytes.
pub(super) fn is_public_key(text: &str) -> bool {
    !text.contains('=')
        && Base64::<Standard>::parse(text).is_ok_and(|key| key.as_bytes().len() == 32)
}

fn string_map(value: Option<&CanonicalJsonValue>) -> Option<BTreeMap<&str, &str>> {
    let CanonicalJsonValue::Object(map) = value? else {
        return None;
    };
    map.iter().map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
}

fn parse_signatures(value: CanonicalJsonValue) -> Result<Signatures> {
    let wrong = || Error::bad_json("`signatures` must map users to key ids to strings");
    let CanonicalJsonValue::Object(by_signer) = value else {
        return Err(wrong());
    };
    let mut signatures = Signatures::new();
    for (signer, by_key) in &by_signer {
        let signer = UserId::parse(signer).map_err(|_| wrong())?;
        let by_key = string_map(Some(by_key)).ok_or_else(wrong)?;
        let by_key = by_key.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        signatures.insert(signer, by_key.collect());
    }
    Ok(signatures)
}

/// An object as it goes out: with signatures, and a device's name if it has one.
///
/// # Errors
/// [`Error::Bug`] if the stored text is no object.
pub(super) fn with_signatures(
    json: &str,
    signatures: &Signatures,
    display_name: Option<&str>,
) -> Result<Box<RawValue>> {
    let bug = |error: serde_json::Error| Error::bug(format!("stored key: {error}"));
    let mut object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(json).map_err(bug)?;
    object.insert("signatures".to_owned(), serde_json::to_value(signatures).map_err(bug)?);
    if let Some(name) = display_name {
        object.insert("unsigned".to_owned(), serde_json::json!({ "device_display_name": name }));
    }
    serde_json::value::to_raw_value(&object).map_err(bug)
}

/// A signed object that came with its signatures, with those of one signer besides.
///
/// # Errors
/// [`Error::Bug`] if the text is no object.
pub(super) fn with_signatures_of(
    json: &str,
    signer: &UserId,
    signatures: &BTreeMap<String, String>,
) -> Result<Box<RawValue>> {
    let bug = |error: serde_json::Error| Error::bug(format!("stored key: {error}"));
    let mut object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(json).map_err(bug)?;
    let all = object.entry("signatures").or_insert_with(|| serde_json::json!({}));
    if let Some(all) = all.as_object_mut() {
        let own = all.entry(signer.as_str()).or_insert_with(|| serde_json::json!({}));
        if let Some(own) = own.as_object_mut() {
            own.extend(signatures.iter().map(|(key, text)| (key.clone(), text.clone().into())));
        }
    }
    serde_json::value::to_raw_value(&object).map_err(bug)
}
