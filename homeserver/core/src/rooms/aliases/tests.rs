//! Who may make and delete aliases, and what a canonical alias may name.

use ruma::RoomVersionId;
use serde_json::json;

use super::*;
use crate::rooms::{
    NewState,
    testing::{public_room, raw, rooms, user},
};

fn alias(name: &str) -> OwnedRoomAliasId {
    OwnedRoomAliasId::try_from(format!("#{name}:agents.example")).unwrap()
}

async fn set_canonical(rooms: &Rooms, room: &RoomId, content: Value) -> Result<()> {
    let new = NewState {
        sender: user("alice"),
        event_type: "m.room.canonical_alias".to_owned(),
        state_key: String::new(),
        content: raw(&content),
    };
    rooms.send_state(room, new).await.map(|_| ())
}

#[tokio::test]
async fn an_alias_has_one_room_and_its_members_may_make_it() {
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V12).await;
    let other = public_room(&rooms, RoomVersionId::V12).await;
    let make = async |who: &str, name: &RoomAliasId, room: &RoomId| {
        rooms.create_alias(&user(who), name, room).await
    };
    assert!(matches!(make("bob", &alias("a"), &room).await, Err(Error::Forbidden(_))));
    make("alice", &alias("a"), &room).await.unwrap();
    assert!(matches!(make("alice", &alias("a"), &other).await, Err(Error::AliasInUse(_))));
    let remote = RoomAliasId::parse("#a:other.example").unwrap();
    assert!(matches!(make("alice", &remote, &room).await, Err(Error::InvalidParam(_))));
    assert_eq!(rooms.resolve_alias(&alias("a")).await.unwrap(), room);
    assert!(matches!(rooms.resolve_alias(&alias("b")).await, Err(Error::NotFound(_))));
    assert_eq!(rooms.aliases(&user("alice"), &room).await.unwrap(), vec![alias("a")]);
    assert!(matches!(rooms.aliases(&user("bob"), &room).await, Err(Error::Forbidden(_))));
}

#[tokio::test]
async fn aliases_are_deleted_by_those_who_may_and_the_canonical_one_is_mended() {
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V12).await;
    rooms.join(&user("bob"), &room, None).await.unwrap();
    for (who, name) in [("alice", "a"), ("bob", "b"), ("alice", "c")] {
        rooms.create_alias(&user(who), &alias(name), &room).await.unwrap();
    }
    let both = json!({ "alias": alias("a"), "alt_aliases": [alias("c")] });
    set_canonical(&rooms, &room, both).await.unwrap();
    let delete = async |who: &str, name: &str, admin: bool| {
        rooms.delete_alias(&user(who), &alias(name), admin).await
    };
    assert!(matches!(delete("bob", "a", false).await, Err(Error::Forbidden(_))));
    delete("bob", "b", false).await.unwrap();
    assert!(matches!(delete("bob", "b", false).await, Err(Error::NotFound(_))));
    delete("alice", "a", false).await.unwrap();
    let number = rooms.room_number(&room).await.unwrap().unwrap();
    let content: Value =
        rooms.current_content(number, "m.room.canonical_alias").await.unwrap().unwrap();
    assert_eq!(content, json!({ "alt_aliases": [alias("c")] }));
    delete("dora", "c", true).await.unwrap();
    assert!(rooms.aliases(&user("alice"), &room).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_canonical_alias_must_be_the_rooms() {
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V12).await;
    let other = public_room(&rooms, RoomVersionId::V12).await;
    rooms.create_alias(&user("alice"), &alias("a"), &room).await.unwrap();
    rooms.create_alias(&user("alice"), &alias("o"), &other).await.unwrap();
    let set = async |content: Value| set_canonical(&rooms, &room, content).await;
    assert!(matches!(set(json!({ "alias": alias("none") })).await, Err(Error::BadAlias(_))));
    assert!(matches!(set(json!({ "alias": alias("o") })).await, Err(Error::BadAlias(_))));
    assert!(matches!(set(json!({ "alt_aliases": [alias("o")] })).await, Err(Error::BadAlias(_))));
    assert!(matches!(set(json!({ "alias": "x" })).await, Err(Error::InvalidParam(_))));
    assert!(matches!(set(json!({ "alias": 5 })).await, Err(Error::BadJson(_))));
    set(json!({ "alias": alias("a") })).await.unwrap();
    // What was there may stay even if the alias has gone elsewhere.
    rooms.delete_alias(&user("dora"), &alias("a"), true).await.unwrap();
    set(json!({ "alias": alias("a"), "x": 1 })).await.unwrap();
    set(json!({ "alias": "" })).await.unwrap();
    set(json!({})).await.unwrap();
}
