//! What moves to the new room, and who may move it.

use super::*;
use crate::rooms::{
    CreateRoom, InitialState, Preset,
    testing::{rooms, set_membership, user},
};

async fn content(rooms: &Rooms, room: &RoomId, event_type: &str) -> Option<Value> {
    let number = rooms.room_number(room).await.unwrap().unwrap();
    rooms.current_content(number, event_type).await.unwrap()
}

async fn old_room(rooms: &Rooms, version: RoomVersionId) -> OwnedRoomId {
    let mut request = CreateRoom::by(user("alice"));
    request.version = Some(version);
    request.public = true;
    request.preset = Some(Preset::Public);
    request.alias_name = Some("finance".to_owned());
    request.name = Some("Finance".to_owned());
    let state = |event_type: &str, content: Value| InitialState {
        event_type: event_type.to_owned(),
        state_key: String::new(),
        content: raw(&content).unwrap(),
    };
    request.initial_state = vec![
        state("m.room.encryption", json!({ "algorithm": "m.megolm.v1.aes-sha2" })),
        state("org.example.private", json!({ "x": 1 })),
    ];
    request.creation_content = Some(raw(&json!({ "type": "m.space" })).unwrap());
    let room = rooms.create(request).await.unwrap();
    set_membership(rooms, &room, ("alice", "mallory"), "ban").await.unwrap();
    set_membership(rooms, &room, ("bob", "bob"), "join").await.unwrap();
    room
}

fn upgrade(who: &str, room_id: &RoomId, version: RoomVersionId) -> Upgrade {
    Upgrade {
        user_id: user(who),
        room_id: room_id.to_owned(),
        version,
        additional_creators: vec![user("carol")],
    }
}

#[tokio::test]
async fn between_every_two_versions_the_new_room_takes_over() {
    for (from, to) in [
        (RoomVersionId::V1, RoomVersionId::V12),
        (RoomVersionId::V6, RoomVersionId::V11),
        (RoomVersionId::V11, RoomVersionId::V12),
        (RoomVersionId::V12, RoomVersionId::V12),
        (RoomVersionId::V12, RoomVersionId::V9),
        (RoomVersionId::V10, RoomVersionId::V2),
    ] {
        let case = format!("{from} to {to}");
        let rooms = rooms();
        let old = old_room(&rooms, from).await;
        let new = rooms.upgrade(upgrade("alice", &old, to.clone())).await.unwrap();
        assert_ne!(old, new, "{case}");
        let tombstone = content(&rooms, &old, "m.room.tombstone").await.unwrap();
        assert_eq!(tombstone["replacement_room"], new.as_str(), "{case}");
        let create = content(&rooms, &new, "m.room.create").await.unwrap();
        assert_eq!(create["predecessor"]["room_id"], old.as_str(), "{case}");
        assert_eq!(create["type"], "m.space", "{case}");
        assert_eq!(create["room_version"], to.as_str(), "{case}");
        let is_12 = to == RoomVersionId::V12;
        assert_eq!(create["predecessor"].get("event_id").is_none(), is_12, "{case}");
        assert_eq!(create.get("additional_creators").is_some(), is_12, "{case}");
        for kept in ["m.room.encryption", "m.room.name", "m.room.join_rules"] {
            let (before, after) =
                (content(&rooms, &old, kept).await, content(&rooms, &new, kept).await);
            assert_eq!(before, after, "{case} {kept}");
        }
        assert_eq!(content(&rooms, &new, "org.example.private").await, None, "{case}");
        let levels = content(&rooms, &new, "m.room.power_levels").await.unwrap();
        let alice = levels["users"].get("@alice:agents.example");
        assert_eq!(alice, (!is_12).then(|| json!(100)).as_ref(), "{case}");
        let alias = ruma::room_alias_id!("#finance:agents.example");
        assert_eq!(rooms.resolve_alias(alias).await.unwrap(), new, "{case}");
        let canonical = content(&rooms, &new, "m.room.canonical_alias").await.unwrap();
        assert_eq!(canonical["alias"], alias.as_str(), "{case}");
        assert_eq!(
            content(&rooms, &old, "m.room.canonical_alias").await,
            Some(json!({})),
            "{case}"
        );
        assert!(rooms.is_published(&new).await.unwrap(), "{case}");
        assert!(!rooms.is_published(&old).await.unwrap(), "{case}");
        let number = rooms.room_number(&new).await.unwrap().unwrap();
        let mallory = rooms.member(number, &user("mallory")).await.unwrap().unwrap();
        assert_eq!(mallory.membership, Membership::Ban, "{case}");
        assert!(rooms.member(number, &user("bob")).await.unwrap().is_none(), "{case}");
        let old_levels = content(&rooms, &old, "m.room.power_levels").await.unwrap();
        assert_eq!(old_levels["events_default"], 50, "{case}");
    }
}

#[tokio::test]
async fn those_without_power_and_unknown_versions_are_refused() {
    let rooms = rooms();
    let old = old_room(&rooms, RoomVersionId::V11).await;
    let refused = rooms.upgrade(upgrade("bob", &old, RoomVersionId::V12)).await;
    assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
    let unknown = RoomVersionId::try_from("org.example").unwrap();
    let refused = rooms.upgrade(upgrade("alice", &old, unknown)).await;
    assert!(matches!(refused, Err(Error::UnsupportedRoomVersion(_))), "{refused:?}");
    let nowhere = RoomId::parse("!nowhere:agents.example").unwrap();
    let refused = rooms.upgrade(upgrade("alice", &nowhere, RoomVersionId::V12)).await;
    assert!(matches!(refused, Err(Error::NotFound(_))), "{refused:?}");
    assert_eq!(content(&rooms, &old, "m.room.tombstone").await, None);
}
