//! Many messages at once over plain HTTP, to see what a kill loses: nothing.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::cast::{PASSWORD, Server};

const SENDERS: usize = 8;
/// Below so many acknowledged sends a second, a kill proves nothing.
const SENDS_PER_SECOND_MIN: f64 = 100.0;

/// What was acknowledged: transaction id → event id.
pub type Acknowledged = BTreeMap<String, String>;

pub struct Load {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    senders: Vec<JoinHandle<Acknowledged>>,
    runtime: tokio::runtime::Handle,
    client: reqwest::Client,
    token: String,
    room: String,
    since: String,
}

async fn call(request: reqwest::RequestBuilder) -> Result<Value, String> {
    let answer = request.send().await.map_err(|e| e.to_string())?;
    let status = answer.status();
    let body: Value = answer.json().await.map_err(|e| e.to_string())?;
    if status.is_success() { Ok(body) } else { Err(body.to_string()) }
}

async fn send(
    client: &reqwest::Client,
    base: &str,
    token: &str,
    room: &str,
    txn: &str,
) -> Result<String, String> {
    let url = format!("{base}/_matrix/client/v3/rooms/{room}/send/m.room.message/{txn}");
    let content = json!({ "msgtype": "m.text", "body": txn });
    let body = call(client.put(url).bearer_auth(token).json(&content)).await?;
    Ok(body["event_id"].as_str().expect("event_id").to_owned())
}

impl Load {
    /// Logs in as an agent, makes a plain room and sends from several tasks until stopped.
    pub fn start(server: &Server) -> Self {
        let client = reqwest::Client::new();
        let base = server.url("");
        let (token, room, since) = server.runtime.block_on(async {
            let login = json!({
                "type": "m.login.password", "password": PASSWORD,
                "identifier": { "type": "m.id.user", "user": "bob.durand-agents.example" },
            });
            let url = format!("{base}/_matrix/client/v3/login");
            let body = call(client.post(url).json(&login)).await.expect("login");
            let token = body["access_token"].as_str().expect("access_token").to_owned();
            let url = format!("{base}/_matrix/client/v3/createRoom");
            let body = call(client.post(url).bearer_auth(&token).json(&json!({}))).await;
            let room = body.expect("a room")["room_id"].as_str().expect("room_id").to_owned();
            let url = format!("{base}/_matrix/client/v3/sync");
            let body = call(client.get(url).bearer_auth(&token)).await.expect("sync");
            (token, room, body["next_batch"].as_str().expect("next_batch").to_owned())
        });
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let senders = (0..SENDERS).map(|sender| {
            let (client, base, token, room) =
                (client.clone(), base.clone(), token.clone(), room.clone());
            let (stop, count) = (stop.clone(), count.clone());
            server.runtime.spawn(async move {
                let mut acknowledged = Acknowledged::new();
                for n in 0.. {
                    let txn = format!("{sender}-{n:06}");
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let Ok(event) = send(&client, &base, &token, &room, &txn).await else { break };
                    acknowledged.insert(txn, event);
                    count.fetch_add(1, Ordering::SeqCst);
                }
                acknowledged
            })
        });
        let senders = senders.collect();
        let runtime = server.runtime.handle().clone();
        Self { stop, count, senders, runtime, client, token, room, since }
    }

    /// Waits for 300 acknowledged sends that came fast enough.
    pub fn wait_until_fast_enough(&self) {
        let deadline = Instant::now() + pli_tests::process::PATIENCE;
        loop {
            let (before, at) = (self.count.load(Ordering::SeqCst), Instant::now());
            while self.count.load(Ordering::SeqCst) < before + 300 {
                assert!(Instant::now() < deadline, "the server takes too few messages");
                std::thread::sleep(Duration::from_millis(5));
            }
            if 300.0 / at.elapsed().as_secs_f64() >= SENDS_PER_SECOND_MIN {
                return;
            }
        }
    }

    /// What had been acknowledged when the server went away.
    pub fn interrupted(&self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        self.count.load(Ordering::SeqCst)
    }

    /// Everything acknowledged is there once and in the order of its sender; the token of a sync from
    /// before goes on; a repeated transaction id makes no second event.
    pub fn verify(self, server: &Server, at_least: usize) {
        let base = server.url("");
        self.runtime.clone().block_on(async move {
            let mut acknowledged = Acknowledged::new();
            for sender in self.senders {
                acknowledged.extend(sender.await.expect("a sender"));
            }
            assert!(acknowledged.len() >= at_least);
            let (txn, event) = acknowledged.iter().next_back().expect("a message");
            let again = send(&self.client, &base, &self.token, &self.room, txn).await;
            assert_eq!(again.as_ref(), Ok(event), "the same transaction id made another event");
            let seen = timeline(&self.client, &base, &self.token, &self.room, &self.since).await;
            for (txn, event) in &acknowledged {
                let times = seen.iter().filter(|(_, id)| id == event).count();
                assert_eq!(times, 1, "{txn} ({event}) is there {times} times");
            }
            let mut last: BTreeMap<String, String> = BTreeMap::new();
            for (body, _) in &seen {
                let (sender, _) = body.split_once('-').expect("one of ours");
                if let Some(before) = last.insert(sender.to_owned(), body.clone()) {
                    assert!(before < *body, "{body} came after {before}");
                }
            }
        });
    }
}

/// Body and event id of every message since a sync token: from an incremental sync, and from
/// `/messages` for the gap before it.
async fn timeline(
    client: &reqwest::Client,
    base: &str,
    token: &str,
    room: &str,
    since: &str,
) -> Vec<(String, String)> {
    let url = format!("{base}/_matrix/client/v3/sync?since={since}");
    let body = call(client.get(url).bearer_auth(token)).await.expect("the old token goes on");
    let timeline = &body["rooms"]["join"][room]["timeline"];
    let mut events: Vec<Value> = timeline["events"].as_array().expect("events").clone();
    let mut from = timeline["prev_batch"].as_str().map(str::to_owned);
    events.reverse();
    while let Some(at) = from.take() {
        let url =
            format!("{base}/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=100&from={at}");
        let page = call(client.get(url).bearer_auth(token)).await.expect("messages");
        events.extend(page["chunk"].as_array().expect("chunk").iter().cloned());
        from = page["end"].as_str().map(str::to_owned);
    }
    let mut seen: Vec<(String, String)> = events
        .iter()
        .filter(|event| event["type"] == "m.room.message")
        .map(|event| {
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            (text(&event["content"]["body"]), text(&event["event_id"]))
        })
        .collect();
    seen.reverse();
    seen
}
