//! Receipts and typing for services that want them.
//!
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/#pushing-ephemeral-data>

use std::{collections::BTreeMap, num::NonZeroUsize};

use lru::LruCache;
use pli_federation::canonical_json::quote;
use pli_schema::{Position, RoomNumber, records::sync::ReceiptHeadKey};
use pli_store::Scan;
use ruma::{OwnedUserId, RoomId};

use super::{Follower, batch::Batch};
use crate::{
    Result,
    json::{self, Object},
    receipts::{Receipt, receipt_events},
};

/// Rooms whose receipts are told in one transaction.
const ROOMS_MAX: usize = 100;

/// Rooms and users of which it is kept up to where their receipts were told.
const TOLD_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(49_999);

/// Up to where receipts were told, each room and user on its own: the feed may speak of one when the
/// events are told far beyond it.
#[derive(Debug)]
pub(super) struct ReceiptsTold {
    begin: Position,
    rooms: LruCache<RoomNumber, Position>,
    users: LruCache<OwnedUserId, Position>,
}

impl Default for ReceiptsTold {
    fn default() -> Self {
        let (rooms, users) = (LruCache::new(TOLD_MAX), LruCache::new(TOLD_MAX));
        Self { begin: Position::ZERO, rooms, users }
    }
}

impl ReceiptsTold {
    /// Everything up to here is told.
    pub(super) fn begin_at(&mut self, position: Position) {
        *self = Self { begin: position, ..Self::default() };
    }
}

impl Follower {
    /// The receipts that came up to `to`, and were not told, in rooms that concern the service.
    pub(super) async fn add_receipts(&mut self, batch: &mut Batch, to: Position) -> Result<()> {
        if self.hints.all {
            let begin = self.receipts.begin;
            for row in self.all.store().scan(&Scan::<ReceiptHeadKey>::prefix(())).await? {
                if row.position > begin {
                    self.hints.rooms.insert(row.key.room);
                }
            }
        }
        let mut by_room: BTreeMap<RoomNumber, Vec<Receipt>> = BTreeMap::new();
        let rooms: Vec<RoomNumber> = self.hints.rooms.iter().copied().collect();
        for room in rooms {
            let head = self.all.store().get_stored(&ReceiptHeadKey { room }).await?;
            let newest = head.map(|head| head.position).unwrap_or_default();
            let from = self.receipts.rooms.get(&room).copied().unwrap_or(self.receipts.begin);
            if by_room.len() >= ROOMS_MAX {
                batch.is_behind = true;
                continue;
            }
            if newest <= to {
                self.hints.rooms.remove(&room);
            }
            if newest <= from {
                continue;
            }
            self.receipts.rooms.put(room, to.max(from));
            if self.interest.wants_room(room).await? {
                let receipts = self.all.parts.receipts.changes(room, from, to).await?;
                by_room.entry(room).or_default().extend(receipts);
            }
        }
        for user_id in std::mem::take(&mut self.hints.users) {
            let from = self.receipts.users.get(&user_id).copied().unwrap_or(self.receipts.begin);
            self.receipts.users.put(user_id.clone(), to.max(from));
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
