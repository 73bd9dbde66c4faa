//! What the state of a room leaves unsaid.

use super::*;

#[test]
fn a_room_without_join_rules_is_one_by_invitation() {
    for_each_version(|version, _| {
        let mut room = Room::created(version, json!({}));
        room.put_member(ALICE, ALICE, "join");
        room.put(ALICE, "m.room.topic", Some(""), json!({"topic": "not the creation alone"}));
        let again = room.member(ALICE, ALICE, "join");
        assert_eq!(room.check(&again), Ok(()), "{version}: whoever is there");
        assert!(room.check(&room.member(BOB, BOB, "join")).is_err(), "{version}: uninvited");
        room.put_member(ALICE, BOB, "invite");
        let invited = room.member(BOB, BOB, "join");
        assert_eq!(room.check(&invited), Ok(()), "{version}: invited");
    });
}

/// A level that is added has no current value that could be above the sender, one that is removed no
/// new one: their defaults do not count.
#[test]
fn levels_that_are_added_or_removed_are_compared_as_they_are_written() {
    for_each_version(|version, number| {
        let mut room = Room::standard(version);
        let mut users = room.levels(json!({}))["users"].clone();
        users[CAROL] = json!(40);
        let events = json!({"m.room.power_levels": 30});
        room.put(
            ALICE,
            "m.room.power_levels",
            Some(""),
            json!({"users": users, "events": events, "ban": 40, "redact": 50}),
        );
        let levels = |more: Value| {
            let mut content = json!({"users": users, "events": events, "ban": 40, "redact": 50});
            for (key, value) in more.as_object().unwrap() {
                match value.is_null() {
                    true => drop(content.as_object_mut().unwrap().remove(key)),
                    false => content[key] = value.clone(),
                }
            }
            room.check(&room.event(CAROL, "m.room.power_levels", Some(""), content)).is_ok()
        };
        assert!(levels(json!({"kick": 40})), "{version}: added, the default was 50");
        assert!(!levels(json!({"kick": 41})), "{version}: added above oneself");
        assert!(levels(json!({"ban": null})), "{version}: removed, the default is 50");
        assert!(!levels(json!({"redact": null})), "{version}: removed from above oneself");
        assert!(!levels(json!({"redact": 40})), "{version}: changed from above oneself");
        assert!(!levels(json!({"ban": 41})), "{version}: changed to above oneself");
        assert_eq!(levels(json!({"kick": "40"})), number < 10, "{version}: written as text");
        assert!(!levels(json!({"kick": "high"})), "{version}: no number");
        assert!(levels(json!({"kick": 30, "invite": 20, "ban": null})), "{version}: at once");
    });
}
