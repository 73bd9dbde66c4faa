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
    for_each_version(|version, number| {
        let standard = Room::standard(version);
        for (name, setup, event, allowed) in cases {
            let mut room = standard.clone();
            setup(&mut room);
            let found = room.check(&event(&room));
            assert_eq!(found.is_ok(), allowed(number), "version {version}: {name}: {found:?}");
        }
    });
}

fn authorized_join(room: &Room, by: &str) -> Arc<Pdu> {
    let content = json!({"membership": "join", "join_authorised_via_users_server": by});
    room.event(DAVE, "m.room.member", Some(DAVE), content)
}

#[test]
fn join() {
    run(&[
        ("uninvited", NOTHING, |r| r.member(DAVE, DAVE, "join"), NEVER),
        (
            "invited",
            |r| drop(r.put_member(BOB, DAVE, "invite")),
            |r| r.member(DAVE, DAVE, "join"),
            ALWAYS,
        ),
        ("again", NOTHING, |r| r.member(CAROL, CAROL, "join"), ALWAYS),
        ("for another", NOTHING, |r| r.member(BOB, DAVE, "join"), NEVER),
        ("public", |r| drop(r.put_join_rule("public")), |r| r.member(DAVE, DAVE, "join"), ALWAYS),
        (
            "public but banned",
            |r| drop(r.put_join_rule("public")),
            |r| r.member(EVE, EVE, "join"),
            NEVER,
        ),
        (
            "unknown join rule",
            |r| drop(r.put_join_rule("org.example.whim")),
            |r| r.member(DAVE, DAVE, "join"),
            NEVER,
        ),
        (
            "private although invited",
            |r| {
                r.put_member(BOB, DAVE, "invite");
                r.put_join_rule("private");
            },
            |r| r.member(DAVE, DAVE, "join"),
            NEVER,
        ),
        (
            "invited where one knocks",
            |r| {
                r.put_member(BOB, DAVE, "invite");
                r.put_join_rule("knock");
            },
            |r| r.member(DAVE, DAVE, "join"),
            |v| v >= 7,
        ),
    ]);
}

#[test]
fn restricted_join() {
    run(&[
        (
            "authorized by a member",
            |r| drop(r.put_join_rule("restricted")),
            |r| authorized_join(r, CAROL),
            |v| v >= 8,
        ),
        (
            "knock_restricted, authorized by a member",
            |r| drop(r.put_join_rule("knock_restricted")),
            |r| authorized_join(r, CAROL),
            |v| v >= 10,
        ),
        (
            "authorized by one who may not invite",
            |r| {
                r.put_levels(json!({"invite": 50}));
                r.put_join_rule("restricted");
            },
            |r| authorized_join(r, CAROL),
            NEVER,
        ),
        (
            "authorized by one who may invite",
            |r| {
                r.put_levels(json!({"invite": 50}));
                r.put_join_rule("restricted");
            },
            |r| authorized_join(r, BOB),
            |v| v >= 8,
        ),
        (
            "authorized by one who is not there",
            |r| drop(r.put_join_rule("restricted")),
            |r| authorized_join(r, "@frank:a.example"),
            NEVER,
        ),
        (
            "authorized by nobody",
            |r| drop(r.put_join_rule("restricted")),
            |r| r.member(DAVE, DAVE, "join"),
            NEVER,
        ),
        (
            "invited, authorized by nobody",
            |r| {
                r.put_member(BOB, DAVE, "invite");
                r.put_join_rule("restricted");
            },
            |r| r.member(DAVE, DAVE, "join"),
            |v| v >= 8,
        ),
    ]);
}

#[test]
fn invite() {
    run(&[
        ("by a member", NOTHING, |r| r.member(CAROL, DAVE, "invite"), ALWAYS),
        ("by a stranger", NOTHING, |r| r.member(DAVE, "@frank:b.example", "invite"), NEVER),
        ("of a member", NOTHING, |r| r.member(BOB, CAROL, "invite"), NEVER),
        ("of the banned", NOTHING, |r| r.member(ALICE, EVE, "invite"), NEVER),
        (
            "below the level",
            |r| drop(r.put_levels(json!({"invite": 50}))),
            |r| r.member(CAROL, DAVE, "invite"),
            NEVER,
        ),
        (
            "at the level",
            |r| drop(r.put_levels(json!({"invite": 50}))),
            |r| r.member(BOB, DAVE, "invite"),
            ALWAYS,
        ),
    ]);
}

#[test]
fn leave_kick_and_ban() {
    run(&[
        ("leave", NOTHING, |r| r.member(CAROL, CAROL, "leave"), ALWAYS),
        ("leave without being there", NOTHING, |r| r.member(DAVE, DAVE, "leave"), NEVER),
        ("leave while banned", NOTHING, |r| r.member(EVE, EVE, "leave"), NEVER),
        (
            "reject an invitation",
            |r| drop(r.put_member(BOB, DAVE, "invite")),
            |r| r.member(DAVE, DAVE, "leave"),
            ALWAYS,
        ),
        ("kick", NOTHING, |r| r.member(BOB, CAROL, "leave"), ALWAYS),
        ("kick below the level", NOTHING, |r| r.member(CAROL, BOB, "leave"), NEVER),
        ("kick one above", NOTHING, |r| r.member(BOB, ALICE, "leave"), NEVER),
        ("kick by a stranger", NOTHING, |r| r.member(DAVE, CAROL, "leave"), NEVER),
        (
            "kick one of the same level",
            |r| {
                let mut users = r.levels(json!({}))["users"].clone();
                users[CAROL] = json!(50);
                r.put_levels(json!({"users": users}));
            },
            |r| r.member(BOB, CAROL, "leave"),
            NEVER,
        ),
        ("unban", NOTHING, |r| r.member(BOB, EVE, "leave"), ALWAYS),
        ("unban below the level", NOTHING, |r| r.member(CAROL, EVE, "leave"), NEVER),
        (
            "unban at the kick level, below the ban level",
            |r| drop(r.put_levels(json!({"ban": 60}))),
            |r| r.member(BOB, EVE, "leave"),
            NEVER,
        ),
        ("ban", NOTHING, |r| r.member(BOB, CAROL, "ban"), ALWAYS),
        ("ban one who was never there", NOTHING, |r| r.member(BOB, DAVE, "ban"), ALWAYS),
        ("ban below the level", NOTHING, |r| r.member(CAROL, DAVE, "ban"), NEVER),
        ("ban one above", NOTHING, |r| r.member(BOB, ALICE, "ban"), NEVER),
        ("ban by a stranger", NOTHING, |r| r.member(DAVE, CAROL, "ban"), NEVER),
        ("unknown membership", NOTHING, |r| r.member(CAROL, CAROL, "org.example.lurk"), NEVER),
        (
            "no membership",
            NOTHING,
            |r| r.event(CAROL, "m.room.member", Some(CAROL), json!({})),
            NEVER,
        ),
        (
            "no state key",
            NOTHING,
            |r| r.event(CAROL, "m.room.member", None, json!({"membership": "join"})),
            NEVER,
        ),
    ]);
}

#[test]
fn knock() {
    run(&[
        (
            "where one knocks",
            |r| drop(r.put_join_rule("knock")),
            |r| r.member(DAVE, DAVE, "knock"),
            |v| v >= 7,
        ),
        (
            "where one knocks or is in a space",
            |r| drop(r.put_join_rule("knock_restricted")),
            |r| r.member(DAVE, DAVE, "knock"),
            |v| v >= 10,
        ),
        ("where one is invited", NOTHING, |r| r.member(DAVE, DAVE, "knock"), NEVER),
        (
            "while banned",
            |r| drop(r.put_join_rule("knock")),
            |r| r.member(EVE, EVE, "knock"),
            NEVER,
        ),
        (
            "while joined",
            |r| drop(r.put_join_rule("knock")),
            |r| r.member(CAROL, CAROL, "knock"),
            NEVER,
        ),
        (
            "for another",
            |r| drop(r.put_join_rule("knock")),
            |r| r.member(BOB, DAVE, "knock"),
            NEVER,
        ),
        (
            "and withdraw it",
            |r| {
                r.put_join_rule("knock");
                let knock = r.member(DAVE, DAVE, "knock");
                r.append(&knock);
            },
            |r| r.member(DAVE, DAVE, "leave"),
            |v| v >= 7,
        ),
    ]);
}

fn new_levels(room: &Room, sender: &str, changes: Value) -> Arc<Pdu> {
    room.event(sender, "m.room.power_levels", Some(""), room.levels(changes))
}

fn user_level(room: &Room, sender: &str, user: &str, level: Value) -> Arc<Pdu> {
    let mut users = room.levels(json!({}))["users"].clone();
    users[user] = level;
    new_levels(room, sender, json!({"users": users}))
}

#[test]
fn power_levels() {
    run(&[
        ("raise to the own level", NOTHING, |r| user_level(r, BOB, CAROL, json!(50)), ALWAYS),
        ("raise above", NOTHING, |r| user_level(r, BOB, CAROL, json!(51)), NEVER),
        ("raise oneself", NOTHING, |r| user_level(r, BOB, BOB, json!(51)), NEVER),
        ("lower oneself", NOTHING, |r| user_level(r, BOB, BOB, json!(49)), ALWAYS),
        ("below the level to send it", NOTHING, |r| user_level(r, CAROL, CAROL, json!(0)), NEVER),
        (
            "lower one above",
            NOTHING,
            |r| new_levels(r, BOB, json!({"users": {BOB: 50}})),
            |v| v >= 12,
        ),
        (
            "lower one of the same level",
            |r| {
                let mut users = r.levels(json!({}))["users"].clone();
                users[CAROL] = json!(50);
                r.put_levels(json!({"users": users}));
            },
            |r| user_level(r, BOB, CAROL, json!(49)),
            NEVER,
        ),
        ("a default", NOTHING, |r| new_levels(r, BOB, json!({"users_default": 50})), ALWAYS),
        ("a default above", NOTHING, |r| new_levels(r, BOB, json!({"kick": 51})), NEVER),
        (
            "an event above",
            NOTHING,
            |r| new_levels(r, BOB, json!({"events": {"org.example.free": 51}})),
            NEVER,
        ),
        (
            "an event",
            NOTHING,
            |r| new_levels(r, BOB, json!({"events": {"org.example.free": 50}})),
            ALWAYS,
        ),
        (
            "a notification above",
            NOTHING,
            |r| new_levels(r, BOB, json!({"notifications": {"room": 60}})),
            |v| v < 6,
        ),
        ("a string", NOTHING, |r| new_levels(r, ALICE, json!({"ban": "50"})), |v| v < 10),
        (
            "a padded string",
            NOTHING,
            |r| new_levels(r, ALICE, json!({"ban": " +050 "})),
            |v| v < 10,
        ),
        ("no number", NOTHING, |r| new_levels(r, ALICE, json!({"ban": "fifty"})), NEVER),
        ("a list", NOTHING, |r| new_levels(r, ALICE, json!({"ban": [50]})), NEVER),
        ("users as a list", NOTHING, |r| new_levels(r, ALICE, json!({"users": [50]})), NEVER),
        ("no user identifier", NOTHING, |r| user_level(r, ALICE, "carol", json!(50)), NEVER),
        (
            "the creator among the users",
            NOTHING,
            |r| user_level(r, ALICE, ALICE, json!(100)),
            |v| v < 12,
        ),
    ]);
}

#[test]
fn other_events() {
    run(&[
        (
            "a message",
            NOTHING,
            |r| r.event(CAROL, "m.room.message", None, json!({"body": "x"})),
            ALWAYS,
        ),
        (
            "a message of a stranger",
            NOTHING,
            |r| r.event(DAVE, "m.room.message", None, json!({"body": "x"})),
            NEVER,
        ),
        (
            "a message below the level",
            |r| drop(r.put_levels(json!({"events_default": 50}))),
            |r| r.event(CAROL, "m.room.message", None, json!({"body": "x"})),
            NEVER,
        ),
        (
            "state",
            NOTHING,
            |r| r.event(BOB, "m.room.topic", Some(""), json!({"topic": "x"})),
            ALWAYS,
        ),
        (
            "state below the level",
            NOTHING,
            |r| r.event(CAROL, "m.room.topic", Some(""), json!({"topic": "x"})),
            NEVER,
        ),
        (
            "state of one's own",
            NOTHING,
            |r| r.event(CAROL, "org.example.free", Some(CAROL), json!({})),
            ALWAYS,
        ),
        (
            "state of another",
            NOTHING,
            |r| r.event(CAROL, "org.example.free", Some(BOB), json!({})),
            NEVER,
        ),
        (
            "state of another, by the creator",
            NOTHING,
            |r| r.event(ALICE, "org.example.free", Some(BOB), json!({})),
            NEVER,
        ),
        (
            "aliases of the own server",
            NOTHING,
            |r| r.event(CAROL, "m.room.aliases", Some("b.example"), json!({"aliases": []})),
            |v| v < 6,
        ),
        (
            "aliases of another server",
            NOTHING,
            |r| r.event(CAROL, "m.room.aliases", Some("a.example"), json!({"aliases": []})),
            NEVER,
        ),
        (
            "aliases of another server, by one with the level",
            NOTHING,
            |r| r.event(BOB, "m.room.aliases", Some("b.example"), json!({"aliases": []})),
            |v| v >= 6,
        ),
        (
            "a second create event",
            NOTHING,
            |r| r.event(ALICE, "m.room.create", Some(""), json!({"room_version": r.version})),
            NEVER,
        ),
    ]);
}

fn redaction(room: &Room, sender: &str, target: &OwnedEventId) -> Arc<Pdu> {
    let mut new = room.draft(sender, "m.room.redaction", None, json!({}));
    new.redacts = Some(target.clone());
    room.finish(new)
}

#[test]
fn redactions() {
    for_each_version(|version, number| {
        let mut room = Room::standard(version);
        let body = json!({"body": "x"});
        let of_bob = room.put(BOB, "m.room.message", None, body.clone());
        let of_carol = room.put(CAROL, "m.room.message", None, body.clone());
        let cases = [
            ("with the level", BOB, &of_carol, true),
            ("of the own server", CAROL, &of_carol, true),
            ("of another server", CAROL, &of_bob, false),
        ];
        for (name, sender, target, carried_out) in cases {
            let event = redaction(&room, sender, target);
            assert_eq!(event.redacts.as_ref(), Some(target), "version {version}: {name}");
            let accepted = room.check(&event);
            // Since version 3 they are accepted, and then perhaps not carried out.
            assert_eq!(accepted.is_ok(), carried_out || number >= 3, "{version}: {name}");
            if accepted.is_ok() {
                let found = may_redact(&event, &room.events[target], version, &room.view());
                assert_eq!(found, Ok(carried_out), "version {version}: {name}");
            }
        }
        let unrelated = redaction(&room, BOB, &of_carol);
        assert_eq!(may_redact(&unrelated, &room.events[&of_bob], version, &room.view()), Ok(false));
    });
}

/// An invitation by e-mail: the key of the identity server stands in the room.
fn third_party_content(mxid: &str, seed: u8) -> Value {
    let key = SigningKey::from_seed(&[seed; 32], "0").unwrap();
    let mut signed = serde_json::from_value(json!({"mxid": mxid, "token": "token"})).unwrap();
    key.sign_json(<&ServerName>::try_from("id.example").unwrap(), &mut signed).unwrap();
    json!({"membership": "invite",
           "third_party_invite": {"display_name": "D", "signed": signed}})
}

fn allow_third_party(room: &mut Room) {
    let key = SigningKey::from_seed(&[1; 32], "0").unwrap().public_key().encode();
    let content = json!({"display_name": "D", "key_validity_url": "https://id.example/valid",
        "public_key": key, "public_keys": [{"public_key": key}]});
    room.put(BOB, "m.room.third_party_invite", Some("token"), content);
}

#[test]
fn third_party_invites() {
    run(&[
        (
            "signed",
            allow_third_party,
            |r| r.event(BOB, "m.room.member", Some(DAVE), third_party_content(DAVE, 1)),
            ALWAYS,
        ),
        (
            "signed by another key",
            allow_third_party,
            |r| r.event(BOB, "m.room.member", Some(DAVE), third_party_content(DAVE, 2)),
            NEVER,
        ),
        (
            "signed for another user",
            allow_third_party,
            |r| {
                let content = third_party_content("@frank:b.example", 1);
                r.event(BOB, "m.room.member", Some(DAVE), content)
            },
            NEVER,
        ),
        (
            "of the banned",
            allow_third_party,
            |r| r.event(BOB, "m.room.member", Some(EVE), third_party_content(EVE, 1)),
            NEVER,
        ),
        (
            "by another than the first sender",
            allow_third_party,
            |r| r.event(ALICE, "m.room.member", Some(DAVE), third_party_content(DAVE, 1)),
            NEVER,
        ),
        (
            "without the state event",
            NOTHING,
            |r| r.event(BOB, "m.room.member", Some(DAVE), third_party_content(DAVE, 1)),
            NEVER,
        ),
        (
            "without what is signed",
            allow_third_party,
            |r| {
                let content = json!({"membership": "invite", "third_party_invite": {}});
                r.event(BOB, "m.room.member", Some(DAVE), content)
            },
            NEVER,
        ),
        (
            "the state event below the invite level",
            |r| drop(r.put_levels(json!({"invite": 50}))),
            |r| r.event(CAROL, "m.room.third_party_invite", Some("token"), json!({})),
            NEVER,
        ),
        (
            "the state event at the invite level",
            |r| drop(r.put_levels(json!({"invite": 50, "state_default": 100}))),
            |r| r.event(BOB, "m.room.third_party_invite", Some("token"), json!({})),
            ALWAYS,
        ),
    ]);
}

#[test]
fn create() {
    for_each_version(|version, number| {
        let room = Room::created(version, json!({}));
        let create = |content: Value| {
            let mut new = room.draft(ALICE, "m.room.create", Some(""), content);
            new.prev_events.clear();
            new
        };
        let check = |pdu: &Pdu| check_auth_events(pdu, version, room.fetch()).is_ok();
        let full = json!({"room_version": version, "creator": ALICE});
        assert!(check(&room.finish(create(full.clone()))), "{version}");

        let mut after_others = create(full.clone());
        after_others.prev_events = room.last.clone();
        assert!(!check(&room.finish(after_others)), "{version}");

        let no_creator = room.finish(create(json!({"room_version": version})));
        assert_eq!(check(&no_creator), number >= 11, "{version}");

        let unknown = json!({"room_version": "org.example.unknown", "creator": ALICE});
        assert!(!check(&room.finish(create(unknown))), "{version}");
        let without_version = room.finish(create(json!({"creator": ALICE})));
        assert_eq!(check(&without_version), number == 1, "{version}");

        if number < 12 {
            let mut foreign = create(full);
            foreign.sender = UserId::parse(CAROL).unwrap();
            assert!(!check(&room.finish(foreign)), "{version}");
        } else {
            let json = room.finish(create(full)).json.replacen(
                "\"sender\"",
                "\"room_id\":\"!room:a.example\",\"sender\"",
                1,
            );
            assert!(Pdu::parse(None, &json, version).is_err(), "a room_id in the create event");
        }
        for (creators, fine) in [
            (json!([BOB]), true),
            (json!("bob"), number < 12),
            (json!(["bob"]), number < 12),
            (json!([1]), number < 12),
        ] {
            let content =
                json!({"room_version": version, "creator": ALICE, "additional_creators": creators});
            assert_eq!(check(&room.finish(create(content))), fine, "{version} {creators}");
        }
    });
}

#[test]
fn the_auth_events_must_be_the_right_ones() {
    for_each_version(|version, number| {
        let room = Room::standard(version);
        let draft = || room.draft(CAROL, "m.room.message", None, json!({}));
        let check = |new| {
            let pdu = room.finish(new);
            check_auth_events(&pdu, version, room.fetch())
        };
        assert_eq!(check(draft()), Ok(()), "{version}");

        let mut twice = draft();
        twice.auth_events.push(twice.auth_events[0].clone());
        assert!(check(twice).is_err(), "{version}: twice the same");

        let mut too_much = draft();
        let join_rules = ("m.room.join_rules".into(), String::new());
        too_much.auth_events.push(room.state[&join_rules].clone());
        assert!(check(too_much).is_err(), "{version}: one too many");

        let mut none = draft();
        none.auth_events.clear();
        assert_eq!(check(none).is_ok(), number >= 12, "{version}: none");

        let mut rejected_room = room.clone();
        let levels = room.state[&("m.room.power_levels".into(), String::new())].clone();
        let mut rejected = (*room.events[&levels]).clone();
        rejected.rejected = true;
        rejected_room.events.insert(levels, Arc::new(rejected));
        assert!(rejected_room.check(&room.finish(draft())).is_err(), "{version}: a rejected one");

        let other = Room::standard(version);
        let mut foreign = draft();
        if number < 12 {
            foreign.room_id = Some("!other:a.example".try_into().unwrap());
        } else {
            // The room of some event that is no create event.
            let id = other.last[0].as_str().replacen('$', "!", 1);
            foreign.room_id = Some(id.try_into().unwrap());
        }
        assert!(check(foreign).is_err(), "{version}: of another room");
    });
}

#[test]
fn a_room_that_is_not_federated_refuses_other_servers() {
    for_each_version(|version, _| {
        let mut room = Room::created(version, json!({"m.federate": false}));
        room.put_member(ALICE, ALICE, "join");
        room.put_join_rule("public");
        assert!(room.check(&room.member(CAROL, CAROL, "join")).is_err(), "{version}");
        assert!(room.check(&room.member(BOB, BOB, "join")).is_ok(), "{version}");
    });
}

#[test]
fn before_the_power_levels_only_the_creator_has_power() {
    for_each_version(|version, number| {
        let mut room = Room::created(version, json!({"additional_creators": [BOB]}));
        room.put_member(ALICE, ALICE, "join");
        room.put_join_rule("public");
        room.put_member(BOB, BOB, "join");
        let topic = |who| room.event(who, "m.room.topic", Some(""), json!({"topic": "x"}));
        assert!(room.check(&topic(ALICE)).is_ok(), "{version}");
        assert_eq!(room.check(&topic(BOB)).is_ok(), number >= 12, "{version}");

        let levels = PowerLevels::of(version, &room.view()).unwrap();
        let user = |id: &str| levels.of_user(&UserId::parse(id).unwrap()).unwrap();
        let (alice, bob) = match number {
            12 => (PowerLevel::Infinite, PowerLevel::Infinite),
            _ => (PowerLevel::Int(100), PowerLevel::Int(0)),
        };
        assert_eq!((user(ALICE), user(BOB)), (alice, bob), "{version}");
        assert!(user(ALICE) > PowerLevel::Int(99));
        let message = TimelineEventType::RoomMessage;
        assert_eq!(levels.to_send(&message, false), Ok(PowerLevel::Int(0)));
        assert_eq!(levels.to_send(&message, true), Ok(PowerLevel::Int(50)));
        assert_eq!(levels.to_act(RoomPowerLevelsIntField::Ban), Ok(PowerLevel::Int(50)));
        assert_eq!(levels.to_notify("room"), Ok(PowerLevel::Int(50)));
    });
}

/// Since version 6 no such event can exist; before, the levels are cut to integers.
#[test]
fn float_and_huge_power_levels_of_old_versions() {
    for version in [RoomVersionId::V3, RoomVersionId::V5, RoomVersionId::V6, RoomVersionId::V11] {
        let old = matches!(version, RoomVersionId::V3 | RoomVersionId::V5);
        let mut room = Room::standard(&version);
        let template = new_levels(&room, ALICE, json!({}));
        let json = template
            .json
            .replacen("\"@bob:a.example\":50", "\"@bob:a.example\":50.57", 1)
            .replacen("\"@alice:a.example\":100", "\"@alice:a.example\":9223372036854775807", 1);
        let parsed = Pdu::parse(None, &json, &version);
        assert_eq!(parsed.is_ok(), old, "{version}");
        let Ok(pdu) = parsed else { continue };
        // Alice has 100 and may not give herself more, but bob's 50.57 is no change.
        assert!(room.check(&pdu).is_err());
        let json = template.json.replacen(":50}", ":50.57}", 1);
        let pdu = Arc::new(Pdu::parse(None, &json, &version).unwrap());
        assert_eq!(room.check(&pdu), Ok(()), "{version}");
        room.append(&pdu);
        let levels = PowerLevels::of(&version, &room.view()).unwrap();
        let bob = levels.of_user(&UserId::parse(BOB).unwrap());
        assert_eq!(bob, Ok(PowerLevel::Int(50)), "{version}");
        assert!(room.check(&room.member(BOB, CAROL, "ban")).is_ok());
    }
}

#[test]
fn malformed_content_is_a_rejection_not_a_panic() {
    for_each_version(|version, _| {
        let room = Room::standard(version);
        for content in [json!({"membership": 5}), json!({"membership": null})] {
            let pdu = room.event(CAROL, "m.room.member", Some(CAROL), content);
            assert!(room.check(&pdu).is_err(), "{version}");
        }
        let odd_key =
            room.event(CAROL, "m.room.member", Some("carol"), json!({"membership": "join"}));
        assert!(room.check(&odd_key).is_err(), "{version}");
        assert_eq!(raw(&json!({})).get(), "{}");
    });
}
