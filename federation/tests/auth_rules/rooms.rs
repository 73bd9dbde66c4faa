//! The room itself: its creation, the events that authorize, the values of old versions.

use super::*;

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
