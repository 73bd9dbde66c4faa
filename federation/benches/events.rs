//! What one event costs: making it, reading it back, showing it to a client, checking it against
//! the rules. The medians printed are what the figures in `docs/adr/0004` are taken from.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a benchmark that cannot run must say so"
)]

use std::{collections::HashMap, hint::black_box, sync::Arc};

use criterion::{Criterion, criterion_group, criterion_main};
use pli_federation::{
    auth_rules,
    event_format::{ClientUnsigned, NewEvent, Pdu, build, client_event},
    keys::SigningKey,
    room_version::DEFAULT,
};
use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, UInt, UserId, events::StateEventType,
};
use serde_json::{json, value::RawValue};

const ALICE: &str = "@alice:example.org";

fn raw(value: &serde_json::Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap()
}

fn new_event(event_type: &str, content: &serde_json::Value) -> NewEvent {
    NewEvent::new(
        UserId::parse(ALICE).unwrap(),
        event_type.into(),
        raw(content),
        MilliSecondsSinceUnixEpoch(UInt::new_saturating(1_700_000_000_000)),
    )
}

/// An encrypted message as clients send it, about 1 KB.
fn encrypted() -> serde_json::Value {
    json!({
        "algorithm": "m.megolm.v1.aes-sha2",
        "ciphertext": "AwgAEpAB".repeat(100),
        "device_id": "JLAFKJWSCS",
        "sender_key": "IlRMeOPX2e0MurIyfWEucYBRVOEEUMrOHqn/8mLqMjA",
        "session_id": "o4d3JgBOEPGzF5VnJBdWXcVQqtqkXU8rVVgbVqrm0Xg",
        "m.relates_to": {"rel_type": "m.thread", "event_id": "$abc", "is_falling_back": true},
    })
}

fn events(criterion: &mut Criterion) {
    let key = SigningKey::from_seed(&[7; 32], "1").unwrap();
    let server = ruma::server_name!("example.org");
    let make = |new: NewEvent| build(new, &DEFAULT, &key, server).unwrap();

    let mut create = new_event("m.room.create", &json!({"room_version": "12"}));
    create.state_key = Some(String::new());
    let create = Arc::new(make(create));
    let mut events: HashMap<OwnedEventId, Arc<Pdu>> = HashMap::new();
    let mut state: HashMap<(StateEventType, String), Arc<Pdu>> = HashMap::new();
    let users: HashMap<String, u8> = (0..20).map(|n| (format!("@u{n}:example.org"), 50)).collect();
    for (event_type, state_key, content) in [
        ("m.room.member", ALICE, json!({"membership": "join"})),
        ("m.room.power_levels", "", json!({"users": users, "events": {"m.room.name": 50}})),
    ] {
        let mut new = new_event(event_type, &content);
        new.room_id = Some(create.room().to_owned());
        new.state_key = Some(state_key.to_owned());
        new.prev_events = vec![create.event_id.clone()];
        let pdu = Arc::new(make(new));
        events.insert(pdu.event_id.clone(), Arc::clone(&pdu));
        state.insert((event_type.into(), state_key.to_owned()), pdu);
    }
    let mut message = new_event("m.room.encrypted", &encrypted());
    message.room_id = Some(create.room().to_owned());
    message.prev_events = events.keys().take(1).cloned().collect();
    message.auth_events = events.keys().cloned().collect();
    message.depth = 3;
    events.insert(create.event_id.clone(), Arc::clone(&create));
    state.insert((StateEventType::RoomCreate, String::new()), create);

    let pdu = make(message.clone());
    criterion.bench_function("build a message of 1 KB", |b| {
        b.iter(|| make(black_box(message.clone())));
    });
    criterion.bench_function("parse a stored event", |b| {
        b.iter(|| Pdu::parse(Some(pdu.event_id.clone()), black_box(&pdu.json), &DEFAULT).unwrap());
    });
    criterion.bench_function("parse a received event", |b| {
        b.iter(|| Pdu::parse(None, black_box(&pdu.json), &DEFAULT).unwrap());
    });
    let unsigned = ClientUnsigned { age: Some(5), membership: Some("join"), ..Default::default() };
    criterion.bench_function("client format", |b| {
        b.iter(|| client_event(black_box(&pdu.json), &pdu.event_id, None, &DEFAULT, &unsigned));
    });
    let view = |event_type: &StateEventType, state_key: &str| {
        state.get(&(event_type.clone(), state_key.to_owned())).cloned()
    };
    let fetch = |id: &EventId| events.get(id).cloned();
    criterion.bench_function("authorize a message", |b| {
        b.iter(|| auth_rules::check(black_box(&pdu), &DEFAULT, fetch, &view).unwrap());
    });
}

criterion_group!(benches, events);
criterion_main!(benches);
