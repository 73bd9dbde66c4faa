//! Rooms for tests, on the memory store.

use std::sync::Arc;

use pli_federation::keys::SigningKey;
use pli_store::Store;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomVersionId, events::TimelineEventType};
use serde_json::{Value, json, value::RawValue};

use super::{Appended, CreateRoom, Draft, RoomSettings, Rooms, RoomsParts};
use crate::{Clock, Numbers, Random, Result, TestClock};

pub(crate) fn rooms() -> Rooms {
    rooms_with(RoomSettings::default())
}

pub(crate) fn rooms_with(settings: RoomSettings) -> Rooms {
    rooms_on(Store::in_memory(), settings)
}

pub(crate) fn rooms_on(store: Store, settings: RoomSettings) -> Rooms {
    Rooms::new(RoomsParts {
        numbers: Numbers::new(store.clone()),
        store,
        clock: Clock::Test(TestClock::new(1_700_000_000_000)),
        random: Random::seeded(7),
        signing_key: Arc::new(SigningKey::from_seed(&[7; 32], "1").unwrap()),
        server_name: "agents.example".try_into().unwrap(),
        settings,
    })
}

/// A user of the server under test.
pub(crate) fn user(name: &str) -> OwnedUserId {
    OwnedUserId::try_from(format!("@{name}:agents.example")).unwrap()
}

pub(crate) fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

pub(crate) fn text(sender: &str, body: &str) -> Draft {
    let content = raw(&json!({ "msgtype": "m.text", "body": body }));
    Draft::message(user(sender), TimelineEventType::RoomMessage, content).unwrap()
}

pub(crate) fn state(sender: &str, event_type: &str, key: &str, content: &Value) -> Draft {
    Draft::state(user(sender), event_type.to_owned(), key, raw(content)).unwrap()
}

/// A public room of `@alice`.
pub(crate) async fn public_room(rooms: &Rooms, version: RoomVersionId) -> OwnedRoomId {
    let mut request = CreateRoom::by(user("alice"));
    request.preset = Some(super::Preset::Public);
    request.version = Some(version);
    rooms.create(request).await.unwrap()
}

/// Lets a user set their own membership, by the rules alone.
pub(crate) async fn set_membership(
    rooms: &Rooms,
    room_id: &OwnedRoomId,
    (sender, target): (&str, &str),
    membership: &str,
) -> Result<Appended> {
    let content = json!({ "membership": membership });
    let draft = state(sender, "m.room.member", user(target).as_str(), &content);
    rooms.append(room_id, draft, None).await
}

/// The ids of a room's timeline, oldest first.
pub(crate) async fn timeline(rooms: &Rooms, room_id: &OwnedRoomId) -> Vec<OwnedEventId> {
    use pli_schema::records::rooms::TimelineKey;
    let room = rooms.room_number(room_id).await.unwrap().unwrap();
    let scan = pli_store::Scan::<TimelineKey>::prefix((room,));
    let mut ids = Vec::new();
    for row in rooms.store().scan(&scan).await.unwrap() {
        let event = rooms.existing_event(row.record.event).await.unwrap();
        ids.push(event.record.event_id.clone());
    }
    ids
}
