//! Keys, signatures, messages to devices and backups over HTTP, with real signatures.

use pli_core::SigningKey;
use pli_tests::server::{TestServer, TestUser};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";

/// The text that is signed: members in order, no spaces.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            let members =
                keys.iter().map(|key| format!("{}:{}", json!(key), canonical(&map[key.as_str()])));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

struct Key {
    secret: SigningKey,
    public: String,
}

impl Key {
    fn new(seed: u8) -> Self {
        let secret = SigningKey::from_seed(&[seed; 32], "1").unwrap();
        let public = secret.public_key().encode();
        Self { secret, public }
    }

    /// The object with a signature of this key, which is called `id`.
    fn signed(&self, user: &TestUser, id: &str, mut object: Value) -> Value {
        let signature = self.secret.sign(canonical(&object).as_bytes());
        object["signatures"] = json!({ &user.user_id: { format!("ed25519:{id}"): signature } });
        object
    }
}

/// Uploads keys of a device as clients do after login.
async fn upload(user: &TestUser, key: &Key, one_time_keys: usize) -> Value {
    let (id, device) = (&user.device_id, &user.device_id);
    let device_keys = json!({
        "user_id": user.user_id, "device_id": device,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "keys": { format!("ed25519:{id}"): key.public, format!("curve25519:{id}"): Key::new(99).public },
    });
    let one_time: serde_json::Map<String, Value> = (0..one_time_keys)
        .map(|n| {
            let object = json!({ "key": Key::new(100 + u8::try_from(n).unwrap()).public });
            (format!("signed_curve25519:AAAA{n}"), key.signed(user, id, object))
        })
        .collect();
    let fallback = key.signed(user, id, json!({ "key": Key::new(98).public, "fallback": true }));
    let body = json!({
        "device_keys": key.signed(user, id, device_keys),
        "one_time_keys": one_time,
        "fallback_keys": { "signed_curve25519:FALL": fallback },
    });
    user.post(&format!("{V3}/keys/upload"), body).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_device_are_uploaded_found_and_claimed() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.post(&format!("{V3}/rooms/{room}/join"), json!({})).await.ok();
    let before = bob.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    let key = Key::new(1);
    let counts = upload(&alice, &key, 2).await;
    assert_eq!(counts["one_time_key_counts"]["signed_curve25519"], 2);
    let asked = json!({ "device_keys": { &alice.user_id: [] } });
    let found = bob.post(&format!("{V3}/keys/query"), asked).await.ok();
    let device = &found["device_keys"][&alice.user_id][&alice.device_id];
    assert_eq!(device["keys"][format!("ed25519:{}", alice.device_id)], json!(key.public));
    let claim =
        json!({ "one_time_keys": { &alice.user_id: { &alice.device_id: "signed_curve25519" } } });
    let mut claimed = Vec::new();
    for _ in 0..3 {
        let answer = bob.post(&format!("{V3}/keys/claim"), claim.clone()).await.ok();
        let keys = answer["one_time_keys"][&alice.user_id][&alice.device_id].clone();
        claimed.extend(keys.as_object().unwrap().keys().cloned());
    }
    assert_eq!(claimed.last().unwrap(), "signed_curve25519:FALL");
    claimed.dedup();
    assert_eq!(claimed.len(), 3, "{claimed:?}");
    let after = bob.sync(Some(&before)).await;
    assert_eq!(after["device_lists"]["changed"], json!([alice.user_id]));
    let to = after["next_batch"].as_str().unwrap();
    let changes = bob.get(&format!("{V3}/keys/changes?from={before}&to={to}")).await.ok();
    assert_eq!(changes["changed"], json!([alice.user_id]));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_reach_a_device_once() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let path = format!("{V3}/sendToDevice/m.room_key_request/t1");
    let content = json!({
        "action": "request_cancellation", "request_id": "r1", "requesting_device_id": alice.device_id,
    });
    let body = json!({ "messages": { &bob.user_id: { &bob.device_id: content } } });
    for _ in 0..2 {
        alice.put(&path, body.clone()).await.ok();
    }
    let got = bob.sync(None).await;
    let events = got["to_device"]["events"].as_array().unwrap();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["sender"], json!(alice.user_id));
    let next = bob.sync(got["next_batch"].as_str()).await;
    assert_eq!(next.get("to_device"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn cross_signing_keys_are_published_and_sign() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let device = Key::new(1);
    upload(&alice, &device, 0).await;
    let (master, own, others) = (Key::new(2), Key::new(3), Key::new(4));
    let key = |usage: &str, key: &Key| {
        let id = format!("ed25519:{}", key.public);
        json!({ "user_id": alice.user_id, "usage": [usage], "keys": { id: key.public } })
    };
    let body = json!({
        "master_key": key("master", &master),
        "self_signing_key": master.signed(&alice, &master.public, key("self_signing", &own)),
        "user_signing_key": master.signed(&alice, &master.public, key("user_signing", &others)),
    });
    let path = format!("{V3}/keys/device_signing/upload");
    let mut first = alice.post(&path, body.clone()).await;
    // The first keys need no password; others that would replace them do.
    if first.status == 401 {
        let mut again = body.clone();
        again["auth"] = json!({
            "type": "m.login.password", "session": first.body["session"],
            "identifier": { "type": "m.id.user", "user": "alice" }, "password": "password of alice",
        });
        first = alice.post(&path, again).await;
    }
    first.ok();
    let replaced = json!({ "master_key": key("master", &Key::new(9)) });
    assert!(alice.post(&path, replaced).await.body["flows"].is_array());
    let unsigned = json!({
        "user_id": alice.user_id, "device_id": alice.device_id,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "keys": {
            format!("ed25519:{}", alice.device_id): device.public,
            format!("curve25519:{}", alice.device_id): Key::new(99).public,
        },
    });
    let signed = own.signed(&alice, &own.public, unsigned);
    let body = json!({ &alice.user_id: { &alice.device_id: signed, "NONE": signed } });
    let answer = alice.post(&format!("{V3}/keys/signatures/upload"), body).await.ok();
    let failures = answer["failures"][&alice.user_id].as_object().unwrap();
    assert_eq!(failures.keys().collect::<Vec<_>>(), ["NONE"]);
    let asked = json!({ "device_keys": { &alice.user_id: [] } });
    let found = bob.post(&format!("{V3}/keys/query"), asked).await.ok();
    assert_eq!(found["master_keys"][&alice.user_id]["usage"], json!(["master"]));
    assert_eq!(found["user_signing_keys"].get(&alice.user_id), None);
    let signatures = &found["device_keys"][&alice.user_id][&alice.device_id]["signatures"];
    assert!(signatures[&alice.user_id][format!("ed25519:{}", own.public)].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn room_keys_are_backed_up_by_version_room_and_session() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let versions = format!("{V3}/room_keys/version");
    alice.get(&versions).await.refused(404, "M_NOT_FOUND");
    let algorithm = "m.megolm_backup.v1.curve25519-aes-sha2";
    let auth =
        |name: &str| json!({ "public_key": Key::new(5).public, "signatures": {}, "x": name });
    let made = json!({ "algorithm": algorithm, "auth_data": auth("a") });
    let version = alice.post(&versions, made).await.ok()["version"].as_str().unwrap().to_owned();
    let one = format!("{versions}/{version}");
    let changed = json!({ "algorithm": algorithm, "auth_data": auth("b"), "version": version });
    alice.put(&one, changed).await.ok();
    assert_eq!(alice.get(&one).await.ok()["auth_data"]["x"], "b");
    let session = |forwarded: u64| {
        json!({
            "first_message_index": 1, "forwarded_count": forwarded, "is_verified": true,
            "session_data": { "ciphertext": "aaaa", "ephemeral": "bbbb", "mac": "cccc" },
        })
    };
    let (room, keys) = (encoded("!a:pli.test"), format!("{V3}/room_keys/keys"));
    let query = format!("?version={version}");
    let of_session = format!("{keys}/{room}/s1{query}");
    let of_room = format!("{keys}/{room}{query}");
    let count = |answer: Value| answer["count"].as_u64().unwrap();
    assert_eq!(count(alice.put(&of_session, session(0)).await.ok()), 1);
    let sessions = json!({ "sessions": { "s1": session(7), "s2": session(0) } });
    assert_eq!(count(alice.put(&of_room, sessions.clone()).await.ok()), 2);
    let rooms = json!({ "rooms": { "!b:pli.test": sessions } });
    assert_eq!(count(alice.put(&format!("{keys}{query}"), rooms.clone()).await.ok()), 4);
    // What was there was as good: it stays.
    assert_eq!(alice.get(&of_session).await.ok()["forwarded_count"], 0);
    assert_eq!(alice.get(&of_room).await.ok()["sessions"].as_object().unwrap().len(), 2);
    let all = alice.get(&format!("{keys}{query}")).await.ok();
    assert_eq!(all["rooms"].as_object().unwrap().len(), 2);
    let latest = alice.get(&versions).await.ok();
    assert_eq!((&latest["version"], &latest["count"]), (&json!(version), &json!(4)));
    assert_eq!(count(alice.delete(&of_session).await.ok()), 3);
    assert_eq!(count(alice.delete(&of_room).await.ok()), 2);
    assert_eq!(count(alice.delete(&format!("{keys}{query}")).await.ok()), 0);
    let newer = json!({ "algorithm": algorithm, "auth_data": auth("c") });
    let newer = alice.post(&versions, newer).await.ok()["version"].clone();
    let old = alice.put(&format!("{keys}{query}"), rooms).await;
    assert_eq!(old.refused(403, "M_WRONG_ROOM_KEYS_VERSION")["current_version"], newer);
    alice.delete(&one).await.ok();
    alice.get(&one).await.refused(404, "M_NOT_FOUND");
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
