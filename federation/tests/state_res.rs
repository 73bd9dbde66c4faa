//! State resolution: forks of a room and the state that must come out, for every room version.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails loudly"
)]

mod common;

use std::{collections::HashMap, sync::Arc};

use common::{ALICE, BOB, CAROL, DAVE, Room, for_each_version};
use pli_federation::{
    event_format::Pdu,
    room_version::SUPPORTED,
    state_res::{ResolveError, StateMap, auth_chain, resolve},
};
use proptest::prelude::*;
use ruma::{OwnedEventId, events::StateEventType};
use serde_json::json;

fn resolved(rooms: &[&Room]) -> StateMap {
    let states: Vec<StateMap> = rooms.iter().map(|room| room.state.clone()).collect();
    let events = all_events(rooms);
    resolve_states(rooms[0], &states, &events)
}

fn all_events(rooms: &[&Room]) -> HashMap<OwnedEventId, Arc<Pdu>> {
    rooms.iter().flat_map(|room| room.events.clone()).collect()
}

fn resolve_states(
    room: &Room,
    states: &[StateMap],
    events: &HashMap<OwnedEventId, Arc<Pdu>>,
) -> StateMap {
    let fetch = |id: &ruma::EventId| events.get(id).cloned();
    let chains = states
        .iter()
        .map(|state| auth_chain(state.values().map(|id| &**id), fetch).unwrap())
        .collect();
    resolve(&room.version, states, chains, fetch).unwrap()
}

fn at<'a>(state: &'a StateMap, event_type: &str, state_key: &str) -> Option<&'a OwnedEventId> {
    state.get(&(StateEventType::from(event_type), state_key.to_owned()))
}

fn lower_bob(room: &mut Room) -> OwnedEventId {
    let mut users = room.levels(json!({}))["users"].clone();
    users[BOB] = json!(0);
    room.put_levels(json!({"users": users}))
}

#[test]
fn one_state_or_equal_states_stay_as_they_are() {
    for_each_version(|version, _| {
        let room = Room::standard(version);
        assert_eq!(resolved(&[&room]), room.state, "{version}");
        assert_eq!(resolved(&[&room, &room, &room]), room.state, "{version}");
    });
}

#[test]
fn a_ban_by_one_who_loses_the_power_on_the_other_branch() {
    for_each_version(|version, _| {
        let room = Room::standard(version);
        let joined = at(&room.state, "m.room.member", CAROL).unwrap().clone();
        let (mut left, mut right) = (room.fork(1), room.fork(2));
        let levels = lower_bob(&mut left);
        right.put_member(BOB, CAROL, "ban");
        let state = resolved(&[&left, &right]);
        assert_eq!(at(&state, "m.room.power_levels", ""), Some(&levels), "{version}");
        assert_eq!(at(&state, "m.room.member", CAROL), Some(&joined), "{version}");
    });
}

#[test]
fn a_ban_stands_against_a_join_on_the_other_branch() {
    for_each_version(|version, _| {
        let mut room = Room::standard(version);
        room.put_join_rule("public");
        let (mut left, mut right) = (room.fork(1), room.fork(2));
        let ban = left.put_member(BOB, DAVE, "ban");
        right.clock += 1_000;
        right.put_member(DAVE, DAVE, "join");
        let state = resolved(&[&left, &right]);
        assert_eq!(at(&state, "m.room.member", DAVE), Some(&ban), "{version}");
    });
}

#[test]
fn a_join_past_a_join_rule_that_closed_on_the_other_branch() {
    for_each_version(|version, number| {
        let mut room = Room::standard(version);
        room.put_join_rule("public");
        let (mut left, mut right) = (room.fork(1), room.fork(2));
        let closed = left.put_join_rule("invite");
        right.clock += 1_000;
        let join = right.put_member(DAVE, DAVE, "join");
        let state = resolved(&[&left, &right]);
        assert_eq!(at(&state, "m.room.join_rules", ""), Some(&closed), "{version}");
        // In version 1 what only one branch knows is no conflict and stays.
        let expected = (number == 1).then_some(&join);
        assert_eq!(at(&state, "m.room.member", DAVE), expected, "{version}");
    });
}

#[test]
fn a_topic_by_one_who_loses_the_power_is_reset() {
    for_each_version(|version, _| {
        let mut room = Room::standard(version);
        let first = room.put(ALICE, "m.room.topic", Some(""), json!({"topic": "1"}));
        let (mut left, mut right) = (room.fork(1), room.fork(2));
        let levels = lower_bob(&mut left);
        right.put(BOB, "m.room.topic", Some(""), json!({"topic": "2"}));
        let state = resolved(&[&right, &left]);
        assert_eq!(at(&state, "m.room.power_levels", ""), Some(&levels), "{version}");
        assert_eq!(at(&state, "m.room.topic", ""), Some(&first), "{version}");
    });
}

#[test]
fn of_two_names_the_later_or_deeper_wins() {
    for_each_version(|version, _| {
        let room = Room::standard(version);
        let (mut left, mut right) = (room.fork(1), room.fork(2));
        left.put(ALICE, "m.room.name", Some(""), json!({"name": "left"}));
        right.clock += 1_000;
        right.put(CAROL, "m.room.message", None, json!({"body": "deeper"}));
        let later = right.put(BOB, "m.room.name", Some(""), json!({"name": "right"}));
        let state = resolved(&[&left, &right]);
        assert_eq!(at(&state, "m.room.name", ""), Some(&later), "{version}");
    });
}

#[test]
fn of_two_names_that_of_the_later_power_levels_wins_whatever_the_clock_says() {
    for_each_version(|version, _| {
        let room = Room::standard(version);
        let (mut left, mut right) = (room.fork(1), room.fork(2));
        left.put_levels(json!({"redact": 60}));
        let name = left.put(ALICE, "m.room.name", Some(""), json!({"name": "left"}));
        right.clock += 1_000_000;
        right.put(BOB, "m.room.name", Some(""), json!({"name": "right"}));
        let state = resolved(&[&left, &right]);
        assert_eq!(at(&state, "m.room.name", ""), Some(&name), "{version}");
    });
}

/// MSC4297, problem A: in state resolution 2 an old join is checked against later join rules, and
/// a member is lost. Version 2.1 starts from an empty state instead.
#[test]
fn an_old_join_is_checked_against_the_join_rules_of_its_time_since_version_12() {
    for_each_version(|version, number| {
        let mut room = Room::standard(version);
        room.put_join_rule("public");
        let joined = room.put_member(DAVE, DAVE, "join");
        room.put_join_rule("invite");
        let (mut left, mut right) = (room.fork(1), room.fork(2));
        let levels = lower_bob(&mut left);
        right.put_member(BOB, DAVE, "leave");
        let state = resolved(&[&left, &right]);
        assert_eq!(at(&state, "m.room.power_levels", ""), Some(&levels), "{version}");
        let expected = (number == 1 || number == 12).then_some(&joined);
        assert_eq!(at(&state, "m.room.member", DAVE), expected, "{version}");
    });
}

/// MSC4297, problem B: an event between two conflicting ones that both branches know is not
/// replayed in state resolution 2, and what rests on it is lost. Version 2.1 adds the subgraph.
#[test]
fn what_lies_between_conflicting_events_is_replayed_since_version_12() {
    for_each_version(|version, number| {
        let mut room = Room::standard(version);
        room.put_join_rule("public");
        let mut users = room.levels(json!({}))["users"].clone();
        users[BOB] = json!(0);
        let first = room.put_levels(json!({"users": users}));
        let mut stale = room.fork(1);
        // Bob gets his power back, dave joins under these levels, bob uses his power.
        room.put_levels(json!({}));
        let join = room.put_member(DAVE, DAVE, "join");
        let levels = room.levels(json!({"redact": 40}));
        let third = room.put(BOB, "m.room.power_levels", Some(""), levels);
        stale.state.insert((StateEventType::RoomMember, DAVE.to_owned()), join);

        let state = resolved(&[&stale, &room]);
        let expected = if number == 12 { &third } else { &first };
        assert_eq!(at(&state, "m.room.power_levels", ""), Some(expected), "{version}");
    });
}

/// What is written down by the letter would put an event of all states into the auth difference when
/// only one of them has somebody who names it, and its power levels would decide about the order.
#[test]
fn an_event_of_all_states_is_not_in_the_auth_difference() {
    for_each_version(|version, number| {
        let mut room = Room::standard(version);
        let key = (StateEventType::RoomPowerLevels, String::new());
        let first = room.state[&key].clone();
        let second = room.put_levels(json!({"redact": 60}));
        let (mut left, mut right) = (room.fork(1), room.fork(2));
        let newer = right.put(ALICE, "m.room.name", Some(""), json!({"name": "right"}));
        left.clock += 1_000;
        left.state.insert(key.clone(), first);
        let later = left.put(ALICE, "m.room.name", Some(""), json!({"name": "left"}));
        left.state.insert(key, second);
        let state = resolved(&[&left, &right]);
        // Only version 12 does not start with what all states have.
        let expected = if number == 12 || number == 1 { &later } else { &newer };
        assert_eq!(at(&state, "m.room.name", ""), Some(expected), "{version}");
    });
}

#[test]
fn three_branches() {
    for_each_version(|version, _| {
        let room = Room::standard(version);
        let mut branches = [room.fork(1), room.fork(2), room.fork(3)];
        let mut names = Vec::new();
        for (index, branch) in branches.iter_mut().enumerate() {
            for _ in 0..index {
                branch.put(CAROL, "m.room.message", None, json!({}));
            }
            branch.clock += 1_000;
            names.push(branch.put(BOB, "m.room.name", Some(""), json!({"name": index})));
        }
        let state = resolved(&[&branches[1], &branches[2], &branches[0]]);
        assert_eq!(at(&state, "m.room.name", ""), names.last(), "{version}");
    });
}

#[test]
fn a_missing_event_is_an_error_and_not_a_panic() {
    for_each_version(|version, _| {
        let room = Room::standard(version);
        let ids = room.state.values().map(|id| &**id);
        assert!(matches!(auth_chain(ids, |_| None), Err(ResolveError::Event(_))), "{version}");
        let (mut left, mut right) = (room.fork(1), room.fork(2));
        left.put_levels(json!({"redact": 60}));
        right.put_levels(json!({"redact": 70}));
        let states = [left.state.clone(), right.state.clone()];
        let _ = resolve(version, &states, vec![], |_| None);
    });
}

/// One thing somebody does on a branch, if they may.
#[derive(Clone, Debug)]
struct Act {
    branch: usize,
    sender: &'static str,
    what: u8,
    target: &'static str,
    pause: u32,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let person = || prop::sample::select(vec![ALICE, BOB, CAROL, DAVE]);
    let act = (0..3_usize, person(), 0..8_u8, person(), 0..100_u32);
    prop::collection::vec(
        act.prop_map(|(branch, sender, what, target, pause)| Act {
            branch,
            sender,
            what,
            target,
            pause,
        }),
        1..25,
    )
}

fn perform(room: &mut Room, act: &Act) {
    room.clock += act.pause;
    let member = |membership: &str| {
        ("m.room.member", act.target.to_owned(), json!({"membership": membership}))
    };
    let levels = |changes| ("m.room.power_levels", String::new(), room.levels(changes));
    let (event_type, state_key, content) = match act.what {
        0 => member("join"),
        1 => member("invite"),
        2 => member("leave"),
        3 => member("ban"),
        4 => ("m.room.join_rules", String::new(), json!({"join_rule": "public"})),
        5 => levels(json!({"redact": 30, "kick": 10})),
        6 => levels(json!({"users_default": 50})),
        _ => ("m.room.topic", String::new(), json!({"topic": act.pause})),
    };
    let event = room.event(act.sender, event_type, Some(&state_key), content);
    if room.check(&event).is_ok() {
        room.append(&event);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_the_states_does_not_matter(
        acts in acts(),
        version in prop::sample::select(SUPPORTED.to_vec()),
    ) {
        let room = Room::standard(&version);
        let mut branches = [room.fork(1), room.fork(2), room.fork(3)];
        for act in &acts {
            perform(&mut branches[act.branch], act);
        }
        let [a, b, c] = &branches;
        let first = resolved(&[a, b, c]);
        for order in [[a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]] {
            prop_assert_eq!(&resolved(&order), &first);
        }
        // What all agree on stays, and the result resolved with itself is the result.
        for (key, id) in &a.state {
            if b.state.get(key) == Some(id) && c.state.get(key) == Some(id) {
                prop_assert_eq!(first.get(key), Some(id));
            }
        }
        let events = all_events(&[a, b, c]);
        let again = resolve_states(&room, &[first.clone(), first.clone()], &events);
        prop_assert_eq!(again, first);
    }
}
