//! Who is there, as others see it.

use pli_tests::server::{TestServer, TestUser};
use serde_json::{Value, json};

fn status(user: &TestUser) -> String {
    format!("/_matrix/client/v3/presence/{}/status", user.user_id)
}

/// Presence of a user in the answer to a sync.
fn told<'a>(answer: &'a Value, user: &TestUser) -> Option<&'a Value> {
    let events = answer["presence"]["events"].as_array()?;
    let event = events.iter().find(|event| event["sender"] == json!(user.user_id))?;
    assert_eq!(event["type"], "m.presence");
    Some(&event["content"])
}

async fn quiet_sync(user: &TestUser, since: Option<&str>) -> Value {
    let since = since.map(|since| format!("&since={since}")).unwrap_or_default();
    user.get(&format!("/_matrix/client/v3/sync?timeout=0&set_presence=offline{since}")).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_is_told_to_those_who_share_a_room_and_wakes_them() {
    let server = TestServer::start_with(|config| config.presence.enabled = true).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let eve = server.register("eve").await;
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.post(&format!("/_matrix/client/v3/join/{room}"), json!({})).await.ok();
    assert_eq!(bob.get(&status(&alice)).await.ok(), json!({ "presence": "offline" }));
    eve.get(&status(&alice)).await.refused(403, "M_FORBIDDEN");
    bob.put(&status(&alice), json!({ "presence": "online" })).await.refused(403, "M_FORBIDDEN");
    let first = quiet_sync(&bob, None).await;
    assert_eq!(told(&first, &alice), None);
    let since = first["next_batch"].as_str().unwrap().to_owned();
    let waiting = tokio::spawn({
        let bob = bob.clone();
        let path =
            format!("/_matrix/client/v3/sync?timeout=20000&set_presence=offline&since={since}");
        async move { bob.get(&path).await.ok() }
    });
    let meeting = json!({ "presence": "unavailable", "status_msg": "in a meeting" });
    assert_eq!(alice.put(&status(&alice), meeting).await.ok(), json!({}));
    let answer = waiting.await.unwrap();
    let seen = told(&answer, &alice).unwrap();
    assert_eq!(
        (&seen["presence"], &seen["status_msg"]),
        (&json!("unavailable"), &json!("in a meeting"))
    );
    // Whoever sends something is active.
    alice.say(&room, "back").await;
    let seen = bob.get(&status(&alice)).await.ok();
    assert_eq!((&seen["presence"], &seen["currently_active"]), (&json!("online"), &json!(true)));
    assert!(seen["last_active_ago"].as_u64().unwrap() < 60_000);
    let next = answer["next_batch"].as_str().unwrap();
    assert_eq!(told(&quiet_sync(&bob, Some(next)).await, &alice).unwrap()["presence"], "online");
    assert_eq!(told(&quiet_sync(&eve, None).await, &alice), None);
    // A filter leaves presence out; someone who comes in learns of those who are there.
    let filter: String =
        r#"{"presence":{"types":[]}}"#.bytes().map(|b| format!("%{b:02X}")).collect();
    let path = format!("/_matrix/client/v3/sync?set_presence=offline&filter={filter}");
    assert_eq!(bob.get(&path).await.ok().get("presence"), None);
    let before = quiet_sync(&eve, None).await;
    // The snapshot of older clients tells it too.
    let snapshot = async || {
        let all = eve.get("/_matrix/client/v3/initialSync").await.ok();
        json!({ "presence": { "events": all["presence"] } })
    };
    assert_eq!(told(&snapshot().await, &alice), None);
    eve.post(&format!("/_matrix/client/v3/join/{room}"), json!({})).await.ok();
    let after = quiet_sync(&eve, before["next_batch"].as_str()).await;
    assert_eq!(told(&after, &alice).unwrap()["presence"], "online");
    assert_eq!(told(&snapshot().await, &alice).unwrap()["presence"], "online");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sees_oneself_and_a_message_survives_a_restart() {
    let mut server = TestServer::start_with(|config| config.presence.enabled = true).await;
    let alice = server.register("alice").await;
    let set = json!({ "presence": "online", "status_msg": "here" });
    alice.put(&status(&alice), set).await.ok();
    assert_eq!(told(&alice.sync(None).await, &alice).unwrap()["presence"], "online");
    alice.put(&status(&alice), json!({ "presence": "busy" })).await.refused(400, "M_INVALID_PARAM");
    server.restart().await;
    let seen = alice.get(&status(&alice)).await.ok();
    assert_eq!((&seen["presence"], &seen["status_msg"]), (&json!("offline"), &json!("here")));
}
