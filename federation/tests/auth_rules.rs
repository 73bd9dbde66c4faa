//! The authorization rules, one line a rule, over every room version, what is allowed next to what
//! is not.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails loudly"
)]

mod common;
#[path = "auth_rules/events.rs"]
mod events;
#[path = "auth_rules/memberships.rs"]
mod memberships;
#[path = "auth_rules/rooms.rs"]
mod rooms;
#[path = "auth_rules/third_party.rs"]
mod third_party;
#[path = "auth_rules/unstated.rs"]
mod unstated;

use std::sync::Arc;

use common::{ALICE, BOB, CAROL, DAVE, EVE, Room, for_each_version, raw};
use pli_federation::{
    auth_rules::{PowerLevel, PowerLevels, check_auth_events, may_redact},
    event_format::Pdu,
    keys::SigningKey,
};
use ruma::{
    OwnedEventId, RoomVersionId, ServerName, UserId, events::TimelineEventType,
    state_res::events::RoomPowerLevelsIntField,
};
use serde_json::{Value, json};

/// A rule: what happens first in a standard room, the event, and the versions that allow it.
type Case = (&'static str, fn(&mut Room), fn(&Room) -> Arc<Pdu>, fn(u8) -> bool);

const NOTHING: fn(&mut Room) = |_| {};
const ALWAYS: fn(u8) -> bool = |_| true;
const NEVER: fn(u8) -> bool = |_| false;

fn run(cases: &[Case]) {
    // The levels of a crowd are read in another way than those of a few.
    for crowded in [false, true] {
        for_each_version(|version, number| {
            let standard = Room::standard_with(version, crowded);
            for (name, setup, event, allowed) in cases {
                let mut room = standard.clone();
                setup(&mut room);
                let found = room.check(&event(&room));
                let place = format!("version {version}, crowded: {crowded}: {name}");
                assert_eq!(found.is_ok(), allowed(number), "{place}: {found:?}");
            }
        });
    }
}

fn new_levels(room: &Room, sender: &str, changes: Value) -> Arc<Pdu> {
    room.event(sender, "m.room.power_levels", Some(""), room.levels(changes))
}
