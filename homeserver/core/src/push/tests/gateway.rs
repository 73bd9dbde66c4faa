//! Pushes to a real HTTP server in this process.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use pli_schema::records::push::PushQueueKey;
use pli_store::Scan;
use ruma::api::client::push::set_pusher::v3::PusherAction;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::Error;

/// A push gateway. Each request is answered with the next of the answers, the last one again and again.
struct Gateway {
    url: String,
    got: mpsc::UnboundedReceiver<Value>,
    requests: Arc<AtomicUsize>,
}

impl Gateway {
    async fn new(answers: &[(u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/_matrix/push/v1/notify", listener.local_addr().unwrap());
        let (sender, got) = mpsc::unbounded_channel();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = requests.clone();
        let mut answers: VecDeque<(u16, String)> =
            answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer =
                    if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
                counter.fetch_add(1, Ordering::SeqCst);
                if let Some(body) = answer_one(stream, answer.unwrap()).await {
                    let _ = sender.send(body);
                }
            }
        });
        Self { url, got, requests }
    }

    async fn next(&mut self) -> Value {
        let next = tokio::time::timeout(Duration::from_secs(20), self.got.recv());
        next.await.expect("a notification within 20 s").unwrap()["notification"].clone()
    }
}

async fn answer_one(mut stream: TcpStream, (status, body): (u16, String)) -> Option<Value> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.ok()?;
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")
                    .and_then(|n| n.parse::<usize>().ok())
            })?;
            if rest.len() >= length {
                let answer = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.ok()?;
                return serde_json::from_str(rest).ok();
            }
        }
        if read == 0 {
            return None;
        }
    }
}

const TAKEN: (u16, &str) = (200, r#"{"rejected":[]}"#);

async fn set(push: &Push, name: &str, pushkey: &str, url: &str, more: Value) -> Done {
    let mut data = json!({ "url": url });
    for (key, value) in more.as_object().unwrap() {
        data[key] = value.clone();
    }
    let pusher = json!({
        "app_id": "app", "pushkey": pushkey, "kind": "http", "app_display_name": "App",
        "device_display_name": "Phone", "lang": "fr", "data": data,
        "append": more.get("append").cloned().unwrap_or(false.into()),
    });
    let action: PusherAction = serde_json::from_value(pusher).unwrap();
    push.set_pusher(&user(name), "DEVICE".into(), &action).await
}

fn start(push: &Push) -> DropGuard {
    let stop = CancellationToken::new();
    tokio::spawn(push.clone().run(stop.clone()));
    stop.drop_guard()
}

async fn queued(push: &Push) -> usize {
    push.store().scan(&Scan::<PushQueueKey>::prefix(())).await.unwrap().len()
}

/// Waits until a condition holds.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("within 20 s");
}

#[tokio::test]
async fn a_message_reaches_the_gateway() {
    let world = World::new().await;
    let mut gateway = Gateway::new(&[TAKEN]).await;
    set(&world.push, "bob", "key", &gateway.url, json!({ "brand": "x" })).await.unwrap();
    // Written before the worker runs, but after it knew the log: nothing is lost at a restart.
    world.push.push_watermark().await.unwrap();
    let event_id = world.say("alice", "hello").await;
    let _running = start(&world.push);
    let got = gateway.next().await;
    assert_eq!(got["event_id"], event_id.as_str());
    assert_eq!(got["room_id"], world.room_id.as_str());
    assert_eq!(got["type"], "m.room.message");
    assert_eq!(got["sender"], user("alice").as_str());
    assert_eq!(got["content"]["body"], "hello");
    assert_eq!(got["counts"]["unread"], 1);
    assert_eq!(got["prio"], "low");
    let device = &got["devices"][0];
    assert_eq!((device["pushkey"].as_str(), device["app_id"].as_str()), (Some("key"), Some("app")));
    assert_eq!(device["data"], json!({ "brand": "x" }));
    // Own messages and those of rooms without the user do not.
    world.say("bob", "own").await;
    world.send("alice", mention("Bob!", "bob")).await;
    let got = gateway.next().await;
    assert_eq!(got["devices"][0]["tweaks"]["highlight"], true);
    assert_eq!(got["devices"][0]["tweaks"]["sound"], "default");
    assert!(got.get("prio").is_none());
    until(async || queued(&world.push).await == 0).await;
    assert_eq!(gateway.requests.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn event_id_only_tells_nothing_else() {
    let world = World::new().await;
    let mut gateway = Gateway::new(&[TAKEN]).await;
    set(&world.push, "bob", "key", &gateway.url, json!({ "format": "event_id_only" }))
        .await
        .unwrap();
    let _running = start(&world.push);
    until(async || world.push.push_watermark().await.unwrap() > Position::ZERO).await;
    world.say("alice", "secret").await;
    let got = gateway.next().await;
    let mut keys: Vec<&str> = got.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["counts", "devices", "event_id", "prio", "room_id"]);
    assert!(!got.to_string().contains("secret"));
}

#[tokio::test]
async fn what_failed_is_sent_again_after_a_restart() {
    let world = World::new().await;
    world.push.push_watermark().await.unwrap();
    let mut gateway = Gateway::new(&[(500, "{}"), (200, "no JSON"), TAKEN]).await;
    set(&world.push, "bob", "key", &gateway.url, json!({})).await.unwrap();
    let event_id = world.say("alice", "hello").await;
    let mut running = Vec::new();
    for _ in 0..3 {
        // Another process on the same store, after the end of the one before.
        running.clear();
        let again = push(world.rooms.clone());
        running.push(start(&again));
        assert_eq!(gateway.next().await["event_id"], event_id.as_str());
    }
    let again = push(world.rooms.clone());
    until(async || queued(&again).await == 0).await;
    assert_eq!(gateway.requests.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_rejected_key_is_a_pusher_less() {
    let world = World::new().await;
    world.push.push_watermark().await.unwrap();
    let mut gateway = Gateway::new(&[(200, r#"{"rejected":["key"]}"#)]).await;
    set(&world.push, "bob", "key", &gateway.url, json!({})).await.unwrap();
    world.say("alice", "one").await;
    world.say("alice", "two").await;
    let _running = start(&world.push);
    gateway.next().await;
    until(async || world.push.pushers(&user("bob")).await.unwrap().is_empty()).await;
    assert_eq!((queued(&world.push).await, gateway.requests.load(Ordering::SeqCst)), (0, 1));
}

#[tokio::test]
async fn invites_are_pushed() {
    let world = World::new().await;
    let mut gateway = Gateway::new(&[TAKEN]).await;
    set(&world.push, "dora", "key", &gateway.url, json!({})).await.unwrap();
    world.push.push_watermark().await.unwrap();
    let _running = start(&world.push);
    world.say("alice", "not for Dora").await;
    set_membership(&world.rooms, &world.room_id, ("alice", "dora"), "invite").await.unwrap();
    let got = gateway.next().await;
    assert_eq!(
        (got["type"].as_str(), got["user_is_target"].as_bool()),
        (Some("m.room.member"), Some(true))
    );
}

#[tokio::test]
async fn pushers_belong_to_one_user_and_go_with_their_device() {
    let world = World::new().await;
    let url = "http://127.0.0.1:9/_matrix/push/v1/notify";
    let pushers = async |name: &str| world.push.pushers(&user(name)).await.unwrap().len();
    set(&world.push, "bob", "key", url, json!({})).await.unwrap();
    set(&world.push, "bob", "other", url, json!({})).await.unwrap();
    set(&world.push, "carol", "key", url, json!({ "append": true })).await.unwrap();
    assert_eq!((pushers("bob").await, pushers("carol").await), (2, 1));
    set(&world.push, "carol", "key", url, json!({})).await.unwrap();
    assert_eq!((pushers("bob").await, pushers("carol").await), (1, 1));
    let delete = json!({ "app_id": "app", "pushkey": "key", "kind": null });
    let action: PusherAction = serde_json::from_value(delete).unwrap();
    world.push.set_pusher(&user("carol"), "DEVICE".into(), &action).await.unwrap();
    assert_eq!(pushers("carol").await, 0);
    let bob = &user("bob");
    for (device, left) in [("OTHER", 1), ("DEVICE", 0)] {
        let remove = |tx: pli_store::Tx| async move {
            remove_pushers_of_device(&tx, bob, device.into()).await
        };
        world.rooms.store().write(remove).await.unwrap();
        assert_eq!(pushers("bob").await, left);
    }
}

#[tokio::test]
async fn gateways_that_may_not_be_reached_are_refused() {
    let world = World::new().await;
    let strict = Push::new(world.rooms.clone(), Random::seeded(1), Outgoing::new(false).unwrap());
    for url in [
        "http://push.example/_matrix/push/v1/notify",
        "https://127.0.0.1/_matrix/push/v1/notify",
        "https://[::ffff:10.0.0.1]/_matrix/push/v1/notify",
        "https://push.example/other",
        "nonsense",
    ] {
        let refused = set(&strict, "bob", "key", url, json!({})).await;
        assert!(matches!(refused, Err(Error::InvalidParam(_))), "{url}");
    }
    set(&strict, "bob", "key", "https://push.example/_matrix/push/v1/notify", json!({}))
        .await
        .unwrap();
    let long = "k".repeat(513);
    let refused =
        set(&strict, "bob", &long, "https://push.example/_matrix/push/v1/notify", json!({})).await;
    assert!(matches!(refused, Err(Error::InvalidParam(_))));
}

/// The commit that invites somebody is looked at when the index knows of it, not before: else the one
/// push that matters would be passed over.
#[tokio::test]
async fn commits_wait_until_the_index_knows_of_them() {
    let world = World::new().await;
    set(&world.push, "bob", "key", "http://127.0.0.1:9/_matrix/push/v1/notify", json!({}))
        .await
        .unwrap();
    set(&world.push, "dora", "key", "http://127.0.0.1:9/_matrix/push/v1/notify", json!({}))
        .await
        .unwrap();
    let mut index = world.push.load_index().await.unwrap();
    let from = index.known_to;
    set_membership(&world.rooms, &world.room_id, ("alice", "dora"), "invite").await.unwrap();
    let (to, woken) = world.push.queue_step(&index, from).await.unwrap();
    assert_eq!((to, woken.len()), (from, 0));
    world.push.refresh_index(&mut index, &user("dora")).await.unwrap();
    index.known_to = world.rooms.store().position();
    let (to, woken) = world.push.queue_step(&index, to).await.unwrap();
    assert_eq!(to, index.known_to);
    let woken: Vec<_> = woken.into_iter().map(|pusher| pusher.user_id).collect();
    assert_eq!(woken, [user("dora")]);
}

/// What was said before a new display name is still to be pushed after it.
#[tokio::test]
async fn a_new_display_name_takes_no_push_back() {
    let world = World::new().await;
    set(&world.push, "bob", "key", "http://127.0.0.1:9/_matrix/push/v1/notify", json!({}))
        .await
        .unwrap();
    let from = world.rooms.store().position();
    world.say("alice", "hello").await;
    let content = json!({ "membership": "join", "displayname": "Robert" });
    let draft = testing::state("bob", "m.room.member", user("bob").as_str(), &content);
    world.rooms.append(&world.room_id, draft, None).await.unwrap();
    let index = world.push.load_index().await.unwrap();
    world.push.queue_step(&index, from).await.unwrap();
    assert_eq!(queued(&world.push).await, 1);
}
