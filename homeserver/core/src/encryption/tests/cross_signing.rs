//! Cross-signing keys and signatures.

use serde_json::value::{RawValue, to_raw_value};

use super::*;

/// The cross-signing keys of a user.
struct Identity {
    user: OwnedUserId,
    master: Signer,
    self_signing: Signer,
    user_signing: Signer,
}

impl Identity {
    fn new(user: &UserId) -> Self {
        let key = || Signer::new(None);
        let user = user.to_owned();
        Self { user, master: key(), self_signing: key(), user_signing: key() }
    }

    fn key(&self, usage: &str, public: &str) -> serde_json::Value {
        json!({
            "user_id": self.user, "usage": [usage], "keys": { format!("ed25519:{public}"): public },
        })
    }

    fn master_key(&self) -> serde_json::Value {
        self.key("master", &self.master.public)
    }

    fn signed(&self, usage: &str, public: &str) -> CrossSigningRaw {
        raw(self.master.sign(&self.user, &self.key(usage, public)))
    }

    fn upload(&self) -> CrossSigningUpload {
        CrossSigningUpload {
            master_key: Some(raw(self.master_key())),
            self_signing_key: Some(self.signed("self_signing", &self.self_signing.public)),
            user_signing_key: Some(self.signed("user_signing", &self.user_signing.public)),
        }
    }
}

async fn query(world: &World, asking: &UserId, user: &UserId) -> QueriedKeys {
    let wanted = BTreeMap::from([(user.to_owned(), Vec::new())]);
    world.encryption.query_keys(asking, &wanted).await.unwrap()
}

fn one(
    user: &UserId,
    key_id: &str,
    json: &serde_json::Value,
) -> BTreeMap<OwnedUserId, BTreeMap<String, Box<RawValue>>> {
    BTreeMap::from([(
        user.to_owned(),
        BTreeMap::from([(key_id.to_owned(), to_raw_value(json).unwrap())]),
    )])
}

fn signatures(json: &str) -> serde_json::Value {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    value["signatures"].clone()
}

/// Alice with a device and her three keys, both uploaded.
async fn alice_with_identity() -> (World, Device, Identity) {
    let world = World::new();
    let alice = world.device("@alice:x", "A").await;
    let identity = Identity::new(&alice.user);
    world.upload(&alice, alice.keys()).await.unwrap();
    let upload = identity.upload();
    world.encryption.upload_cross_signing_keys(&alice.user, &upload, false).await.unwrap();
    (world, alice, identity)
}

#[tokio::test]
async fn only_a_change_of_the_keys_needs_authentication() {
    let world = World::new();
    let alice = world.device("@alice:x", "A").await;
    let identity = Identity::new(&alice.user);
    let upload = identity.upload();
    let encryption = &world.encryption;
    let needs = |upload: CrossSigningUpload| {
        let user = alice.user.clone();
        async move { encryption.cross_signing_needs_authentication(&user, &upload).await.unwrap() }
    };
    assert!(!needs(upload.clone()).await);
    encryption.upload_cross_signing_keys(&alice.user, &upload, false).await.unwrap();
    assert!(!needs(upload.clone()).await);
    encryption.upload_cross_signing_keys(&alice.user, &upload, false).await.unwrap();
    let other = Identity::new(&alice.user).upload();
    assert!(needs(other.clone()).await);
    let refused = encryption.upload_cross_signing_keys(&alice.user, &other, false).await;
    assert!(matches!(refused, Err(Error::Forbidden(_))));
    encryption.upload_cross_signing_keys(&alice.user, &other, true).await.unwrap();
}

#[tokio::test]
async fn keys_must_be_signed_by_the_master_key_and_have_their_form() {
    let world = World::new();
    let alice = world.device("@alice:x", "A").await;
    let identity = Identity::new(&alice.user);
    let other = Identity::new(&alice.user);
    let refuse = async |upload: CrossSigningUpload| {
        world.encryption.upload_cross_signing_keys(&alice.user, &upload, true).await.unwrap_err()
    };
    let full = identity.upload();
    let alone = CrossSigningUpload { master_key: None, ..full.clone() };
    assert!(matches!(refuse(alone).await, Error::MissingParam(_)));
    let foreign =
        CrossSigningUpload { self_signing_key: other.upload().self_signing_key, ..full.clone() };
    assert!(matches!(refuse(foreign).await, Error::InvalidSignature(_)));
    let swapped =
        CrossSigningUpload { self_signing_key: full.user_signing_key.clone(), ..full.clone() };
    assert!(matches!(refuse(swapped).await, Error::InvalidParam(_)));
    let mut two = identity.master_key();
    two["keys"]["ed25519:x"] = json!("x");
    let two = CrossSigningUpload { master_key: Some(raw(two)), ..full.clone() };
    assert!(matches!(refuse(two).await, Error::InvalidParam(_)));
    let stranger = Identity::new(&UserId::parse("@bob:x").unwrap()).upload();
    assert!(matches!(refuse(stranger).await, Error::InvalidParam(_)));
    assert!(query(&world, &alice.user, &alice.user).await.master_keys.is_empty());
}

#[tokio::test]
async fn the_user_signing_key_is_for_its_owner_only() {
    let world = World::new();
    let alice = world.device("@alice:x", "A").await;
    let bob = world.device("@bob:x", "B").await;
    let upload = Identity::new(&alice.user).upload();
    world.encryption.upload_cross_signing_keys(&alice.user, &upload, false).await.unwrap();
    let own = query(&world, &alice.user, &alice.user).await;
    assert_eq!(
        (own.master_keys.len(), own.self_signing_keys.len(), own.user_signing_keys.len()),
        (1, 1, 1)
    );
    let seen = query(&world, &bob.user, &alice.user).await;
    assert_eq!(
        (seen.master_keys.len(), seen.self_signing_keys.len(), seen.user_signing_keys.len()),
        (1, 1, 0)
    );
}

#[tokio::test]
async fn signatures_are_verified_before_they_are_stored() {
    let (world, alice, identity) = alice_with_identity().await;

    // A device, signed by another key that claims to be the self-signing key.
    let forged = Signer::new(Some(&identity.self_signing.public));
    let device = alice.signed_keys();
    let upload = one(&alice.user, "A", &forged.sign(&alice.user, &device));
    let failures = world.encryption.upload_signatures(&alice.user, &upload).await.unwrap();
    assert_eq!(failures[&alice.user]["A"].errcode, "M_INVALID_SIGNATURE");
    // Another content than what is stored, rightly signed.
    let mut changed = device.clone();
    changed["algorithms"] = json!([]);
    let upload = one(&alice.user, "A", &identity.self_signing.sign(&alice.user, &changed));
    let failures = world.encryption.upload_signatures(&alice.user, &upload).await.unwrap();
    assert_eq!(failures[&alice.user]["A"].errcode, "M_INVALID_SIGNATURE");
    let upload = one(&alice.user, "NOWHERE", &device);
    let failures = world.encryption.upload_signatures(&alice.user, &upload).await.unwrap();
    assert_eq!(failures[&alice.user]["NOWHERE"].errcode, "M_NOT_FOUND");
    let found = query(&world, &alice.user, &alice.user).await;
    let stored = &found.device_keys[&alice.user][&alice.id];
    assert_eq!(signatures(stored.json().get()), device["signatures"]);

    // The real one.
    let since = world.store.position();
    let signed = identity.self_signing.sign(&alice.user, &device);
    let upload = one(&alice.user, "A", &signed);
    assert!(world.encryption.upload_signatures(&alice.user, &upload).await.unwrap().is_empty());
    let found = query(&world, &alice.user, &alice.user).await;
    let stored = &found.device_keys[&alice.user][&alice.id];
    assert_eq!(signatures(stored.json().get()), signed["signatures"]);
    assert_eq!(world.updates(&alice, since).await.changed, std::slice::from_ref(&alice.user));
}

#[tokio::test]
async fn a_signature_of_somebody_elses_key_is_seen_by_its_maker_only() {
    let world = World::new();
    let alice = world.device("@alice:x", "A").await;
    let bob = world.device("@bob:x", "B").await;
    let mine = Identity::new(&alice.user);
    let his = Identity::new(&bob.user);
    for identity in [&mine, &his] {
        let upload = identity.upload();
        world.encryption.upload_cross_signing_keys(&identity.user, &upload, false).await.unwrap();
    }
    let since = world.store.position();
    let signed = mine.user_signing.sign(&alice.user, &his.master_key());
    let upload = one(&bob.user, &his.master.public, &signed);
    assert!(world.encryption.upload_signatures(&alice.user, &upload).await.unwrap().is_empty());
    let seen = query(&world, &alice.user, &bob.user).await.master_keys[&bob.user].clone();
    assert_eq!(signatures(seen.json().get()), signed["signatures"]);
    let seen = query(&world, &bob.user, &bob.user).await.master_keys[&bob.user].clone();
    assert_eq!(signatures(seen.json().get()), json!({}));
    assert_eq!(world.updates(&alice, since).await.changed, std::slice::from_ref(&bob.user));
    assert!(world.updates(&bob, since).await.is_empty());
}

#[tokio::test]
async fn a_device_signs_the_own_master_key() {
    let (world, alice, identity) = alice_with_identity().await;
    let signed = alice.key.sign(&alice.user, &identity.master_key());
    let upload = one(&alice.user, &identity.master.public, &signed);
    assert!(world.encryption.upload_signatures(&alice.user, &upload).await.unwrap().is_empty());
    let found = query(&world, &alice.user, &alice.user).await.master_keys[&alice.user].clone();
    assert_eq!(signatures(found.json().get()), signed["signatures"]);
    let forged = Signer::new(Some("A")).sign(&alice.user, &identity.master_key());
    let upload = one(&alice.user, &identity.master.public, &forged);
    let failures = world.encryption.upload_signatures(&alice.user, &upload).await.unwrap();
    assert_eq!(failures.len(), 1);
}

#[tokio::test]
async fn new_keys_make_old_signatures_go() {
    let (world, alice, identity) = alice_with_identity().await;
    let signed = identity.self_signing.sign(&alice.user, &alice.signed_keys());
    world.encryption.upload_signatures(&alice.user, &one(&alice.user, "A", &signed)).await.unwrap();
    let next = Identity::new(&alice.user).upload();
    world.encryption.upload_cross_signing_keys(&alice.user, &next, true).await.unwrap();
    let found = query(&world, &alice.user, &alice.user).await;
    let stored: &DeviceKeysRaw = &found.device_keys[&alice.user][&alice.id];
    assert_eq!(signatures(stored.json().get()), alice.signed_keys()["signatures"]);
}
