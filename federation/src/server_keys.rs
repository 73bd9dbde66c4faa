//! The keys that servers publish, and for what each is valid
//! (<https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys>).

use std::collections::BTreeMap;

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedServerName, OwnedServerSigningKeyId, ServerName,
    api::federation::discovery::ServerSigningKeys,
    serde::Base64,
    signatures::{to_canonical_json_string_for_signing, verify_canonical_json_bytes},
};
use serde::{Deserialize, Serialize};

use crate::keys::{KeyError, SigningKey};

/// Published keys are believed for at most this long after they were fetched: 7 days, in milliseconds.
pub const TRUST_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// Keys of one server that are kept at most.
const KEYS_MAX: usize = 100;

/// Why published keys are not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerKeysError {
    /// The answer has not the form of `GET /_matrix/key/v2/server`.
    #[error("not an answer with keys: {0}")]
    Malformed(String),
    /// It speaks of another server.
    #[error("keys of {0}, which was not asked for")]
    OtherServer(OwnedServerName),
    /// None of the keys in it has signed it, or a signature of one of them is wrong.
    #[error("not signed by its own keys")]
    NotSigned,
    /// More keys than a server has.
    #[error("too many keys")]
    TooMany,
}

/// A key that the server signed with once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldKey {
    /// The public key.
    pub key: Base64,
    /// What was signed later than this, in milliseconds since 1970, is not signed with it.
    pub expired_at_ms: u64,
}

/// The keys of one server, as it published them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerKeys {
    /// The keys it signs with.
    pub current: BTreeMap<OwnedServerSigningKeyId, Base64>,
    /// The keys it signed with once.
    pub old: BTreeMap<OwnedServerSigningKeyId, OldKey>,
    /// Until when it stands for [`Self::current`], in milliseconds since 1970; at most [`TRUST_MS`]
    /// after [`Self::fetched_at_ms`].
    pub valid_until_ms: u64,
    /// When this server heard of it.
    pub fetched_at_ms: u64,
}

impl ServerKeys {
    /// Reads an answer about the keys of `server`, and checks that it is signed with them.
    ///
    /// # Errors
    /// [`ServerKeysError`].
    pub fn read(
        server: &ServerName,
        answer: &CanonicalJsonObject,
        now_ms: u64,
    ) -> Result<Self, ServerKeysError> {
        let malformed = |error: serde_json::Error| ServerKeysError::Malformed(error.to_string());
        let value = serde_json::to_value(answer).map_err(malformed)?;
        let keys: ServerSigningKeys = serde_json::from_value(value).map_err(malformed)?;
        if keys.server_name != server {
            return Err(ServerKeysError::OtherServer(keys.server_name));
        }
        if keys.verify_keys.len() + keys.old_verify_keys.len() > KEYS_MAX {
            return Err(ServerKeysError::TooMany);
        }
        let current: BTreeMap<_, _> =
            keys.verify_keys.into_iter().map(|(id, key)| (id, key.key)).collect();
        require_own_signature(server, answer, &current)?;
        let old = keys.old_verify_keys.into_iter().map(|(id, old)| {
            (id, OldKey { key: old.key, expired_at_ms: u64::from(old.expired_ts.get()) })
        });
        let valid_until_ms = u64::from(keys.valid_until_ts.get()).min(now_ms + TRUST_MS);
        Ok(Self { current, old: old.collect(), valid_until_ms, fetched_at_ms: now_ms })
    }

    /// The key for what is signed now, such as a request.
    #[must_use]
    pub fn for_now(&self, id: &OwnedServerSigningKeyId, now_ms: u64) -> Option<&Base64> {
        self.current.get(id).filter(|_| now_ms <= self.valid_until_ms)
    }

    /// The key for an event of this time. Room versions before 5 do not look at the time
    /// (<https://spec.matrix.org/v1.19/rooms/v5/#signing-key-validity-period>).
    #[must_use]
    pub fn for_event(
        &self,
        id: &OwnedServerSigningKeyId,
        origin_server_ts: u64,
        enforce_validity: bool,
    ) -> Option<&Base64> {
        let valid_until = |until_ms| !enforce_validity || origin_server_ts <= until_ms;
        let current = self.current.get(id).filter(|_| valid_until(self.valid_until_ms));
        let old = || self.old.get(id).filter(|old| valid_until(old.expired_at_ms));
        current.or_else(|| old().map(|old| &old.key))
    }

    /// Takes in what was known before: a key that is no longer published stays good for what was
    /// signed while it was.
    pub fn remember(&mut self, earlier: &Self) {
        for (id, old) in &earlier.old {
            self.old.entry(id.clone()).or_insert_with(|| old.clone());
        }
        for (id, key) in &earlier.current {
            if !self.current.contains_key(id) {
                let expired_at_ms = earlier.valid_until_ms;
                let old = OldKey { key: key.clone(), expired_at_ms };
                self.old.entry(id.clone()).or_insert(old);
            }
        }
        while self.old.len() > KEYS_MAX {
            let oldest = self.old.iter().min_by_key(|(_, old)| old.expired_at_ms);
            let Some(id) = oldest.map(|(id, _)| id.clone()) else { break };
            self.old.remove(&id);
        }
    }
}

/// Every signature by a key of the answer must be right, and there must be one.
fn require_own_signature(
    server: &ServerName,
    answer: &CanonicalJsonObject,
    keys: &BTreeMap<OwnedServerSigningKeyId, Base64>,
) -> Result<(), ServerKeysError> {
    let mut signed = false;
    for (id, key) in keys {
        match is_signed_with(answer, server, id, key) {
            Some(true) => signed = true,
            Some(false) => return Err(ServerKeysError::NotSigned),
            None => {}
        }
    }
    if signed { Ok(()) } else { Err(ServerKeysError::NotSigned) }
}

/// Whether an object's signature by a key is right; `None` if it has none by this key.
#[must_use]
pub fn is_signed_with(
    object: &CanonicalJsonObject,
    server: &ServerName,
    id: &OwnedServerSigningKeyId,
    key: &Base64,
) -> Option<bool> {
    let CanonicalJsonValue::Object(signatures) = object.get("signatures")? else { return None };
    let CanonicalJsonValue::Object(own) = signatures.get(server.as_str())? else { return None };
    let CanonicalJsonValue::String(signature) = own.get(id.as_str())? else { return None };
    let right = || {
        let signature: Base64 = Base64::parse(signature.as_str()).ok()?;
        let signed = to_canonical_json_string_for_signing(object).ok()?;
        let (key, signature) = (key.as_bytes(), signature.as_bytes());
        verify_canonical_json_bytes(&id.algorithm(), key, signature, signed.as_bytes()).ok()
    };
    Some(right().is_some())
}

/// What this server publishes at `GET /_matrix/key/v2/server`, signed.
///
/// # Errors
/// [`KeyError`] if it cannot be signed.
pub fn published(
    server: &ServerName,
    key: &SigningKey,
    old: &BTreeMap<OwnedServerSigningKeyId, OldKey>,
    valid_until_ms: u64,
) -> Result<CanonicalJsonObject, KeyError> {
    let text = |text: &str| CanonicalJsonValue::String(text.to_owned());
    let entry = |key: &Base64, more: Option<(&str, u64)>| {
        let mut entry = CanonicalJsonObject::from([("key".to_owned(), text(&key.encode()))]);
        if let Some((name, ms)) = more {
            entry.insert(name.to_owned(), integer(ms));
        }
        CanonicalJsonValue::Object(entry)
    };
    let current = [(key.key_id().to_string(), entry(&key.public_key(), None))];
    let old = old.iter().map(|(id, old)| {
        (id.to_string(), entry(&old.key, Some(("expired_ts", old.expired_at_ms))))
    });
    let mut object = CanonicalJsonObject::from([
        ("server_name".to_owned(), text(server.as_str())),
        ("valid_until_ts".to_owned(), integer(valid_until_ms)),
        ("verify_keys".to_owned(), CanonicalJsonValue::Object(current.into())),
        ("old_verify_keys".to_owned(), CanonicalJsonValue::Object(old.collect())),
    ]);
    key.sign_json(server, &mut object)?;
    Ok(object)
}

fn integer(ms: u64) -> CanonicalJsonValue {
    CanonicalJsonValue::Integer(ms.try_into().unwrap_or(ruma::Int::MAX))
}

#[cfg(test)]
mod tests {
    use ruma::server_name;

    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn key(byte: u8, version: &str) -> SigningKey {
        SigningKey::from_seed(&[byte; 32], version).unwrap()
    }

    fn answer(key: &SigningKey, valid_until_ms: u64) -> CanonicalJsonObject {
        published(server_name!("a.example"), key, &BTreeMap::new(), valid_until_ms).unwrap()
    }

    fn read(answer: &CanonicalJsonObject) -> Result<ServerKeys, ServerKeysError> {
        ServerKeys::read(server_name!("a.example"), answer, NOW)
    }

    #[test]
    fn what_a_server_publishes_can_be_read_and_is_trusted_for_a_week() {
        let one = key(1, "one");
        let keys = read(&answer(&one, NOW + 100 * TRUST_MS)).unwrap();
        assert_eq!(keys.valid_until_ms, NOW + TRUST_MS);
        assert_eq!(keys.for_now(one.key_id(), NOW), Some(&one.public_key()));
        assert_eq!(keys.for_now(one.key_id(), NOW + TRUST_MS + 1), None);
        assert_eq!(keys.for_now(key(1, "two").key_id(), NOW), None);
    }

    #[test]
    fn forged_answers_are_not_believed() {
        let good = answer(&key(1, "one"), NOW);
        let mut other = good.clone();
        other.insert("valid_until_ts".into(), integer(NOW + 1));
        assert_eq!(read(&other), Err(ServerKeysError::NotSigned));
        let mut unsigned = good.clone();
        unsigned.remove("signatures");
        assert!(matches!(read(&unsigned), Err(ServerKeysError::Malformed(_))));
        let mut stranger = good.clone();
        stranger.remove("signatures");
        key(2, "one").sign_json(server_name!("a.example"), &mut stranger).unwrap();
        assert_eq!(read(&stranger), Err(ServerKeysError::NotSigned));
        let elsewhere = ServerKeys::read(server_name!("b.example"), &good, NOW);
        assert!(matches!(elsewhere, Err(ServerKeysError::OtherServer(_))));
        assert!(read(&CanonicalJsonObject::new()).is_err());
    }

    #[test]
    fn events_need_a_key_that_was_valid_then_from_version_5_on() {
        let one = key(1, "one");
        let keys = read(&answer(&one, NOW)).unwrap();
        let of = |at, enforce| keys.for_event(one.key_id(), at, enforce).is_some();
        assert!(of(NOW, true) && of(NOW - 1, true) && !of(NOW + 1, true) && of(NOW + 1, false));
    }

    #[test]
    fn a_key_that_is_gone_stays_good_for_the_past() {
        let (one, two) = (key(1, "one"), key(2, "two"));
        let earlier = read(&answer(&one, NOW - 5)).unwrap();
        let mut now = read(&answer(&two, NOW)).unwrap();
        now.remember(&earlier);
        assert_eq!(now.for_event(one.key_id(), NOW - 5, true), Some(&one.public_key()));
        assert_eq!(now.for_event(one.key_id(), NOW, true), None);
        assert_eq!(now.for_now(one.key_id(), NOW - 5), None);
        assert_eq!(now.for_event(two.key_id(), NOW, true), Some(&two.public_key()));
    }

    #[test]
    fn old_keys_are_published_with_their_end() {
        let (one, two) = (key(1, "one"), key(2, "two"));
        let old = OldKey { key: one.public_key(), expired_at_ms: 17 };
        let old = BTreeMap::from([(one.key_id().clone(), old)]);
        let answer = published(server_name!("a.example"), &two, &old, NOW).unwrap();
        let keys = read(&answer).unwrap();
        assert!(keys.for_event(one.key_id(), 17, true).is_some());
        assert!(keys.for_event(one.key_id(), 18, true).is_none());
    }
}
