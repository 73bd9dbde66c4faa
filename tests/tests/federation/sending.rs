//! What happens on one server is told to the others.

use std::time::{Duration, Instant};

use pli_tests::server::{TestServer, TestUser};
use serde_json::{Value, json};

use super::joins::{join_via, public_room, two};

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Reads a user's sync until it has what is looked for.
pub async fn until<T>(
    user: &TestUser,
    mut since: Option<String>,
    mut found: impl FnMut(&Value) -> Option<T>,
) -> T {
    let started = Instant::now();
    loop {
        let from = since.as_deref().map(|since| format!("&since={since}")).unwrap_or_default();
        let path = format!("/_matrix/client/v3/sync?timeout=1000{from}");
        let synced = user.get(&path).await.ok();
        if let Some(found) = found(&synced) {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{} waits in vain: {synced}", user.user_id);
        since = synced["next_batch"].as_str().map(str::to_owned);
    }
}

/// The token of a sync that knows all that is there.
pub async fn now(user: &TestUser) -> Option<String> {
    user.sync(None).await["next_batch"].as_str().map(str::to_owned)
}

/// The texts of the messages in a room of a sync.
pub fn texts(synced: &Value, room: &str) -> Vec<String> {
    let events = synced["rooms"]["join"][room]["timeline"]["events"].as_array();
    let bodies = events.into_iter().flatten().filter_map(|event| event["content"]["body"].as_str());
    bodies.map(str::to_owned).collect()
}

/// Waits until a user sees all these texts in a room, in this order.
pub async fn until_texts(user: &TestUser, since: Option<String>, room: &str, wanted: &[&str]) {
    let mut seen = Vec::new();
    until(user, since, |synced| {
        seen.extend(texts(synced, room));
        (seen.len() >= wanted.len()).then_some(())
    })
    .await;
    assert_eq!(seen, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_both_ways_once_and_in_order() {
    let ((a, alice), (_b, bob)) = two().await;
    let room = public_room(&alice, "12").await;
    join_via(&bob, &room, &a).await;
    let (at_alice, at_bob) = (now(&alice).await, now(&bob).await);
    for text in ["one", "two", "three"] {
        alice.say(&room, text).await;
    }
    until_texts(&bob, at_bob, &room, &["one", "two", "three"]).await;
    bob.say(&room, "four").await;
    until_texts(&alice, at_alice, &room, &["one", "two", "three", "four"]).await;
    let path = format!("/_matrix/client/v3/rooms/{room}/leave");
    let since = now(&alice).await;
    bob.post(&path, json!({})).await.ok();
    until(&alice, since, |synced| {
        let events = synced["rooms"]["join"][&room]["timeline"]["events"].as_array()?;
        events.iter().find(|event| event["content"]["membership"] == "leave").map(drop)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_survives_a_restart_and_is_sent_in_order() {
    let ((mut a, alice), (mut b, bob)) = two().await;
    let room = public_room(&alice, "11").await;
    join_via(&bob, &room, &a).await;
    let at_bob = now(&bob).await;
    b.stop().await;
    alice.say(&room, "one").await;
    alice.say(&room, "two").await;
    a.restart().await;
    alice.say(&room, "three").await;
    b.restart().await;
    until_texts(&bob, at_bob, &room, &["one", "two", "three"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_long_outage_nothing_is_missing() {
    const MESSAGES: usize = 540;
    let ((a, alice), (mut b, bob)) = two().await;
    let room = public_room(&alice, "12").await;
    join_via(&bob, &room, &a).await;
    let at_bob = now(&bob).await;
    b.stop().await;
    for n in 0..MESSAGES {
        alice.say(&room, &format!("{n}")).await;
    }
    b.restart().await;
    let last = format!("{}", MESSAGES - 1);
    until(&bob, at_bob, |synced| texts(synced, &room).contains(&last).then_some(())).await;
    let mut seen = Vec::new();
    let mut from = String::new();
    while seen.len() < MESSAGES {
        let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=100{from}");
        let page = bob.get(&path).await.ok();
        let events = page["chunk"].as_array().unwrap();
        seen.extend(
            events.iter().filter_map(|event| event["content"]["body"].as_str()).map(str::to_owned),
        );
        let Some(end) = page["end"].as_str() else { break };
        from = format!("&from={end}");
    }
    seen.reverse();
    let wanted: Vec<String> = (0..MESSAGES).map(|n| n.to_string()).collect();
    assert_eq!(seen, wanted);
}

/// A room of three servers, with a user of each.
async fn three() -> [(TestServer, TestUser); 3] {
    let ((a, alice), (b, bob)) = two().await;
    let c = TestServer::start_federating().await;
    let carol = c.register("carol").await;
    [(a, alice), (b, bob), (c, carol)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_or_refuses_holds_up_nobody_else() {
    let [(a, alice), (mut b, bob), (c, carol)] = three().await;
    let room = public_room(&alice, "12").await;
    join_via(&bob, &room, &a).await;
    join_via(&carol, &room, &a).await;
    let (at_bob, at_carol) = (now(&bob).await, now(&carol).await);
    b.stop().await;
    alice.say(&room, "while one is away").await;
    until_texts(&carol, at_carol, &room, &["while one is away"]).await;
    let at_carol = now(&carol).await;
    // It is there again, and refuses: what it refuses is dropped.
    b.config.federation.open = false;
    b.restart().await;
    for n in 0..5 {
        alice.say(&room, &format!("refused {n}")).await;
    }
    let all: Vec<String> = (0..5).map(|n| format!("refused {n}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    until_texts(&carol, at_carol, &room, &all).await;
    b.config.federation.open = true;
    b.restart().await;
    let at_alice = now(&alice).await;
    alice.say(&room, "welcome back").await;
    until(&bob, at_bob, |synced| {
        texts(synced, &room).contains(&"welcome back".to_owned()).then_some(())
    })
    .await;
    bob.say(&room, "thank you").await;
    until(&alice, at_alice, |synced| {
        texts(synced, &room).contains(&"thank you".to_owned()).then_some(())
    })
    .await;
    drop((a, c));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_to_servers_that_a_third_one_let_in() {
    let [(a, alice), (b, bob), (c, carol)] = three().await;
    let room = public_room(&alice, "12").await;
    join_via(&bob, &room, &a).await;
    let at_bob = now(&bob).await;
    join_via(&carol, &room, &a).await;
    // The join comes to the third server, and so does what the new one says.
    until(&bob, at_bob.clone(), |synced| {
        let events = synced["rooms"]["join"][&room]["timeline"]["events"].as_array()?;
        let joined = |event: &&Value| event["state_key"] == carol.user_id.as_str();
        events.iter().find(joined).map(drop)
    })
    .await;
    carol.say(&room, "hello").await;
    until(&bob, at_bob, |synced| texts(synced, &room).contains(&"hello".to_owned()).then_some(()))
        .await;
    drop((a, b, c));
}

/// The content of an ephemeral event in a room of a sync.
fn ephemeral(synced: &Value, room: &str, event_type: &str) -> Option<Value> {
    let events = synced["rooms"]["join"][room]["ephemeral"]["events"].as_array()?;
    let event = events.iter().find(|event| event["type"] == event_type)?;
    Some(event["content"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_and_receipts_go_both_ways() {
    let ((a, alice), (b, bob)) = two().await;
    let room = public_room(&alice, "12").await;
    join_via(&bob, &room, &a).await;
    for (writer, reader) in [(&alice, &bob), (&bob, &alice)] {
        let since = now(reader).await;
        let path = format!("/_matrix/client/v3/rooms/{room}/typing/{}", writer.user_id);
        writer.put(&path, json!({ "typing": true, "timeout": 30_000 })).await.ok();
        let typing = |synced: &Value, users: Value| {
            (ephemeral(synced, &room, "m.typing")?["user_ids"] == users).then_some(())
        };
        until(reader, since.clone(), |synced| typing(synced, json!([writer.user_id]))).await;
        writer.put(&path, json!({ "typing": false })).await.ok();
        until(reader, since, |synced| typing(synced, json!([]))).await;
        let since = now(reader).await;
        let event = writer.say(&room, "read this").await;
        until(reader, since, |synced| {
            texts(synced, &room).contains(&"read this".to_owned()).then_some(())
        })
        .await;
        let since = now(writer).await;
        let path = format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{event}");
        reader.post(&path, json!({ "thread_id": "main" })).await.ok();
        until(writer, since, |synced| {
            let receipt = ephemeral(synced, &room, "m.receipt")?;
            let read = &receipt[&event]["m.read"][&reader.user_id];
            (read["thread_id"] == "main" && read["ts"].is_u64()).then_some(())
        })
        .await;
    }
    drop(b);
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_is_told_to_servers_that_share_a_room() {
    let start = || TestServer::start_federating_with(|config| config.presence.enabled = true);
    let (a, b) = tokio::join!(start(), start());
    let (alice, bob) = tokio::join!(a.register("alice"), b.register("bob"));
    let room = public_room(&alice, "12").await;
    join_via(&bob, &room, &a).await;
    let since = now(&bob).await;
    let path = format!("/_matrix/client/v3/presence/{}/status", alice.user_id);
    alice.put(&path, json!({ "presence": "unavailable", "status_msg": "at lunch" })).await.ok();
    until(&bob, since, |synced| {
        let events = synced["presence"]["events"].as_array()?;
        let told = |event: &&Value| {
            event["sender"] == alice.user_id.as_str()
                && event["content"]["status_msg"] == "at lunch"
        };
        events.iter().find(told).map(drop)
    })
    .await;
    let seen = bob.get(&path).await.ok();
    assert_eq!(seen["presence"], "unavailable");
}
