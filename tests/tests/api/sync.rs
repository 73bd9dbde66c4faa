//! What syncs tell, through HTTP and the real store.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use pli_tests::server::{TestServer, TestUser};
use serde_json::{Value, json};

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn token(answer: &Value) -> &str {
    answer["next_batch"].as_str().unwrap()
}

async fn poll(user: &TestUser, since: &str, more: &str) -> Value {
    let path = format!("/_matrix/client/v3/sync?timeout=20000&since={since}{more}");
    user.get(&path).await.ok()
}

fn bodies(answer: &Value, section: &str, room: &str) -> Vec<String> {
    let events = answer["rooms"][section][room]["timeline"]["events"].as_array();
    let events = events.into_iter().flatten();
    events.filter_map(|event| event["content"]["body"].as_str().map(str::to_owned)).collect()
}

async fn room_of(owner: &TestUser, others: &[&TestUser]) -> String {
    let room = owner.create_room(json!({ "preset": "public_chat" })).await;
    for other in others {
        let _ = other.post(&format!("/_matrix/client/v3/rooms/{room}/join"), json!({})).await.ok();
    }
    room
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_wakes_a_long_poll_soon_and_tells_the_sender_its_transaction() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = room_of(&alice, &[&bob]).await;
    let first = bob.sync(None).await;
    let waiting = tokio::spawn({
        let (bob, since) = (bob.clone(), token(&first).to_owned());
        async move { (poll(&bob, &since, "").await, Instant::now()) }
    });
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/txn-1");
    let before = alice.sync(None).await;
    let _ = alice.put(&path, json!({ "msgtype": "m.text", "body": "hello" })).await.ok();
    let sent = Instant::now();
    let (answer, woken) = waiting.await.unwrap();
    assert_eq!(bodies(&answer, "join", &room), ["hello"]);
    assert!(woken.saturating_duration_since(sent) < Duration::from_secs(5));
    let own = alice.sync(Some(token(&before))).await;
    let event = &own["rooms"]["join"][&room]["timeline"]["events"][0];
    assert_eq!(event["unsigned"]["transaction_id"], "txn-1");
    let other = &answer["rooms"]["join"][&room]["timeline"]["events"][0];
    assert_eq!(other["unsigned"].get("transaction_id"), None);
    assert_eq!(other.get("room_id"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_poll_is_small_and_ends_when_the_server_stops() {
    let mut server = TestServer::start().await;
    let alice = server.register("alice").await;
    let first = alice.sync(None).await;
    let idle = alice.get(&format!("/_matrix/client/v3/sync?since={}", token(&first))).await;
    assert!(idle.bytes.len() < 200, "{}", idle.body);
    let waiting = tokio::spawn({
        let (alice, since) = (alice.clone(), token(&first).to_owned());
        async move { poll(&alice, &since, "").await }
    });
    tokio::task::yield_now().await;
    let begin = Instant::now();
    server.stop().await;
    assert!(begin.elapsed() < Duration::from_secs(10));
    // The poll was answered, or it came after the listener had closed.
    if let Ok(answer) = waiting.await {
        assert!(answer["next_batch"].is_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_go_on_after_a_restart() {
    let mut server = TestServer::start().await;
    let alice = server.register("alice").await;
    let room = room_of(&alice, &[]).await;
    let first = alice.sync(None).await;
    alice.say(&room, "before").await;
    server.restart().await;
    let second = alice.sync(Some(token(&first))).await;
    assert_eq!(bodies(&second, "join", &room), ["before"]);
    alice.say(&room, "after").await;
    let third = alice.sync(Some(token(&second))).await;
    assert_eq!(bodies(&third, "join", &room), ["after"]);
    assert_eq!(alice.sync(Some(token(&third))).await.get("rooms"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_comes_after_a_kick() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = room_of(&alice, &[&bob]).await;
    let first = bob.sync(None).await;
    let waiting = tokio::spawn({
        let (bob, since) = (bob.clone(), token(&first).to_owned());
        async move { poll(&bob, &since, "").await }
    });
    let kick = json!({ "user_id": bob.user_id });
    let _ = alice.post(&format!("/_matrix/client/v3/rooms/{room}/kick"), kick).await.ok();
    alice.say(&room, "secret").await;
    let answer = waiting.await.unwrap();
    assert_eq!(bodies(&answer, "join", &room), Vec::<String>::new());
    let left = &answer["rooms"]["leave"][&room]["timeline"]["events"];
    assert_eq!(left[0]["content"]["membership"], "leave");
    let next = bob.sync(Some(token(&answer))).await;
    assert!(!answer.to_string().contains("secret") && !next.to_string().contains("secret"));
    assert_eq!(next.get("rooms"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_typing_tags_and_account_data_over_http() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = room_of(&alice, &[&bob]).await;
    let event = alice.say(&room, "read me").await;
    let first = alice.sync(None).await;
    let rooms = format!("/_matrix/client/v3/rooms/{room}");
    let _ = bob.post(&format!("{rooms}/receipt/m.read/{}", encoded(&event)), json!({})).await.ok();
    let typing = format!("{rooms}/typing/{}", bob.user_id);
    let _ = bob.put(&typing, json!({ "typing": true, "timeout": 20000 })).await.ok();
    alice.put(&typing, json!({ "typing": false })).await.refused(403, "M_FORBIDDEN");
    let answer = alice.sync(Some(token(&first))).await;
    let ephemeral = answer["rooms"]["join"][&room]["ephemeral"]["events"].as_array().unwrap();
    let of = |name: &str| ephemeral.iter().find(|event| event["type"] == name).unwrap();
    assert_eq!(of("m.typing")["content"]["user_ids"], json!([bob.user_id]));
    assert!(of("m.receipt")["content"][&event]["m.read"][&bob.user_id]["ts"].is_u64());
    let own = format!("/_matrix/client/v3/user/{}", alice.user_id);
    let _ = alice.put(&format!("{own}/account_data/org.x"), json!({ "a": 1 })).await.ok();
    let _ =
        alice.put(&format!("{own}/rooms/{room}/tags/u.work"), json!({ "order": 0.5 })).await.ok();
    let forbidden = format!("{own}/rooms/{room}/account_data/m.fully_read");
    alice.put(&forbidden, json!({})).await.refused(405, "M_BAD_JSON");
    let of_alice = format!("{own}/account_data/org.x");
    bob.get(&of_alice).await.refused(403, "M_FORBIDDEN");
    assert_eq!(alice.get(&of_alice).await.ok(), json!({ "a": 1 }));
    let rules = alice.get(&format!("{own}/account_data/m.push_rules")).await.ok();
    assert!(rules["global"]["override"].is_array());
    let answer = alice.sync(Some(token(&answer))).await;
    assert_eq!(answer["account_data"]["events"][0]["type"], "org.x");
    let data = &answer["rooms"]["join"][&room]["account_data"]["events"][0];
    assert_eq!(data["content"]["tags"]["u.work"]["order"], 0.5);
    let markers = json!({ "m.fully_read": event, "m.read": event });
    let _ = alice.post(&format!("{rooms}/read_markers"), markers).await.ok();
    assert_eq!(alice.get(&forbidden).await.ok(), json!({ "event_id": event }));
    let stranger = server.register("carol").await;
    let receipt = format!("{rooms}/receipt/m.read/{}", encoded(&event));
    stranger.post(&receipt, json!({})).await.refused(403, "M_FORBIDDEN");
    let unknown = format!("{rooms}/receipt/m.read/{}", encoded("$nothing"));
    bob.post(&unknown, json!({})).await.refused(404, "M_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_and_filters_are_the_clients_fault() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    for query in [
        "since=nonsense",
        "since=s1_1_1",
        "filter=unknown",
        "filter=%7Bbroken",
        "filter=%7B%22room%22%3A7%7D",
        "timeout=-1",
        "full_state=maybe",
    ] {
        let reply = alice.get(&format!("/_matrix/client/v3/sync?{query}")).await;
        assert_eq!(reply.status, 400, "{query}: {}", reply.body);
    }
    let own = format!("/_matrix/client/v3/user/{}/filter", alice.user_id);
    let filter = json!({ "room": { "timeline": { "limit": 1 } } });
    let made = alice.post(&own, filter.clone()).await.ok();
    let id = made["filter_id"].as_str().unwrap();
    assert_eq!(alice.get(&format!("{own}/{id}")).await.ok(), filter);
    alice.get(&format!("{own}/none")).await.refused(404, "M_NOT_FOUND");
    let room = room_of(&alice, &[]).await;
    let answer = alice.get(&format!("/_matrix/client/v3/sync?filter={id}")).await.ok();
    let timeline = &answer["rooms"]["join"][&room]["timeline"];
    assert_eq!(timeline["events"].as_array().unwrap().len(), 1);
    assert_eq!(timeline["limited"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_and_the_new_name_of_state_after() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let room = room_of(&alice, &[]).await;
    let first = alice.sync(None).await;
    alice.say(&room, "x").await;
    let sync = format!("/_matrix/client/v3/sync?since={}", token(&first));
    for (parameter, name) in [
        ("use_state_after", "state_after"),
        ("org.matrix.msc4222.use_state_after", "org.matrix.msc4222.state_after"),
    ] {
        let answer = alice.get(&format!("{sync}&{parameter}=true")).await.ok();
        let joined = &answer["rooms"]["join"][&room];
        assert_eq!(joined[name], json!({ "events": [] }));
        assert_eq!(joined.get("state"), None);
    }
}

/// Writers send at once while one reader follows with a chain of tokens and another pages back: each
/// acknowledged event is told exactly once, by both in the same order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_acknowledged_event_is_told_once_and_in_the_order_of_the_history() {
    const EACH: usize = 25;
    let server = Arc::new(TestServer::start().await);
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let reader = server.register("reader").await;
    let room = room_of(&alice, &[&bob, &reader]).await;
    let mut last = reader.sync(None).await;
    let writers: Vec<_> = [alice, bob]
        .into_iter()
        .map(|writer| {
            let room = room.clone();
            tokio::spawn(async move {
                let mut sent = Vec::new();
                for n in 0..EACH {
                    sent.push(writer.say(&room, &format!("{n}")).await);
                }
                sent
            })
        })
        .collect();
    let filter = encoded(&json!({ "room": { "timeline": { "limit": 200 } } }).to_string());
    let mut seen: Vec<String> = Vec::new();
    while seen.len() < 2 * EACH {
        last = poll(&reader, token(&last), &format!("&filter={filter}")).await;
        let timeline = &last["rooms"]["join"][&room]["timeline"];
        assert_eq!(timeline["limited"], false, "{last}");
        let events = timeline["events"].as_array().unwrap();
        seen.extend(events.iter().map(|event| event["event_id"].as_str().unwrap().to_owned()));
    }
    let mut sent = Vec::new();
    for writer in writers {
        let mine = writer.await.unwrap();
        let order: Vec<_> = seen.iter().filter(|id| mine.contains(id)).cloned().collect();
        assert_eq!(order, mine);
        sent.extend(mine);
    }
    assert_eq!(seen.len(), sent.len());
    let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit={}", 2 * EACH);
    let page = reader.get(&path).await.ok();
    let mut history: Vec<_> = page["chunk"].as_array().unwrap().iter().collect();
    history.reverse();
    let history: Vec<_> = history.iter().map(|e| e["event_id"].as_str().unwrap()).collect();
    assert_eq!(history, seen);
}
