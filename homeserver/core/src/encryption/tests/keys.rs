//! Device keys and one-time keys.

use std::collections::BTreeSet;

use ruma::OneTimeKeyAlgorithm;

use super::*;

fn claims(devices: &[&Device]) -> KeyClaims {
    let mut claims = KeyClaims::new();
    for device in devices {
        let by_device = claims.entry(device.user.clone()).or_default();
        by_device.insert(device.id.clone(), OneTimeKeyAlgorithm::SignedCurve25519);
    }
    claims
}

async fn claim(world: &World, device: &Device) -> Option<String> {
    let claimed = world.encryption.claim_keys(&claims(&[device])).await.unwrap();
    let keys = claimed.get(&device.user)?.get(&device.id)?;
    assert_eq!(keys.len(), 1);
    keys.keys().next().map(|id| id.key_name().to_string())
}

#[tokio::test]
async fn what_is_uploaded_is_what_is_queried() {
    let world = World::new();
    let alice = world.device("@alice:x", "ALICE").await;
    world.upload(&alice, alice.keys()).await.unwrap();
    let wanted = BTreeMap::from([(alice.user.clone(), Vec::new())]);
    let bob = UserId::parse("@bob:x").unwrap();
    let found = world.encryption.query_keys(&bob, &wanted).await.unwrap();
    let keys = &found.device_keys[&alice.user][&alice.id];
    let mut expected = alice.signed_keys();
    expected["unsigned"] = json!({ "device_display_name": "alice's" });
    let got: serde_json::Value = serde_json::from_str(keys.json().get()).unwrap();
    assert_eq!(got, expected);
}

#[tokio::test]
async fn device_keys_of_another_form_or_signature_are_refused() {
    let world = World::new();
    let alice = world.device("@alice:x", "ALICE").await;
    let other = Device::new("@alice:x", "OTHER");
    let mut cases = vec![
        ("unsigned", alice.unsigned_keys()),
        ("other device", other.signed_keys()),
        ("other user", Device::new("@bob:x", "ALICE").signed_keys()),
        ("foreign signature", other.key.sign(&alice.user, &alice.unsigned_keys())),
        ("list", json!([])),
    ];
    for (field, value) in [
        ("algorithms", json!("m.olm")),
        ("algorithms", json!([1])),
        ("keys", json!({ "ed25519:ALICE": 1 })),
        ("keys", json!({ "ed25519:ALICE": alice.key.public, "curve25519:OTHER": "x" })),
        ("keys", json!({ "ed25519:ALICE": "short" })),
        ("keys", json!({})),
        ("user_id", json!(7)),
        ("x", json!(1.5)),
    ] {
        let mut keys = alice.unsigned_keys();
        keys[field] = value;
        if field != "x" {
            keys = alice.key.sign(&alice.user, &keys);
        }
        cases.push((field, keys));
    }
    for (what, keys) in cases {
        let upload = KeyUpload { device_keys: Some(raw(keys)), ..KeyUpload::default() };
        let error = world.upload(&alice, upload).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::InvalidParam(_) | Error::BadJson(_) | Error::InvalidSignature(_)
            ),
            "{what}: {error:?}"
        );
    }
    let wanted = BTreeMap::from([(alice.user.clone(), Vec::new())]);
    let found = world.encryption.query_keys(&alice.user, &wanted).await.unwrap();
    assert!(found.device_keys[&alice.user].is_empty());
}

#[tokio::test]
async fn one_time_keys_go_out_first_in_first_out_and_never_twice() {
    let world = World::new();
    let alice = world.device("@alice:x", "ALICE").await;
    // The order of upload counts, not that of the names.
    assert_eq!(world.upload(&alice, alice.one_time_keys(&["z"])).await.unwrap(), 1);
    assert_eq!(world.upload(&alice, alice.one_time_keys(&["a"])).await.unwrap(), 2);
    assert_eq!(claim(&world, &alice).await.as_deref(), Some("z"));
    // The client repeats an upload whose answer it never saw: the claimed key does not come back.
    assert_eq!(world.upload(&alice, alice.one_time_keys(&["z", "a"])).await.unwrap(), 1);
    assert_eq!(claim(&world, &alice).await.as_deref(), Some("a"));
    assert_eq!(claim(&world, &alice).await, None);
    let counts = world.encryption.one_time_key_counts(&alice.user, &alice.id).await.unwrap();
    assert_eq!(counts, [(OneTimeKeyAlgorithm::SignedCurve25519, 0)]);
}

#[tokio::test]
async fn a_one_time_key_is_not_replaced_by_another() {
    let world = World::new();
    let alice = world.device("@alice:x", "ALICE").await;
    world.upload(&alice, alice.one_time_keys(&["a"])).await.unwrap();
    let other =
        KeyUpload { one_time_keys: alice.signed(&["a", "b"], "BBBB"), ..KeyUpload::default() };
    let error = world.upload(&alice, other).await.unwrap_err();
    assert!(matches!(error, Error::InvalidParam(_)), "{error:?}");
    // Nothing of the refused upload is there.
    assert_eq!(world.upload(&alice, KeyUpload::default()).await.unwrap(), 1);
}

#[tokio::test]
async fn four_clients_at_once_never_get_one_key_twice() {
    let world = World::new();
    let alice = world.device("@alice:x", "ALICE").await;
    let names: Vec<String> = (0..160).map(|n| format!("k{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.upload(&alice, alice.one_time_keys(&names)).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let encryption = world.encryption.clone();
        let claims = claims(&[&alice]);
        let (user, id) = (alice.user.clone(), alice.id.clone());
        tasks.spawn(async move {
            let mut got = Vec::new();
            for _ in 0..40 {
                let claimed = encryption.claim_keys(&claims).await.unwrap();
                got.extend(claimed[&user][&id].keys().map(ToString::to_string));
                tokio::task::yield_now().await;
            }
            got
        });
    }
    let got: Vec<String> = tasks.join_all().await.into_iter().flatten().collect();
    let different: BTreeSet<&String> = got.iter().collect();
    assert_eq!((got.len(), different.len()), (160, 160));
}

#[tokio::test]
async fn two_processes_never_give_one_key_twice() {
    let world = World::new();
    let alice = world.device("@alice:x", "ALICE").await;
    let names: Vec<String> = (0..40).map(|n| format!("k{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.upload(&alice, alice.one_time_keys(&names)).await.unwrap();
    let mut other = World { store: world.store.clone(), encryption: world.encryption.clone() };
    other.restart();
    let mut got = BTreeSet::new();
    for _ in 0..20 {
        let (a, b) = tokio::join!(claim(&world, &alice), claim(&other, &alice));
        assert!(got.insert(a.unwrap()) && got.insert(b.unwrap()));
    }
}

#[tokio::test]
async fn the_fallback_key_serves_when_the_others_are_gone() {
    let world = World::new();
    let alice = world.device("@alice:x", "ALICE").await;
    let upload =
        || KeyUpload { fallback_keys: alice.signed(&["f"], "F"), ..alice.one_time_keys(&["a"]) };
    world.upload(&alice, upload()).await.unwrap();
    let unused = || world.encryption.unused_fallback_key_types(&alice.user, &alice.id);
    assert_eq!(unused().await.unwrap().len(), 1);
    assert_eq!(claim(&world, &alice).await.as_deref(), Some("a"));
    for _ in 0..2 {
        assert_eq!(claim(&world, &alice).await.as_deref(), Some("f"));
        assert!(unused().await.unwrap().is_empty());
    }
    // The same key again stays used; another one is not.
    world.upload(&alice, upload()).await.unwrap();
    assert!(unused().await.unwrap().is_empty());
    let next = KeyUpload { fallback_keys: alice.signed(&["g"], "G"), ..KeyUpload::default() };
    world.upload(&alice, next).await.unwrap();
    assert_eq!(unused().await.unwrap().len(), 1);
    let two = KeyUpload { fallback_keys: alice.signed(&["h", "i"], "H"), ..KeyUpload::default() };
    assert!(matches!(world.upload(&alice, two).await, Err(Error::InvalidParam(_))));
}

#[tokio::test]
async fn a_device_that_is_gone_leaves_nothing_and_uploads_nothing() {
    let world = World::new();
    let alice = world.device("@alice:x", "ALICE").await;
    let upload =
        KeyUpload { fallback_keys: alice.signed(&["f"], "F"), ..alice.one_time_keys(&["a"]) };
    world.upload(&alice, alice.keys()).await.unwrap();
    world.upload(&alice, upload).await.unwrap();
    let (user, id) = (&alice.user, &alice.id);
    world
        .store
        .write(|tx| async move {
            tx.delete(&DeviceKey { user_id: user.clone(), device_id: id.clone() });
            remove_device(&tx, user, id).await
        })
        .await
        .unwrap();
    assert_eq!(claim(&world, &alice).await, None);
    let error = world.upload(&alice, alice.keys()).await.unwrap_err();
    assert!(matches!(error, Error::UnknownToken { .. }));
}

#[tokio::test]
async fn another_identity_of_a_device_makes_its_old_keys_worthless() {
    let world = World::new();
    let alice = world.device("@alice:x", "ALICE").await;
    world.upload(&alice, alice.keys()).await.unwrap();
    world.upload(&alice, alice.one_time_keys(&["old"])).await.unwrap();
    let again = Device::new("@alice:x", "ALICE");
    let upload = KeyUpload { one_time_keys: again.signed(&["new"], "N"), ..again.keys() };
    assert_eq!(world.upload(&again, upload).await.unwrap(), 1);
    assert_eq!(claim(&world, &again).await.as_deref(), Some("new"));
    assert_eq!(claim(&world, &again).await, None);
}
