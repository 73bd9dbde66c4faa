//! Sliding sync and subscriptions to threads, over HTTP.

use std::time::{Duration, Instant};

use pli_tests::server::{Reply, TestServer, TestUser};
use serde_json::{Value, json};

const PATH: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";

async fn sliding(user: &TestUser, pos: Option<&str>, timeout_ms: u64, body: &Value) -> Reply {
    let pos = pos.map(|pos| format!("&pos={pos}")).unwrap_or_default();
    user.post(&format!("{PATH}?timeout={timeout_ms}{pos}"), body.clone()).await
}

/// What the room list of clients on matrix-rust-sdk asks for.
fn room_list() -> Value {
    json!({
        "conn_id": "room-list",
        "lists": { "all_rooms": {
            "ranges": [[0, 19]], "timeline_limit": 1, "filters": {},
            "required_state": [
                ["m.room.name", ""], ["m.room.encryption", ""], ["m.room.member", "$LAZY"],
                ["m.room.member", "$ME"], ["m.room.create", ""], ["m.space.child", "*"],
            ],
        }},
        "extensions": {
            "account_data": { "enabled": true },
            "receipts": { "enabled": true, "rooms": ["*"] },
            "typing": { "enabled": true },
            "io.element.msc4308.thread_subscriptions": { "enabled": true, "limit": 10 },
        },
    })
}

fn pos(answer: &Value) -> &str {
    answer["pos"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_list_loads_waits_and_is_woken_by_a_message() {
    let server = TestServer::start().await;
    let features = server.get("/_matrix/client/versions").await.ok();
    assert_eq!(features["unstable_features"]["org.matrix.simplified_msc3575"], true);
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat", "name": "Cellar" })).await;
    bob.post(&format!("/_matrix/client/v3/join/{room}"), json!({})).await.ok();
    let body = room_list();
    let first = sliding(&bob, None, 30_000, &body).await.ok();
    assert_eq!(first["lists"]["all_rooms"]["count"], 1);
    let told = &first["rooms"][&room];
    assert_eq!((&told["name"], &told["initial"]), (&json!("Cellar"), &json!(true)));
    assert_eq!(
        (&told["joined_count"], &told["timeline"].as_array().unwrap().len()),
        (&json!(2), &1)
    );
    // ruma, which clients use, reads the answer.
    let typed = serde_json::from_value::<Value>(first.clone()).unwrap();
    assert!(typed["extensions"]["account_data"]["global"].is_array());
    let waiting = tokio::spawn({
        let (bob, body, pos) = (bob.clone(), body.clone(), pos(&first).to_owned());
        async move { (sliding(&bob, Some(&pos), 30_000, &body).await.ok(), Instant::now()) }
    });
    let event = alice.say(&room, "hello").await;
    let sent = Instant::now();
    let (answer, woken) = waiting.await.unwrap();
    assert!(woken.saturating_duration_since(sent) < Duration::from_secs(5));
    assert_eq!(answer["rooms"][&room]["timeline"][0]["event_id"], json!(event));
    assert_eq!(answer["rooms"][&room]["num_live"], 1);
    // The pos is a place in the timeline, too.
    let from = pos(&answer);
    let page = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=1&from={from}");
    assert_eq!(bob.get(&page).await.ok()["chunk"][0]["event_id"], json!(event));
    // An older token is not known any more, nor is that of another device.
    let next = sliding(&bob, Some(pos(&answer)), 0, &body).await.ok();
    let _ = sliding(&bob, Some(pos(&next)), 0, &body).await.ok();
    sliding(&bob, Some(pos(&first)), 0, &body).await.refused(400, "M_UNKNOWN_POS");
    let phone = server.login("bob").await;
    sliding(&phone, Some(pos(&next)), 0, &body).await.refused(400, "M_UNKNOWN_POS");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_for_encryption_goes_on_after_a_restart_and_wakes_at_once() {
    let mut server = TestServer::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let mut body = json!({ "conn_id": "encryption", "extensions": {
        "to_device": { "enabled": true }, "e2ee": { "enabled": true },
    }});
    let first = sliding(&bob, None, 0, &body).await.ok();
    let _ = sliding(&bob, None, 0, &room_list()).await.ok();
    server.restart().await;
    body["extensions"]["to_device"]["since"] =
        first["extensions"]["to_device"]["next_batch"].clone();
    // What is in stock is told once more: the server does not remember what it had told.
    let second = sliding(&bob, Some(pos(&first)), 30_000, &body).await.ok();
    assert_eq!(second["extensions"]["to_device"]["events"], json!([]));
    let waiting = tokio::spawn({
        let (bob, body, pos) = (bob.clone(), body.clone(), pos(&second).to_owned());
        async move { sliding(&bob, Some(&pos), 30_000, &body).await.ok() }
    });
    let message = json!({ "messages": { &bob.user_id: { &bob.device_id: { "n": 1 } } } });
    alice.put("/_matrix/client/v3/sendToDevice/m.dummy/t1", message).await.ok();
    let answer = waiting.await.unwrap();
    let events = answer["extensions"]["to_device"]["events"].as_array().unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(
        (&events[0]["type"], &events[0]["sender"]),
        (&json!("m.dummy"), &json!(alice.user_id))
    );
    // A lost answer: the same again, as the token of the extension has not moved.
    let again = sliding(&bob, Some(pos(&second)), 0, &body).await.ok();
    assert_eq!(again["extensions"]["to_device"]["events"], json!(events));
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    server
        .request(http::Method::POST, PATH, None, Some(&json!({})))
        .await
        .refused(401, "M_MISSING_TOKEN");
    alice.post(PATH, json!([])).await.refused(400, "M_BAD_JSON");
    alice
        .post(PATH, json!({ "lists": { "a": { "ranges": [[-1, 2]] } } }))
        .await
        .refused(400, "M_BAD_JSON");
    sliding(&alice, Some("nonsense"), 0, &room_list()).await.refused(400, "M_UNKNOWN_POS");
    alice.post(&format!("{PATH}?timeout=x"), json!({})).await.refused(400, "M_INVALID_PARAM");
    let empty = alice.post(PATH, json!({})).await.ok();
    assert!(pos(&empty).starts_with('p'));
}

fn reply_in(root: &str) -> Value {
    json!({ "msgtype": "m.text", "body": "reply", "m.relates_to": { "rel_type": "m.thread", "event_id": root } })
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_are_subscribed_and_only_those_notify() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.post(&format!("/_matrix/client/v3/join/{room}"), json!({})).await.ok();
    let (followed, other) = (alice.say(&room, "a").await, alice.say(&room, "b").await);
    let path = |root: &str| {
        format!(
            "/_matrix/client/unstable/io.element.msc4306/rooms/{room}/thread/{root}/subscription"
        )
    };
    bob.get(&path(&followed)).await.refused(404, "M_NOT_FOUND");
    assert_eq!(bob.put(&path(&followed), json!({})).await.ok(), json!({}));
    assert_eq!(bob.get(&path(&followed)).await.ok(), json!({ "automatic": false }));
    bob.put(&path("$unknown"), json!({})).await.refused(404, "M_NOT_FOUND");
    let cause = json!({ "automatic": other });
    let refused = bob.put(&path(&followed), cause).await;
    refused.refused(400, "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD");
    // The newest message is read; then one reply in each thread.
    bob.post(&format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{other}"), json!({}))
        .await
        .ok();
    for (n, root) in [&followed, &other].into_iter().enumerate() {
        let send = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/r{n}");
        alice.put(&send, reply_in(root)).await.ok();
    }
    let filter = r#"{"room":{"timeline":{"unread_thread_notifications":true}}}"#;
    let filter: String = filter.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = bob.get(&format!("/_matrix/client/v3/sync?filter={filter}")).await.ok();
    let threads = &answer["rooms"]["join"][&room]["unread_thread_notifications"];
    assert_eq!(threads, &json!({ &followed: { "highlight_count": 0, "notification_count": 1 } }));
    // Unsubscribed by hand: a client must not do otherwise on its own for what was there before.
    assert_eq!(bob.delete(&path(&followed)).await.ok(), json!({}));
    bob.get(&path(&followed)).await.refused(404, "M_NOT_FOUND");
    let conflict = bob.put(&path(&followed), json!({ "automatic": followed })).await;
    conflict.refused(409, "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION");
    let changes = "/_matrix/client/unstable/io.element.msc4308/thread_subscriptions?dir=b";
    let page = bob.get(changes).await.ok();
    assert!(page["unsubscribed"][&room][&followed]["bump_stamp"].is_u64(), "{page}");
    bob.get(&format!("{changes}&limit=0")).await.refused(400, "M_INVALID_PARAM");
    bob.get(&format!("{changes}&from=x")).await.refused(400, "M_INVALID_PARAM");
}
