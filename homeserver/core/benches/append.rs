//! What one message costs, all in, on the memory store: `cargo bench -p pli-core --bench append`.
//!
//! `one after the other` is a lone sender: each message is a transaction of its own. `at once` is a busy
//! room: those who wait share transactions. `large room` has 1,000 joined members, each with a power
//! level, which are looked at for every message.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a benchmark that cannot run must say so"
)]

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
};

use criterion::{Criterion, criterion_group, criterion_main};
use pli_core::{
    Clock, Rooms,
    rooms::{CreateRoom, Draft, Origin, Preset},
};
use pli_store::Store;
use ruma::{OwnedRoomId, OwnedUserId, events::TimelineEventType};
use serde_json::{Value, json, value::to_raw_value};
use tokio::runtime::Runtime;

/// Messages that are sent at once.
const AT_ONCE: u32 = 64;

static TRANSACTION: AtomicU64 = AtomicU64::new(0);

fn user(n: usize) -> OwnedUserId {
    ruma::UserId::parse(format!("@user{n}:agents.example")).expect("a user id")
}

async fn room(rooms: &Rooms, members: usize) -> OwnedRoomId {
    let mut request = CreateRoom::by(user(0));
    request.preset = Some(Preset::Public);
    let levels: Value = (1..members).map(|n| (user(n).to_string(), json!(50))).collect();
    request.power_levels = Some(to_raw_value(&json!({ "users": levels })).expect("JSON"));
    let room = rooms.create(request).await.expect("a room");
    for n in 1..members {
        rooms.join(&user(n), &room, None).await.expect("a member");
    }
    room
}

async fn send(rooms: &Rooms, room: &OwnedRoomId) {
    let content = json!({
        "algorithm": "m.megolm.v1.aes-sha2",
        "ciphertext": "x".repeat(400),
        "session_id": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ",
    });
    let content = to_raw_value(&content).expect("JSON");
    let draft =
        Draft::message(user(0), TimelineEventType::RoomEncrypted, content).expect("a draft");
    let transaction = TRANSACTION.fetch_add(1, Ordering::Relaxed).to_string();
    let origin = Origin::of_send("DEVICE".into(), transaction.as_str().into(), "m.room.encrypted");
    black_box(rooms.append(room, draft, Some(origin)).await.expect("an event"));
}

fn append(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let server_name = ruma::owned_server_name!("agents.example");
    let rooms = Rooms::for_tests(Store::in_memory(), Clock::system(), server_name).expect("rooms");
    let small = runtime.block_on(room(&rooms, 2));
    let large = runtime.block_on(room(&rooms, 1_000));
    let mut group = c.benchmark_group("append");
    group.bench_function("one after the other", |b| {
        b.iter(|| runtime.block_on(send(&rooms, &small)));
    });
    group.bench_function("one after the other, large room", |b| {
        b.iter(|| runtime.block_on(send(&rooms, &large)));
    });
    group.throughput(criterion::Throughput::Elements(AT_ONCE.into()));
    group.bench_function("at once", |b| {
        b.iter(|| {
            runtime.block_on(async {
                let sends = (0..AT_ONCE).map(|_| send(&rooms, &small));
                futures_util::future::join_all(sends).await;
            });
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = append
}
criterion_main!(benches);
