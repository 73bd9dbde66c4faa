//! What calls need: delayed events (MSC4140), sticky events (MSC4354), RTC transports (MSC4143).

use std::time::{Duration, Instant};

use pli_tests::server::{TestServer, TestUser};
use serde_json::{Value, json};

const MSC4140: &str = "/_matrix/client/unstable/org.matrix.msc4140";

async fn schedule_leave(user: &TestUser, room: &str, key: &str, delay_ms: u64) -> String {
    let path = format!(
        "/_matrix/client/v3/rooms/{room}/state/org.matrix.msc3401.call.member/{key}\
         ?org.matrix.msc4140.delay={delay_ms}"
    );
    let answer = user.put(&path, json!({})).await.ok();
    answer["delay_id"].as_str().unwrap().to_owned()
}

async fn scheduled(user: &TestUser) -> Vec<Value> {
    let list = user.get(&format!("{MSC4140}/delayed_events")).await.ok();
    list["delayed_events"].as_array().unwrap().clone()
}

/// Asks until something is as it should be.
async fn until(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !check().await {
        assert!(started.elapsed() < Duration::from_secs(20), "{what} did not come about");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_vanishes_leaves_the_call_also_when_the_server_restarts() {
    let mut server = TestServer::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.post(&format!("/_matrix/client/v3/rooms/{room}/join"), json!({})).await.ok();
    let key = "_@bob_DEVICE_m.call";
    let path =
        format!("/_matrix/client/v3/rooms/{room}/state/org.matrix.msc3401.call.member/{key}");
    bob.put(&path, json!({ "application": "m.call" })).await.ok();
    let delay_id = schedule_leave(&bob, &room, key, 1_500).await;
    let waiting = scheduled(&bob).await;
    assert_eq!(waiting.len(), 1);
    assert_eq!((&waiting[0]["delay"], &waiting[0]["state_key"]), (&json!(1_500), &json!(key)));
    assert!(scheduled(&alice).await.is_empty());
    // A refresh of the membership does not end what is scheduled for it.
    bob.put(&path, json!({ "application": "m.call", "expires": 2 })).await.ok();
    server.restart().await;
    let restart = format!("{MSC4140}/delayed_events/{delay_id}/restart");
    server.request(reqwest::Method::POST, &restart, None, Some(&json!({}))).await.ok();
    until("the leave", async || bob.get(&path).await.ok() == json!({})).await;
    until("the end", async || scheduled(&bob).await.is_empty()).await;
    let one = bob.get(&format!("{MSC4140}/delayed_events/{delay_id}")).await.ok();
    let sync = bob.sync(None).await;
    let events = sync["rooms"]["join"][&room]["timeline"]["events"].as_array().unwrap().clone();
    let sent = events.iter().find(|event| event["event_id"] == one["event_id"]).unwrap();
    assert_eq!(sent["unsigned"]["org.matrix.msc4140.delay_id"], delay_id);
    assert_eq!(sent["unsigned"].get("transaction_id"), None);
    let sync = alice.sync(None).await;
    let events = sync["rooms"]["join"][&room]["timeline"]["events"].as_array().unwrap().clone();
    let sent = events.iter().find(|event| event["event_id"] == one["event_id"]).unwrap();
    assert_eq!(sent["unsigned"].get("org.matrix.msc4140.delay_id"), None);
    let again = server.request(reqwest::Method::POST, &restart, None, None).await;
    again.refused(409, "M_UNKNOWN");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delayed_events_are_managed_and_limited_as_clients_expect() {
    let server = TestServer::start_with(|config| {
        config.rooms.delayed_events.per_user = 2;
        config.rooms.delayed_events.max_ms = 600_000;
    })
    .await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = alice.create_room(json!({})).await;
    let body = json!({ "content": { "msgtype": "m.text", "body": "later" }, "delay": 500_000 });
    let path = format!("{MSC4140}/rooms/{room}/delayed_event/m.room.message/t1");
    let first = alice.put(&path, body.clone()).await.ok();
    assert_eq!(alice.put(&path, body.clone()).await.ok(), first);
    let send = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message");
    let content = json!({ "msgtype": "m.text", "body": "x" });
    let over = format!("{send}/t2?org.matrix.msc4140.delay=600001");
    let refused = alice.put(&over, content.clone()).await.refused(400, "M_UNKNOWN");
    assert_eq!(refused["org.matrix.msc4140.errcode"], "M_MAX_DELAY_EXCEEDED");
    assert_eq!(refused["org.matrix.msc4140.max_delay"], 600_000);
    let in_time = format!("{send}/t2?org.matrix.msc4140.delay=600000");
    let second = alice.put(&in_time, content.clone()).await.ok();
    let refused = alice.put(&in_time.replace("t2", "t3"), content).await.refused(400, "M_UNKNOWN");
    assert_eq!(refused["org.matrix.msc4140.errcode"], "M_MAX_DELAYED_EVENTS_EXCEEDED");
    let of = |answer: &Value| {
        let delay_id = answer["delay_id"].as_str().unwrap();
        format!("{MSC4140}/delayed_events/{delay_id}")
    };
    bob.get(&of(&first)).await.refused(404, "M_NOT_FOUND");
    alice.post(&of(&first), json!({})).await.refused(400, "M_MISSING_PARAM");
    alice.post(&of(&first), json!({ "action": "x" })).await.refused(400, "M_INVALID_PARAM");
    alice.post(&format!("{}/x", of(&first)), json!({})).await.refused(404, "M_UNRECOGNIZED");
    alice.post(&of(&first), json!({ "action": "cancel" })).await.ok();
    alice.post(&format!("{}/send", of(&second)), json!({})).await.ok();
    let list = alice.get(&format!("{MSC4140}/delayed_events?status=finalised")).await.ok();
    assert_eq!(list["finalised"].as_array().unwrap().len(), 2);
    assert_eq!(list.get("delayed_events"), None);
    let unknown = format!("{MSC4140}/delayed_events/nope/cancel");
    alice.post(&unknown, json!({})).await.refused(404, "M_NOT_FOUND");
    server.get(&format!("{MSC4140}/delayed_events")).await.refused(401, "M_MISSING_TOKEN");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sticky_events_reach_members_whatever_the_timeline_shows() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let path = format!(
        "/_matrix/client/v3/rooms/{room}/send/org.matrix.msc4143.rtc.member/s1\
         ?org.matrix.msc4354.sticky_duration_ms=300000"
    );
    let sticky = alice.put(&path, json!({ "msc4354_sticky_key": "k" })).await.ok();
    for n in 0..12 {
        alice.say(&room, &format!("message {n}")).await;
    }
    bob.post(&format!("/_matrix/client/v3/rooms/{room}/join"), json!({})).await.ok();
    let first = bob.sync(None).await;
    let joined = &first["rooms"]["join"][&room];
    let events = joined["msc4354_sticky"]["events"].as_array().unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["event_id"], sticky["event_id"]);
    assert_eq!(events[0]["msc4354_sticky"], json!({ "duration_ms": 300_000 }));
    let ttl = events[0]["unsigned"]["msc4354_sticky_duration_ttl_ms"].as_u64().unwrap();
    assert!((200_000..=300_000).contains(&ttl), "{ttl}");
    // What the timeline shows is not told twice, and what was told is not told again.
    let next = alice.put(&path.replace("s1", "s2"), json!({})).await.ok();
    let since = first["next_batch"].as_str();
    let second = bob.sync(since).await;
    let joined = &second["rooms"]["join"][&room];
    assert_eq!(joined.get("msc4354_sticky"), None);
    let timeline = joined["timeline"]["events"].as_array().unwrap();
    assert_eq!(timeline[0]["event_id"], next["event_id"]);
    assert!(timeline[0]["unsigned"]["msc4354_sticky_duration_ttl_ms"].is_u64());
    // A filter of the timeline does not hold for them; a redacted one is an ordinary event.
    let redact = format!(
        "/_matrix/client/v3/rooms/{room}/redact/{}/r1",
        sticky["event_id"].as_str().unwrap()
    );
    alice.put(&redact, json!({})).await.ok();
    let filter = "%7B%22room%22:%7B%22timeline%22:%7B%22types%22:%5B%5D%7D%7D%7D";
    let path = format!("/_matrix/client/v3/sync?timeout=0&filter={filter}");
    let filtered = bob.get(&path).await.ok();
    let events =
        filtered["rooms"]["join"][&room]["msc4354_sticky"]["events"].as_array().unwrap().clone();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["event_id"], next["event_id"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_told_where_calls_are_held() {
    let url = "https://livekit.example/jwt";
    let server = TestServer::start_with(|config| {
        config.calls.livekit_service_urls = vec![url.to_owned()];
    })
    .await;
    let alice = server.register("alice").await;
    let path = "/_matrix/client/unstable/org.matrix.msc4143/rtc/transports";
    let expected = json!([{ "type": "livekit", "livekit_service_url": url }]);
    assert_eq!(alice.get(path).await.ok(), json!({ "rtc_transports": expected }));
    server.get(path).await.refused(401, "M_MISSING_TOKEN");
    let well_known = server.get("/.well-known/matrix/client").await.ok();
    assert_eq!(well_known["org.matrix.msc4143.rtc_foci"], expected);
    let features = server.get("/_matrix/client/versions").await.ok()["unstable_features"].clone();
    for name in ["org.matrix.msc4140", "org.matrix.msc4143", "org.matrix.msc4354"] {
        assert_eq!(features[name], true, "{name}");
    }
}
