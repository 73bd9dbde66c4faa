//! Account data that goes, invites that are not wanted, dehydrated devices.

use pli_tests::server::{TestServer, TestUser};
use serde_json::{Value, json};

fn data(user: &TestUser, data_type: &str) -> String {
    format!("/_matrix/client/v3/user/{}/account_data/{data_type}", user.user_id)
}

async fn told(user: &TestUser, since: Option<&str>) -> (Vec<(String, Value)>, String) {
    let answer = user.sync(since).await;
    let events = answer["account_data"]["events"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let events = events.iter().map(|event| (text(&event["type"]), event["content"].clone()));
    (events.collect(), text(&answer["next_batch"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn account_data_is_deleted_by_request_and_with_its_device() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let phone = server.login("alice").await;
    let silent = format!("org.matrix.msc3890.local_notification_settings.{}", phone.device_id);
    alice.put(&data(&alice, "x"), json!({ "n": 1 })).await.ok();
    phone.put(&data(&phone, &silent), json!({ "is_silenced": true })).await.ok();
    let (_, since) = told(&alice, None).await;
    let unstable = data(&alice, "x").replace("/v3/", "/unstable/org.matrix.msc3391/");
    assert_eq!(alice.delete(&unstable).await.ok(), json!({}));
    assert_eq!(alice.delete(&unstable).await.ok(), json!({}));
    alice.get(&data(&alice, "x")).await.refused(404, "M_NOT_FOUND");
    phone.post("/_matrix/client/v3/logout", json!({})).await.ok();
    alice.get(&data(&alice, &silent)).await.refused(404, "M_NOT_FOUND");
    let (events, _) = told(&alice, Some(&since)).await;
    assert_eq!(events, [("x".to_owned(), json!({})), (silent, json!({}))]);
    let (events, _) = told(&alice, None).await;
    assert!(events.iter().all(|(_, content)| *content != json!({})), "{events:?}");
    let rules = unstable.replace("/x", "/m.push_rules");
    alice.delete(&rules).await.refused(405, "M_BAD_JSON");
    let other = unstable.replace("alice", "bob");
    alice.delete(&other).await.refused(403, "M_FORBIDDEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn invites_are_blocked_or_ignored_as_the_invited_wish() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "private_chat" })).await;
    let invite = format!("/_matrix/client/v3/rooms/{room}/invite");
    let who = json!({ "user_id": bob.user_id });
    let config = "org.matrix.msc4155.invite_permission_config";
    bob.put(&data(&bob, config), json!({ "blocked_users": ["@al*"] })).await.ok();
    alice.post(&invite, who.clone()).await.refused(403, "M_INVITE_BLOCKED");
    let create = json!({ "invite": [bob.user_id] });
    alice.post("/_matrix/client/v3/createRoom", create).await.refused(403, "M_INVITE_BLOCKED");
    bob.put(&data(&bob, config), json!({ "ignored_users": ["@alice:*"] })).await.ok();
    alice.post(&invite, who.clone()).await.ok();
    assert_eq!(bob.sync(None).await["rooms"].get("invite"), None);
    bob.put(&data(&bob, config), json!({})).await.ok();
    assert!(bob.sync(None).await["rooms"]["invite"].get(&room).is_some());
    // Blocking everyone hides those that are there, too.
    let block = json!({ "default_action": "block" });
    bob.put(&data(&bob, "m.invite_permission_config"), block).await.ok();
    assert_eq!(bob.sync(None).await["rooms"].get("invite"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dehydrated_device_takes_messages_until_it_is_replaced() {
    const PATH: &str = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device";
    let server = TestServer::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    alice.get(PATH).await.refused(404, "M_NOT_FOUND");
    let device_data =
        json!({ "algorithm": "org.matrix.msc3814.v2", "device_pickle": "p", "nonce": "n" });
    let mut upload = json!({
        "device_id": "DEHYDRATED", "device_data": device_data,
        "initial_device_display_name": "asleep",
        "device_keys": {
            "user_id": alice.user_id, "device_id": "DEHYDRATED", "dehydrated": true,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
            "keys": { "ed25519:DEHYDRATED": "x" }, "signatures": {},
        },
    });
    // The keys must be signed by the device; nothing of a refused upload stays.
    assert_eq!(alice.put(PATH, upload.clone()).await.status, 400);
    alice.get(PATH).await.refused(404, "M_NOT_FOUND");
    assert_eq!(devices(&alice).await.len(), 1);
    upload["device_keys"] = signed_keys(&alice.user_id, "DEHYDRATED");
    assert_eq!(alice.put(PATH, upload.clone()).await.ok(), json!({ "device_id": "DEHYDRATED" }));
    let device = alice.get(PATH).await.ok();
    assert_eq!(device, json!({ "device_id": "DEHYDRATED", "device_data": device_data }));
    for n in 0..2 {
        let message = json!({ "messages": { &alice.user_id: { "DEHYDRATED": { "n": n } } } });
        bob.put(&format!("/_matrix/client/v3/sendToDevice/m.dummy/t{n}"), message).await.ok();
    }
    let events = format!("{PATH}/DEHYDRATED/events");
    for _ in 0..2 {
        let page = alice.get(&events).await.ok();
        assert_eq!(page["events"].as_array().unwrap().len(), 2);
        assert_eq!(page.get("next_batch"), None);
    }
    // Older clients ask on until there is nothing.
    let page = alice.post(&events, json!({})).await.ok();
    assert_eq!(page["events"].as_array().unwrap().len(), 2);
    let next = alice.post(&events, json!({ "next_batch": page["next_batch"] })).await.ok();
    assert_eq!(next["events"], json!([]));
    alice.get(&format!("{PATH}/{}/events", alice.device_id)).await.refused(403, "M_FORBIDDEN");
    bob.get(&events).await.refused(403, "M_FORBIDDEN");
    assert_eq!(devices(&alice).await.len(), 2);
    assert_eq!(alice.delete(PATH).await.ok(), json!({ "device_id": "DEHYDRATED" }));
    alice.delete(PATH).await.refused(404, "M_NOT_FOUND");
    assert_eq!(devices(&alice).await.len(), 1);
}

async fn devices(user: &TestUser) -> Vec<Value> {
    user.get("/_matrix/client/v3/devices").await.ok()["devices"].as_array().unwrap().clone()
}

/// Device keys that their device has signed.
fn signed_keys(user_id: &str, device_id: &str) -> Value {
    let key = pli_core::SigningKey::from_seed(&[9; 32], "1").unwrap();
    let mut keys = json!({
        "user_id": user_id, "device_id": device_id, "dehydrated": true,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "keys": { format!("ed25519:{device_id}"): key.public_key().encode() },
    });
    // Without numbers and with its keys in order, this text is canonical.
    let signature = key.sign(keys.to_string().as_bytes());
    keys["signatures"] = json!({ user_id: { format!("ed25519:{device_id}"): signature } });
    keys
}
