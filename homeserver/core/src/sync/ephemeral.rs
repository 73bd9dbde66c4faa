//! Receipts and typing of a room, as events.

use pli_federation::canonical_json::quote;
use pli_schema::RoomNumber;

use super::turn::Turn;
use crate::{
    Result, filters,
    json::{self, Object},
    receipts::{Receipt, receipt_events},
    rooms::Room,
};

impl Turn<'_> {
    /// The ephemeral events of a room; `whole` if the client knows none yet.
    pub(super) async fn ephemeral(
        &self,
        room: &Room,
        own: Vec<Receipt>,
        whole: bool,
    ) -> Result<Vec<String>> {
        let filter = &self.filter.room.ephemeral;
        let mut events = Vec::new();
        if !filters::allows_room_events(filter, &room.id) {
            return Ok(events);
        }
        let room = room.number;
        if filters::allows_type(filter, "m.receipt") {
            let receipts = &self.parts().receipts;
            let mut all = if whole {
                receipts.of_room(room, &self.request.user_id, self.now).await?
            } else {
                let mut all = receipts.changes(room, self.since(), self.now).await?;
                all.extend(own);
                all
            };
            all.retain(|receipt| !self.ignored.contains(&receipt.user_id));
            events.extend(receipt_events(&all));
        }
        if filters::allows_type(filter, "m.typing") {
            events.extend(self.typing_event(room, whole));
        }
        Ok(events)
    }

    fn typing_event(&self, room: RoomNumber, whole: bool) -> Option<String> {
        let users = self.parts().typing.users(room);
        if !self.typing_rooms.contains(&room) && (!whole || users.is_empty()) {
            return None;
        }
        Some(self.typing_json(room))
    }

    /// `m.typing` of a room, as JSON.
    pub(super) fn typing_json(&self, room: RoomNumber) -> String {
        let users = self.parts().typing.users(room);
        let users: Vec<String> = users
            .iter()
            .filter(|user| !self.ignored.contains(*user))
            .map(|user| quote(user.as_str()))
            .collect();
        let mut content = Object::new();
        content.raw("user_ids", &json::array(&users));
        let mut event = Object::new();
        event.string("type", "m.typing").raw("content", &content.finish());
        event.finish()
    }
}
