//! The fuzz target `pdu` with generated input, see `tests/fuzz/README.md`.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails loudly"
)]

mod common;

#[path = "../../tests/fuzz/bodies/pdu.rs"]
mod body;

use common::{ALICE, CAROL, Room};
use pli_federation::room_version::SUPPORTED;
use proptest::prelude::*;
use serde_json::json;

/// Events as they are, to be bent.
fn events() -> Vec<String> {
    let mut events = Vec::new();
    for version in &SUPPORTED {
        let room = Room::standard(version);
        events.extend(room.events.values().map(|pdu| pdu.json.to_string()));
        let content = json!({"body": "é\u{1F600}\n", "n": [1, -5, null, true]});
        events.push(room.event(CAROL, "m.room.message", None, content).json.to_string());
        let mut redaction = room.draft(ALICE, "m.room.redaction", None, json!({}));
        redaction.redacts = room.last.first().cloned();
        events.push(room.finish(redaction).json.to_string());
    }
    events
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(data in prop::collection::vec(any::<u8>(), 0..200)) {
        body::run(&data);
    }

    #[test]
    fn bent_events(
        event in prop::sample::select(events()),
        at in any::<prop::sample::Index>(),
        length in 0..6_usize,
        other in "[\\[\\]{}\",:0-9eE.nul\\-]{0,6}",
    ) {
        body::run(event.as_bytes());
        let mut bytes = event.into_bytes();
        let start = at.index(bytes.len());
        let end = (start + length).min(bytes.len());
        bytes.splice(start..end, other.into_bytes());
        body::run(&bytes);
    }
}
