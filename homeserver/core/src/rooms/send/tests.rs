//! Redactions in every room version.

use pli_federation::room_version;
use ruma::{OwnedRoomId, RoomVersionId};
use serde_json::json;

use super::*;
use crate::rooms::testing::{public_room, raw, rooms, set_membership, state, text, user};

fn origin(n: u32) -> Origin {
    let transaction_id: ruma::OwnedTransactionId = format!("t{n}").into();
    Origin::of_redaction("D".into(), &transaction_id, ruma::event_id!("$e"))
}

async fn redact(
    rooms: &Rooms,
    room: &OwnedRoomId,
    who: &str,
    id: &OwnedEventId,
) -> Result<Appended> {
    rooms.redact(&user(who), room, id.clone(), Some("why"), origin(1)).await
}

#[tokio::test]
async fn redaction_takes_the_content_in_every_version() {
    for version in room_version::SUPPORTED {
        let rooms = rooms();
        let room = public_room(&rooms, version.clone()).await;
        for who in ["bob", "carol"] {
            set_membership(&rooms, &room, (who, who), "join").await.unwrap();
        }
        let target = rooms.append(&room, text("bob", "secret"), None).await.unwrap().event_id;
        let refused = redact(&rooms, &room, "carol", &target).await;
        assert!(matches!(refused, Err(Error::Forbidden(_))), "{version} {refused:?}");
        let refused = redact(&rooms, &room, "dora", &target).await;
        assert!(matches!(refused, Err(Error::Forbidden(_))), "{version} {refused:?}");
        let before = rooms.event_by_id(&target).await.unwrap().unwrap();
        let redaction = redact(&rooms, &room, "bob", &target).await.unwrap().event_id;
        let after = rooms.event_by_id(&target).await.unwrap().unwrap();
        assert!(!after.record.json.contains("secret"), "{version}");
        assert_eq!(after.pdu().unwrap().content.get(), "{}", "{version}");
        let redaction = rooms.event_by_id(&redaction).await.unwrap().unwrap();
        assert_eq!(after.record.redacted_because, Some(redaction.number), "{version}");
        assert_eq!(redaction.pdu().unwrap().redacts.as_ref(), Some(&target), "{version}");
        // The id of the event stays that of its content.
        let pdu = after.pdu().unwrap();
        let reference =
            |pdu: &pli_federation::event_format::Pdu| pdu.reference_hash(&version).unwrap();
        assert_eq!(reference(&pdu), reference(&before.pdu().unwrap()), "{version}");
        // What is on disk says the same.
        let fresh = Rooms::new(super::super::RoomsParts::clone(&rooms.parts));
        let stored = fresh.event_by_id(&target).await.unwrap().unwrap();
        assert_eq!(stored.record, after.record, "{version}");
    }
}

#[tokio::test]
async fn a_moderator_redacts_what_others_wrote_but_not_the_creation() {
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V12).await;
    set_membership(&rooms, &room, ("bob", "bob"), "join").await.unwrap();
    let target = rooms.append(&room, text("bob", "x"), None).await.unwrap().event_id;
    redact(&rooms, &room, "alice", &target).await.unwrap();
    let number = rooms.room_number(&room).await.unwrap().unwrap();
    let create = rooms.current_state_event(number, "m.room.create", "").await.unwrap().unwrap();
    let id = create.record.event_id.clone();
    let redacting = rooms.redact(&user("alice"), &room, id, None, origin(2)).await;
    assert!(matches!(redacting, Err(Error::Forbidden(_))), "{redacting:?}");
    let other = public_room(&rooms, RoomVersionId::V12).await;
    let elsewhere = rooms.append(&other, text("alice", "x"), None).await.unwrap().event_id;
    let redacting = rooms.redact(&user("alice"), &room, elsewhere, None, origin(3)).await;
    assert!(matches!(redacting, Err(Error::NotFound(_))), "{redacting:?}");
}

#[tokio::test]
async fn a_redacted_reaction_can_be_made_again() {
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V12).await;
    let target = rooms.append(&room, text("alice", "x"), None).await.unwrap().event_id;
    let content = json!({ "m.relates_to":
        { "rel_type": "m.annotation", "event_id": target, "key": "👍" } });
    let react =
        || Draft::message(user("alice"), TimelineEventType::Reaction, raw(&content)).unwrap();
    let first = rooms.append(&room, react(), None).await.unwrap().event_id;
    assert!(rooms.append(&room, react(), None).await.is_err());
    redact(&rooms, &room, "alice", &first).await.unwrap();
    rooms.append(&room, react(), None).await.unwrap();
    let scan = pli_store::Scan::<pli_schema::records::rooms::RelationKey>::prefix((target,));
    assert_eq!(rooms.store().scan(&scan).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_redacted_member_event_has_no_name() {
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V12).await;
    let content = json!({ "membership": "join", "displayname": "Rude" });
    let draft = state("bob", "m.room.member", user("bob").as_str(), &content);
    let id = rooms.append(&room, draft, None).await.unwrap().event_id;
    redact(&rooms, &room, "alice", &id).await.unwrap();
    let number = rooms.room_number(&room).await.unwrap().unwrap();
    let member = rooms.member(number, &user("bob")).await.unwrap().unwrap();
    assert_eq!(member.display_name, None);
    assert!(rooms.is_joined(number, &user("bob")).await.unwrap());
}

#[tokio::test]
async fn a_redaction_may_come_as_an_ordinary_event() {
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V12).await;
    let id = rooms.append(&room, text("alice", "x"), None).await.unwrap().event_id;
    let send = async |content: Value, n: u32| {
        let kind = TimelineEventType::RoomRedaction;
        rooms.send(&user("alice"), &room, kind, raw(&content), origin(n)).await
    };
    assert!(matches!(send(json!({}), 1).await, Err(Error::BadJson(_))));
    send(json!({ "redacts": id }), 2).await.unwrap();
    let event = rooms.event_by_id(&id).await.unwrap().unwrap();
    assert!(event.record.redacted_because.is_some());
}
