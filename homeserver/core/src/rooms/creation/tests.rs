//! Presets, versions, the order of the first events, and wishes that are refused.

use ruma::RoomVersionId;
use serde_json::{Value, json};

use super::*;
use crate::rooms::testing::{raw, rooms, timeline, user};

async fn content(rooms: &Rooms, room: &OwnedRoomId, event_type: &str) -> Option<Value> {
    let number = rooms.room_number(room).await.unwrap().unwrap();
    rooms.current_content(number, event_type).await.unwrap()
}

async fn types(rooms: &Rooms, room: &OwnedRoomId) -> Vec<String> {
    let mut types = Vec::new();
    for id in timeline(rooms, room).await {
        let pdu = rooms.event_by_id(&id).await.unwrap().unwrap().pdu().unwrap();
        types.push(pdu.event_type.to_string());
    }
    types
}

fn request(version: RoomVersionId, preset: Preset) -> CreateRoom {
    let mut request = CreateRoom::by(user("alice"));
    request.version = Some(version);
    request.preset = Some(preset);
    request
}

#[tokio::test]
async fn every_preset_in_every_version() {
    let rooms = rooms();
    for version in room_version::SUPPORTED {
        for preset in [Preset::Private, Preset::TrustedPrivate, Preset::Public] {
            let mut request = request(version.clone(), preset);
            request.invite = vec![user("bob")];
            let room = rooms.create(request).await.unwrap();
            let case = format!("{version} {preset:?}");
            let rules = version.rules().unwrap().authorization;

            let create = content(&rooms, &room, "m.room.create").await.unwrap();
            assert_eq!(create["room_version"], version.as_str(), "{case}");
            let has_creator = create.get("creator").is_some();
            assert_eq!(has_creator, !rules.use_room_create_sender, "{case}");
            let levels = content(&rooms, &room, "m.room.power_levels").await.unwrap();
            let trusted = preset == Preset::TrustedPrivate;
            if version == RoomVersionId::V12 {
                assert_eq!(levels["users"], json!({}), "{case}");
                assert_eq!(levels["events"]["m.room.tombstone"], 150, "{case}");
                let creators = trusted.then(|| json!(["@bob:agents.example"]));
                assert_eq!(create.get("additional_creators").cloned(), creators, "{case}");
                assert!(!room.as_str().contains(':'), "{case}: {room}");
            } else {
                let mut users = json!({ "@alice:agents.example": 100 });
                if trusted {
                    users["@bob:agents.example"] = json!(100);
                }
                assert_eq!(levels["users"], users, "{case}");
                assert_eq!(levels["events"]["m.room.tombstone"], 100, "{case}");
            }
            let (join_rule, guests) = match preset {
                Preset::Public => ("public", "forbidden"),
                _ => ("invite", "can_join"),
            };
            let rules = content(&rooms, &room, "m.room.join_rules").await.unwrap();
            assert_eq!(rules, json!({ "join_rule": join_rule }), "{case}");
            let access = content(&rooms, &room, "m.room.guest_access").await.unwrap();
            assert_eq!(access, json!({ "guest_access": guests }), "{case}");
            let number = rooms.room_number(&room).await.unwrap().unwrap();
            let head = rooms.head(number).await.unwrap();
            assert_eq!((head.joined_members, head.invited_members), (1, 1), "{case}");
        }
    }
}

#[tokio::test]
async fn events_come_in_the_order_of_the_specification() {
    let rooms = rooms();
    let mut request = request(RoomVersionId::V12, Preset::Private);
    request.alias_name = Some("finance".to_owned());
    request.name = Some("Finance".to_owned());
    request.topic = Some("All of it".to_owned());
    request.invite = vec![user("bob")];
    request.is_direct = true;
    let state = |event_type: &str, content: Value| InitialState {
        event_type: event_type.to_owned(),
        state_key: String::new(),
        content: raw(&content),
    };
    request.initial_state = vec![
        state("m.room.encryption", json!({ "algorithm": "m.megolm.v1.aes-sha2" })),
        state("m.room.join_rules", json!({ "join_rule": "public" })),
        state("m.room.name", json!({ "name": "not this" })),
    ];
    let room = rooms.create(request).await.unwrap();
    let expected = [
        "m.room.create",
        "m.room.member",
        "m.room.power_levels",
        "m.room.canonical_alias",
        "m.room.history_visibility",
        "m.room.guest_access",
        "m.room.encryption",
        "m.room.join_rules",
        "m.room.name",
        "m.room.topic",
        "m.room.member",
    ];
    assert_eq!(types(&rooms, &room).await, expected);
    let name = content(&rooms, &room, "m.room.name").await.unwrap();
    assert_eq!(name, json!({ "name": "Finance" }));
    let topic = content(&rooms, &room, "m.room.topic").await.unwrap();
    assert_eq!(topic["m.topic"]["m.text"][0]["body"], "All of it");
    let alias = content(&rooms, &room, "m.room.canonical_alias").await.unwrap();
    assert_eq!(alias, json!({ "alias": "#finance:agents.example" }));
    let number = rooms.room_number(&room).await.unwrap().unwrap();
    let bob = user("bob");
    let invite =
        rooms.current_state_event(number, "m.room.member", bob.as_str()).await.unwrap().unwrap();
    let invite: Value = invite.content().unwrap().unwrap();
    assert_eq!(invite, json!({ "membership": "invite", "is_direct": true }));
}

#[tokio::test]
async fn a_refused_room_leaves_nothing_behind() {
    let rooms = rooms();
    let mut refused = request(RoomVersionId::V11, Preset::Private);
    refused.alias_name = Some("taken".to_owned());
    // The creator has no power to set the name.
    refused.power_levels = Some(raw(&json!({ "users": { "@bob:agents.example": 100 } })));
    refused.name = Some("x".to_owned());
    let error = rooms.create(refused).await.unwrap_err();
    assert!(matches!(error, Error::InvalidRoomState(_)), "{error:?}");
    assert!(rooms.joined_rooms(&user("alice")).await.unwrap().is_empty());

    let mut first = request(RoomVersionId::V11, Preset::Private);
    first.alias_name = Some("taken".to_owned());
    rooms.create(first.clone()).await.unwrap();
    let error = rooms.create(first).await.unwrap_err();
    assert!(matches!(error, Error::RoomInUse(_)), "{error:?}");
    assert_eq!(rooms.joined_rooms(&user("alice")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn malformed_wishes_are_refused() {
    let rooms = rooms();
    let mut wishes = CreateRoom::by(user("alice"));
    wishes.version = Some("org.example.unknown".try_into().unwrap());
    let error = rooms.create(wishes.clone()).await.unwrap_err();
    assert!(matches!(error, Error::UnsupportedRoomVersion(_)), "{error:?}");
    wishes.version = None;
    for name in ["", "a:b", "a b", "a\u{0}"] {
        wishes.alias_name = Some(name.to_owned());
        let error = rooms.create(wishes.clone()).await.unwrap_err();
        assert!(matches!(error, Error::InvalidParam(_)), "{name:?} {error:?}");
    }
    wishes.alias_name = None;
    wishes.creation_content = Some(raw(&json!([])));
    let error = rooms.create(wishes.clone()).await.unwrap_err();
    assert!(matches!(error, Error::BadJson(_)), "{error:?}");
    wishes.creation_content = Some(raw(&json!({ "additional_creators": "x" })));
    wishes.preset = Some(Preset::TrustedPrivate);
    let error = rooms.create(wishes.clone()).await.unwrap_err();
    assert!(matches!(error, Error::InvalidRoomState(_)), "{error:?}");
    wishes.creation_content = None;
    wishes.topic = Some("x".repeat(70_000));
    let error = rooms.create(wishes).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge(_)), "{error:?}");
}

#[tokio::test]
async fn what_the_client_may_not_say_of_the_creation_is_overwritten() {
    let rooms = rooms();
    let mut request = request(RoomVersionId::V10, Preset::Public);
    request.creation_content = Some(raw(&json!({
        "creator": "@mallory:x", "room_version": "1", "type": "m.space", "m.federate": false,
    })));
    let room = rooms.create(request).await.unwrap();
    let create = content(&rooms, &room, "m.room.create").await.unwrap();
    assert_eq!(
        create,
        json!({ "creator": "@alice:agents.example", "room_version": "10", "type": "m.space",
            "m.federate": false })
    );
}
