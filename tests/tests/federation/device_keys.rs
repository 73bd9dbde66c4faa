//! Keys of devices as clients upload them, with real signatures.

use pli_core::SigningKey;
use pli_tests::server::TestUser;
use serde_json::{Value, json};

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

/// A key.
pub struct Key {
    secret: SigningKey,
    /// Its public half.
    pub public: String,
}

impl Key {
    /// The key of a seed.
    pub fn new(seed: u8) -> Self {
        let secret = SigningKey::from_seed(&[seed; 32], "1").unwrap();
        let public = secret.public_key().encode();
        Self { secret, public }
    }

    /// The object with a signature of this key, which is called `id`.
    pub fn signed(&self, user: &TestUser, id: &str, mut object: Value) -> Value {
        let signature = self.secret.sign(canonical(&object).as_bytes());
        object["signatures"] = json!({ &user.user_id: { format!("ed25519:{id}"): signature } });
        object
    }
}

/// Uploads keys of a device as clients do after login, and some one-time keys.
pub async fn upload(user: &TestUser, seed: u8) -> Key {
    let (id, key) = (&user.device_id, Key::new(seed));
    let device_keys = json!({
        "user_id": user.user_id, "device_id": id,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "keys": { format!("ed25519:{id}"): key.public, format!("curve25519:{id}"): Key::new(99).public },
    });
    let one_time: serde_json::Map<String, Value> = (0..3)
        .map(|n: u8| {
            let object = json!({ "key": Key::new(100 + n).public });
            (format!("signed_curve25519:AAAA{n}"), key.signed(user, id, object))
        })
        .collect();
    let keys = key.signed(user, id, device_keys);
    let body = json!({ "device_keys": keys, "one_time_keys": one_time });
    user.post("/_matrix/client/v3/keys/upload", body).await.ok();
    key
}

/// Publishes a master key and a self-signing key with it; the master key.
pub async fn publish_cross_signing(user: &TestUser, seed: u8) -> Key {
    let (master, other) = (Key::new(seed), Key::new(seed + 1));
    let of = |usage: &str, key: &Key| {
        json!({
            "user_id": user.user_id, "usage": [usage],
            "keys": { format!("ed25519:{}", key.public): key.public },
        })
    };
    let body = json!({
        "master_key": of("master", &master),
        "self_signing_key": master.signed(user, &master.public, of("self_signing", &other)),
    });
    let path = "/_matrix/client/v3/keys/device_signing/upload";
    user.post(path, body).await.ok();
    master
}

/// The devices that a user is told another one has, by id, as `/keys/query` answers now.
pub async fn devices_of(asking: &TestUser, user_id: &str) -> (Vec<String>, Value) {
    let body = json!({ "device_keys": { user_id: [] } });
    let found = asking.post("/_matrix/client/v3/keys/query", body).await.ok();
    let devices = found["device_keys"][user_id].as_object();
    let mut ids: Vec<String> = devices.into_iter().flat_map(|map| map.keys().cloned()).collect();
    ids.sort();
    (ids, found)
}
