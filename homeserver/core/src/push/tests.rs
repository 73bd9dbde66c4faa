//! Rooms in memory, with users who are notified.

mod gateway;
mod rules;
mod unread;

use pli_schema::{RoomNumber, Topic};
use ruma::{OwnedEventId, OwnedRoomId, RoomVersionId};
use serde_json::json;

use super::*;
use crate::{
    Result,
    rooms::testing::{self, public_room, rooms, set_membership, text, user},
};

pub(super) struct World {
    pub(super) push: Push,
    pub(super) rooms: Rooms,
    pub(super) room_id: OwnedRoomId,
    pub(super) room: RoomNumber,
}

impl World {
    /// A public room with Alice, Bob and Carol.
    pub(super) async fn new() -> Self {
        let rooms = rooms();
        let room_id = public_room(&rooms, RoomVersionId::V12).await;
        for name in ["bob", "carol"] {
            set_membership(&rooms, &room_id, (name, name), "join").await.unwrap();
        }
        let room = rooms.room_number(&room_id).await.unwrap().unwrap();
        let push = push(rooms.clone());
        Self { push, rooms, room_id, room }
    }

    pub(super) async fn say(&self, name: &str, body: &str) -> OwnedEventId {
        self.rooms.append(&self.room_id, text(name, body), None).await.unwrap().event_id
    }

    pub(super) async fn send(&self, name: &str, content: serde_json::Value) -> OwnedEventId {
        let content = testing::raw(&content);
        let kind = ruma::events::TimelineEventType::RoomMessage;
        let draft = crate::rooms::Draft::message(user(name), kind, content).unwrap();
        self.rooms.append(&self.room_id, draft, None).await.unwrap().event_id
    }

    pub(super) async fn counts(&self, name: &str) -> (u64, u64) {
        let unread = self.push.unread(&user(name), self.room).await.unwrap();
        (unread.main.notifications, unread.main.highlights)
    }
}

pub(super) fn push(rooms: Rooms) -> Push {
    Push::new(rooms, Random::seeded(3), Outgoing::new(true).unwrap())
}

pub(super) fn mention(body: &str, name: &str) -> serde_json::Value {
    json!({ "msgtype": "m.text", "body": body, "m.mentions": { "user_ids": [user(name)] } })
}

/// The topic that a change of a user's things has.
pub(super) fn topic(name: &str) -> Topic {
    Topic::User(user(name))
}

pub(super) type Done = Result<()>;
