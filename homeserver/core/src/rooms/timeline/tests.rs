//! Appending: once per transaction id, in one line, bounded.

use std::collections::BTreeSet;

use ruma::{RoomVersionId, events::TimelineEventType};
use serde_json::json;

use super::*;
use crate::rooms::testing::{
    public_room, raw, rooms, rooms_with, set_membership, state, text, timeline, user,
};

fn origin(transaction_id: &str) -> Option<Origin> {
    Some(Origin {
        device_id: "DEVICE".into(),
        transaction_id: transaction_id.into(),
        endpoint: "send/m.room.message".to_owned(),
    })
}

#[tokio::test]
async fn the_same_transaction_id_makes_one_event() {
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V12).await;
    let before = timeline(&rooms, &room).await.len();
    let first = rooms.append(&room, text("alice", "a"), origin("t1")).await.unwrap();
    let again = rooms.append(&room, text("alice", "b"), origin("t1")).await.unwrap();
    assert_eq!((first.event_id.clone(), true), (again.event_id, again.existed));
    let other = rooms.append(&room, text("alice", "b"), origin("t2")).await.unwrap();
    assert_ne!(first.event_id, other.event_id);
    let mut at_once = Vec::new();
    for _ in 0..20 {
        let (rooms, room) = (rooms.clone(), room.clone());
        at_once.push(tokio::spawn(async move {
            rooms.append(&room, text("alice", "c"), origin("t3")).await.unwrap().event_id
        }));
    }
    let mut ids = BTreeSet::new();
    for task in at_once {
        ids.insert(task.await.unwrap());
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(timeline(&rooms, &room).await.len(), before + 3);
}

#[tokio::test]
async fn those_who_are_not_joined_cannot_send() {
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V11).await;
    let refused = rooms.append(&room, text("bob", "hi"), None).await;
    assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
    set_membership(&rooms, &room, ("bob", "bob"), "join").await.unwrap();
    rooms.append(&room, text("bob", "hi"), None).await.unwrap();
    let unknown = ruma::RoomId::parse("!unknown:agents.example").unwrap();
    let refused = rooms.append(&unknown, text("alice", "hi"), None).await;
    assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_senders_make_one_line_and_nothing_is_lost() {
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V12).await;
    for i in 0..50 {
        let name = format!("user{i}");
        set_membership(&rooms, &room, (&name, &name), "join").await.unwrap();
    }
    let mut tasks = Vec::new();
    for i in 0..50 {
        let (rooms, room) = (rooms.clone(), room.clone());
        tasks.push(tokio::spawn(async move {
            let mut sent = Vec::new();
            for n in 0..20 {
                let draft = text(&format!("user{i}"), &format!("{i} {n}"));
                sent.push(
                    rooms.append(&room, draft, origin(&format!("t{n}"))).await.unwrap().event_id,
                );
            }
            sent
        }));
    }
    let mut sent = Vec::new();
    for task in tasks {
        sent.push(task.await.unwrap());
    }
    let ids = timeline(&rooms, &room).await;
    let place = |id| ids.iter().position(|other| other == id).expect("not lost");
    for one_senders in &sent {
        let places: Vec<usize> = one_senders.iter().map(place).collect();
        assert!(
            places.is_sorted(),
            "each sender's events are in the order in which they were sent"
        );
    }
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    // A line: each event follows the one before it, and the head is the last one.
    let mut before: Option<ruma::OwnedEventId> = None;
    for (depth, id) in (1..).zip(&ids) {
        let pdu = rooms.event_by_id(id).await.unwrap().unwrap().pdu().unwrap();
        assert_eq!(pdu.prev_events, before.into_iter().collect::<Vec<_>>());
        assert_eq!(pdu.depth, depth);
        before = Some(id.clone());
    }
    let number = rooms.room_number(&room).await.unwrap().unwrap();
    let head = rooms.head(number).await.unwrap();
    assert_eq!(head.extremities.len(), 1);
    assert_eq!(head.extremities.first().map(|e| e.event_id.clone()), before);
    assert_eq!(head.joined_members, 51);
    assert!(rooms.lanes.is_idle());
}

#[tokio::test]
async fn state_that_changes_nothing_is_the_event_that_is_there() {
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V12).await;
    let name =
        |n: &str| state("alice", "m.room.name", "", &json!({ "name": n, "x": { "b": 1, "a": 2 } }));
    let first = rooms.append(&room, name("a"), None).await.unwrap();
    let again = rooms.append(&room, name("a"), None).await.unwrap();
    assert_eq!((&first.event_id, true), (&again.event_id, again.existed));
    let other = rooms.append(&room, name("b"), None).await.unwrap();
    assert!(!other.existed);
    let back = rooms.append(&room, name("a"), None).await.unwrap();
    assert_ne!(first.event_id, back.event_id);
    let number = rooms.room_number(&room).await.unwrap().unwrap();
    let event = rooms.current_state_event(number, "m.room.name", "").await.unwrap().unwrap();
    assert_eq!(event.record.event_id, back.event_id);
    let replaced = rooms.existing_event(event.record.replaces.unwrap()).await.unwrap();
    assert_eq!(replaced.record.event_id, other.event_id);
    // Not told to those who are not in the room.
    let mut outsider = name("a");
    outsider.sender = user("bob");
    assert!(matches!(rooms.append(&room, outsider, None).await, Err(Error::Forbidden(_))));
}

#[tokio::test]
async fn events_that_are_too_large_or_no_json_are_refused() {
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V12).await;
    let refused = rooms.append(&room, text("alice", &"x".repeat(66_000)), None).await;
    assert!(matches!(refused, Err(Error::TooLarge(_))), "{refused:?}");
    let kind = TimelineEventType::from("t".repeat(256));
    let draft = Draft::message(user("alice"), kind, raw(&json!({}))).unwrap();
    assert!(matches!(rooms.append(&room, draft, None).await, Err(Error::TooLarge(_))));
    let float =
        Draft::message(user("alice"), TimelineEventType::RoomMessage, raw(&json!({"a": 1.5})));
    let refused = rooms.append(&room, float.unwrap(), None).await;
    assert!(matches!(refused, Err(Error::BadJson(_))), "{refused:?}");
    let list = Draft::message(user("alice"), TimelineEventType::RoomMessage, raw(&json!([])));
    assert!(matches!(list, Err(Error::BadJson(_))));
}

#[tokio::test]
async fn too_many_who_wait_are_told_to_come_back() {
    let settings = crate::rooms::RoomSettings { lane_waiting_max: 2, ..Default::default() };
    let rooms = rooms_with(settings);
    let room = public_room(&rooms, RoomVersionId::V12).await;
    let sends = (0..10).map(|n| rooms.append(&room, text("alice", &n.to_string()), None));
    let results = futures_util::future::join_all(sends).await;
    let refused = |r: &&Result<Appended>| matches!(r, Err(Error::LimitExceeded { .. }));
    assert_eq!(results.iter().filter(refused).count(), 8);
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 2);
}

#[tokio::test]
async fn the_same_annotation_is_made_once() {
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V12).await;
    let target = rooms.append(&room, text("alice", "a"), None).await.unwrap().event_id;
    let react = |key: &str| {
        let content = json!({ "m.relates_to":
            { "rel_type": "m.annotation", "event_id": target, "key": key } });
        Draft::message(user("alice"), TimelineEventType::Reaction, raw(&content)).unwrap()
    };
    rooms.append(&room, react("👍"), None).await.unwrap();
    let refused = rooms.append(&room, react("👍"), None).await;
    assert!(matches!(refused, Err(Error::DuplicateAnnotation(_))), "{refused:?}");
    rooms.append(&room, react("👎"), None).await.unwrap();
}

#[tokio::test]
async fn identifiers_of_any_length_and_content_have_a_place() {
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V12).await;
    let long = "\u{0}".repeat(255);
    let kind = TimelineEventType::from("t".repeat(255));
    let draft = || Draft::message(user("alice"), kind.clone(), raw(&json!({}))).unwrap();
    let of = |id: &str| Some(Origin::of_send("DEVICE".into(), id.into(), &kind.to_string()));
    let first = rooms.append(&room, draft(), of(&long)).await.unwrap();
    let again = rooms.append(&room, draft(), of(&long)).await.unwrap();
    assert_eq!((&first.event_id, true), (&again.event_id, again.existed));
    assert!(!rooms.append(&room, draft(), of(&"\u{0}".repeat(254))).await.unwrap().existed);
    let content = json!({ "m.relates_to": { "rel_type": "m.annotation",
        "event_id": first.event_id, "key": "k".repeat(10_000) } });
    let react =
        || Draft::message(user("alice"), TimelineEventType::Reaction, raw(&content)).unwrap();
    rooms.append(&room, react(), None).await.unwrap();
    let refused = rooms.append(&room, react(), None).await;
    assert!(matches!(refused, Err(Error::DuplicateAnnotation(_))), "{refused:?}");
    let set = state("alice", "org.example.x", &long, &json!({ "a": 1 }));
    let refused = rooms.append(&room, set, None).await;
    assert!(matches!(refused, Err(Error::TooLarge(_))), "{refused:?}");
    let set = state("alice", "org.example.x", &"k".repeat(255), &json!({ "a": 1 }));
    rooms.append(&room, set, None).await.unwrap();
}
