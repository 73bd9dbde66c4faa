//! Pages, filters and entries of the directory, and who may publish.

use ruma::{OwnedRoomId, room::RoomType};
use serde_json::json;

use super::*;
use crate::rooms::{
    CreateRoom,
    testing::{raw, rooms, user},
};

async fn published(rooms: &Rooms, name: &str, members: usize) -> OwnedRoomId {
    let mut request = CreateRoom::by(user("alice"));
    request.public = true;
    request.name = Some(name.to_owned());
    let room = rooms.create(request).await.unwrap();
    for n in 1..members {
        rooms.join(&user(&format!("u{n}")), &room, None).await.unwrap();
    }
    room
}

#[tokio::test]
async fn pages_follow_each_other_by_number_of_members() {
    let rooms = rooms();
    for n in 1..=5 {
        published(&rooms, &format!("room {n}"), n).await;
    }
    let mut query = PublicRoomsQuery { limit: Some(2), ..PublicRoomsQuery::default() };
    let mut names = Vec::new();
    loop {
        let page = rooms.public_rooms(&query).await.unwrap();
        assert_eq!(page.total, 5);
        assert_eq!(page.prev_batch.is_some(), !names.is_empty());
        names.extend(page.chunk.into_iter().filter_map(|room| room.name));
        match page.next_batch {
            Some(next) => query.since = Some(next),
            None => break,
        }
    }
    assert_eq!(names, ["room 5", "room 4", "room 3", "room 2", "room 1"]);
    query.since = Some("nonsense".to_owned());
    assert!(matches!(rooms.public_rooms(&query).await, Err(Error::InvalidParam(_))));
}

#[tokio::test]
async fn the_filter_looks_at_name_topic_alias_and_type() {
    let rooms = rooms();
    published(&rooms, "Finances publiques", 1).await;
    let mut request = CreateRoom::by(user("alice"));
    request.public = true;
    request.alias_name = Some("garden".to_owned());
    request.topic = Some("Trees".to_owned());
    request.creation_content = Some(raw(&json!({ "type": "m.space" })));
    let space = rooms.create(request).await.unwrap();
    let search = async |term: &str| {
        let mut query = PublicRoomsQuery::default();
        query.filter.generic_search_term = Some(term.to_owned());
        rooms.public_rooms(&query).await.unwrap().chunk.len()
    };
    for (term, found) in [("FINANCES", 1), ("tree", 1), ("#garden", 1), ("nothing", 0), ("", 2)] {
        assert_eq!(search(term).await, found, "{term}");
    }
    let mut query = PublicRoomsQuery::default();
    query.filter.room_types = vec![RoomTypeFilter::Space];
    let page = rooms.public_rooms(&query).await.unwrap();
    assert_eq!(page.chunk.iter().map(|room| &room.room_id).collect::<Vec<_>>(), [&space]);
    assert_eq!(page.chunk.first().and_then(|room| room.room_type.clone()), Some(RoomType::Space));
    query.filter.room_types = vec![RoomTypeFilter::Default];
    assert_eq!(rooms.public_rooms(&query).await.unwrap().total, 1);
}

#[tokio::test]
async fn an_entry_has_no_nulls_and_no_empty_texts() {
    let rooms = rooms();
    published(&rooms, "", 1).await;
    let page = rooms.public_rooms(&PublicRoomsQuery::default()).await.unwrap();
    let entry = serde_json::to_value(page.chunk.first().unwrap()).unwrap();
    let room_id = entry["room_id"].clone();
    assert_eq!(
        entry,
        json!({ "num_joined_members": 1, "room_id": room_id, "world_readable": false,
            "guest_can_join": false })
    );
}

#[tokio::test]
async fn publishing_needs_power() {
    let rooms = rooms();
    let room = rooms.create(CreateRoom::by(user("alice"))).await.unwrap();
    assert!(!rooms.is_published(&room).await.unwrap());
    let refused = rooms.publish(&user("bob"), &room, true, false).await;
    assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
    rooms.publish(&user("alice"), &room, true, false).await.unwrap();
    assert!(rooms.is_published(&room).await.unwrap());
    rooms.publish(&user("root"), &room, false, true).await.unwrap();
    assert!(!rooms.is_published(&room).await.unwrap());
    let unknown = RoomId::parse("!unknown:agents.example").unwrap();
    assert!(matches!(rooms.is_published(&unknown).await, Err(Error::NotFound(_))));
}
