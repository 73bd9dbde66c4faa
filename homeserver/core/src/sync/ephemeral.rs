//! Receipts and typing of a room, as events.

use std::collections::BTreeMap;

use pli_federation::canonical_json::quote;
use pli_schema::RoomNumber;

use super::turn::Turn;
use crate::{
    Result, filters,
    json::{self, Object},
    receipts::Receipt,
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
            events.extend(receipt_event(&all));
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

/// `event id → receipt type → user → (ts, thread)`. One user may have receipts of several threads at
/// one event; the format has place for one of them, and the others come in further events.
pub(super) fn receipt_event(receipts: &[Receipt]) -> Vec<String> {
    type ByUser<'a> = BTreeMap<&'a str, &'a Receipt>;
    type Content<'a> = BTreeMap<&'a str, BTreeMap<&'static str, ByUser<'a>>>;
    let mut contents: Vec<Content<'_>> = Vec::new();
    for receipt in receipts {
        let (event_id, kind) = (receipt.record.event_id.as_str(), receipt.kind.as_str());
        let user = receipt.user_id.as_str();
        let taken = |content: &Content<'_>| {
            content
                .get(event_id)
                .and_then(|kinds| kinds.get(kind))
                .is_some_and(|users| users.contains_key(user))
        };
        let index = contents.iter().position(|content| !taken(content)).unwrap_or(contents.len());
        if index == contents.len() {
            contents.push(Content::new());
        }
        if let Some(content) = contents.get_mut(index) {
            content.entry(event_id).or_default().entry(kind).or_default().insert(user, receipt);
        }
    }
    contents
        .iter()
        .map(|content| {
            let mut events = Object::new();
            for (event_id, kinds) in content {
                let mut by_kind = Object::new();
                for (kind, users) in kinds {
                    let mut by_user = Object::new();
                    for (user, receipt) in users {
                        by_user.raw(user, &receipt_json(receipt));
                    }
                    by_kind.raw(kind, &by_user.finish());
                }
                events.raw(event_id, &by_kind.finish());
            }
            let mut event = Object::new();
            event.string("type", "m.receipt").raw("content", &events.finish());
            event.finish()
        })
        .collect()
}

fn receipt_json(receipt: &Receipt) -> String {
    let mut out = Object::new();
    out.raw("ts", &receipt.record.ts_ms.to_string());
    if !receipt.thread.is_empty() {
        out.string("thread_id", &receipt.thread);
    }
    out.finish()
}
