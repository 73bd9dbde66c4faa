//! What a sync costs, on the memory store: `cargo bench -p pli-core --bench sync`.
//!
//! `empty` and `one event` are incremental syncs of a user with 10 to 10,000 joined rooms: their cost is
//! to be that of what changed. `first 20` is the first window of a sliding sync of as many rooms.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a benchmark that cannot run must say so"
)]

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use pli_core::{
    AccountData, Clock, Encryption, Filters, History, Notifier, Presence, Push, Random, Receipts,
    Rooms, Store, ThreadSubscriptions, Typing,
    outgoing::Outgoing,
    rooms::{CreateRoom, Draft},
    sync::{SlidingRequest, StateAfter, Sync, SyncParts, SyncRequest},
};
use ruma::{OwnedRoomId, OwnedUserId, events::TimelineEventType};
use serde_json::{Value, json, value::to_raw_value};
use tokio::runtime::Runtime;

fn user() -> OwnedUserId {
    ruma::user_id!("@agent:agents.example").to_owned()
}

struct Server {
    rooms: Rooms,
    sync: Sync,
    room: OwnedRoomId,
}

async fn server(joined: usize) -> Server {
    let server_name = ruma::owned_server_name!("agents.example");
    let clock = Clock::system();
    let rooms = Rooms::for_tests(Store::in_memory(), clock.clone(), server_name.clone());
    let rooms = rooms.expect("rooms");
    let mut room = None;
    for _ in 0..joined {
        room = Some(rooms.create(CreateRoom::by(user())).await.expect("a room"));
    }
    let store = rooms.store().clone();
    let notifier = Notifier::new(rooms.clone());
    let outgoing = Outgoing::new(true).expect("a client");
    let push = Push::new(rooms.clone(), Random::seeded(1), outgoing);
    let sync = Sync::new(SyncParts {
        rooms: rooms.clone(),
        history: History::new(rooms.clone()),
        encryption: Encryption::new(store.clone(), clock, server_name),
        filters: Filters::new(store.clone()),
        account_data: AccountData::new(store),
        receipts: Receipts::new(rooms.clone()),
        presence: Presence::new(rooms.clone(), notifier.clone(), true),
        thread_subscriptions: ThreadSubscriptions::new(rooms.clone(), push.clone()),
        typing: Typing::new(rooms.clone(), notifier.clone()),
        notifier,
        push,
        stopping: Default::default(),
    });
    tokio::spawn(sync.clone().run());
    Server { rooms, sync, room: room.expect("a room") }
}

impl Server {
    async fn sync(&self, since: Option<String>) -> String {
        let request = SyncRequest {
            user_id: user(),
            device_id: "DEVICE".into(),
            since,
            filter: None,
            full_state: false,
            timeout: Duration::ZERO,
            state_after: StateAfter::No,
            set_presence: ruma::presence::PresenceState::Online,
        };
        let answer = self.sync.sync(&request).await.expect("an answer");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        answer["next_batch"].as_str().expect("a token").to_owned()
    }

    async fn send(&self) {
        let content = to_raw_value(&json!({ "msgtype": "m.text", "body": "x" })).expect("JSON");
        let draft = Draft::message(user(), TimelineEventType::RoomMessage, content);
        self.rooms.append(&self.room, draft.expect("a draft"), None).await.expect("an event");
    }

    async fn first_window(&self) {
        let body = json!({ "lists": { "all": {
            "ranges": [[0, 19]], "timeline_limit": 1,
            "required_state": [["m.room.name", ""], ["m.room.member", "$LAZY"]],
        }}});
        let request = SlidingRequest {
            user_id: user(),
            device_id: "DEVICE".into(),
            pos: None,
            timeout: Duration::ZERO,
            set_presence: ruma::presence::PresenceState::Online,
            body: serde_json::from_value(body).expect("a request"),
        };
        black_box(self.sync.sliding(&request).await.expect("an answer"));
    }
}

fn syncs(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = c.benchmark_group("sync");
    for joined in [10, 100, 1_000, 10_000] {
        let server = runtime.block_on(server(joined));
        let mut since = runtime.block_on(server.sync(None));
        group.bench_function(BenchmarkId::new("empty", joined), |b| {
            b.iter(|| black_box(runtime.block_on(server.sync(Some(since.clone())))));
        });
        group.bench_function(BenchmarkId::new("send and one event", joined), |b| {
            b.iter(|| {
                runtime.block_on(async {
                    server.send().await;
                    since = server.sync(Some(since.clone())).await;
                });
            });
        });
        group.bench_function(BenchmarkId::new("first 20", joined), |b| {
            b.iter(|| runtime.block_on(server.first_window()));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = syncs
}
criterion_main!(benches);
