//! Power levels, events of other types, redactions.

use super::*;

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
