//! Receipts and typing for services that want them.
//!
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/#pushing-ephemeral-data>

use std::collections::BTreeMap;

use pli_federation::canonical_json::quote;
use pli_schema::{Position, RoomNumber, records::sync::ReceiptHeadKey};
use pli_store::Scan;
use ruma::RoomId;

use super::{Follower, batch::Batch};
use crate::{
    Result,
    json::{self, Object},
    receipts::{Receipt, receipt_events},
};

/// Rooms whose receipts are told in one transaction.
const ROOMS_MAX: usize = 100;

impl Follower {
    /// The receipts that came after `from` up to `to` in rooms that concern the service.
    pub(super) async fn add_receipts(
        &mut self,
        batch: &mut Batch,
        from: Position,
        to: Position,
    ) -> Result<()> {
        if self.hints.all {
            for row in self.all.store().scan(&Scan::<ReceiptHeadKey>::prefix(())).await? {
                if row.position > from {
                    self.hints.rooms.insert(row.key.room);
                }
            }
        }
        let mut by_room: BTreeMap<RoomNumber, Vec<Receipt>> = BTreeMap::new();
        let rooms: Vec<RoomNumber> = self.hints.rooms.iter().copied().collect();
        for room in rooms {
            let head = self.all.store().get_stored(&ReceiptHeadKey { room }).await?;
            let newest = head.map(|head| head.position).unwrap_or_default();
            if newest <= to {
                self.hints.rooms.remove(&room);
            }
            if newest <= from || by_room.len() >= ROOMS_MAX {
                continue;
            }
            if self.interest.wants_room(room).await? {
                let receipts = self.all.parts.receipts.changes(room, from, to).await?;
                by_room.entry(room).or_default().extend(receipts);
            }
        }
        for user_id in std::mem::take(&mut self.hints.users) {
            let receipts = &self.all.parts.receipts;
            for (room, receipt) in receipts.private_changes(&user_id, from, to).await? {
                by_room.entry(room).or_default().push(receipt);
            }
        }
        for (room, receipts) in by_room {
            let room = self.all.parts.rooms.room(room).await?;
            let events = receipt_events(&receipts);
            batch.ephemeral.extend(events.iter().map(|event| in_room(event, &room.id)));
        }
        Ok(())
    }

    /// Who types in rooms that concern the service.
    pub(super) async fn add_typing(&mut self, batch: &mut Batch) -> Result<()> {
        let typing = &self.all.parts.typing;
        let until = typing.serial();
        for room in typing.changed_rooms(self.hints.typing, until) {
            if self.interest.wants_room(room).await? {
                let users: Vec<String> =
                    typing.users(room).iter().map(|user_id| quote(user_id.as_str())).collect();
                let mut content = Object::new();
                content.raw("user_ids", &json::array(&users));
                let mut event = Object::new();
                event.string("type", "m.typing").raw("content", &content.finish());
                let room = self.all.parts.rooms.room(room).await?;
                batch.ephemeral.push(in_room(&event.finish(), &room.id));
            }
        }
        self.hints.typing = until;
        Ok(())
    }
}

/// An event with the room in which it happens.
fn in_room(event: &str, room_id: &RoomId) -> String {
    let rest = event.strip_prefix('{').unwrap_or(event);
    format!("{{\"room_id\":{},{rest}", quote(room_id.as_str()))
}
