//! Whole rooms that other servers hand over, taken in parts: no transaction is larger for a larger room.
//! What a part leaves behind is found by nobody until the last one; a part that was taken before is
//! passed over, so that a try that was cut off is gone on with.

use std::sync::Arc;

use pli_federation::event_format::Pdu;
use pli_schema::{RoomNumber, StateRoot};
use ruma::{OwnedRoomId, RoomVersionId};

use super::Snapshot;
use crate::{
    Error, Result,
    rooms::{Room, Rooms, staging::Staging},
};

/// Events, state entries or members of one transaction at most.
const PART: usize = 250;
/// Their size at most, in bytes of JSON.
const PART_BYTES: usize = 1024 * 1024;

/// Parts of a list of events, none of which is too much for a transaction.
fn parts(mut events: &[Arc<Pdu>]) -> Vec<&[Arc<Pdu>]> {
    let mut parts = Vec::new();
    while !events.is_empty() {
        let mut bytes = 0_usize;
        let fits = |pdu: &&Arc<Pdu>| {
            bytes = bytes.saturating_add(pdu.json.len());
            bytes <= PART_BYTES
        };
        let length = events.iter().take(PART).take_while(fits).count().max(1);
        let (part, rest) = events.split_at(length.min(events.len()));
        parts.push(part);
        events = rest;
    }
    parts
}

impl Rooms {
    /// Stores the events of a snapshot, without a place in the timeline, and the state of those that the
    /// rules allow.
    pub(in crate::rooms) async fn import(
        &self,
        room: RoomNumber,
        snapshot: &Snapshot,
    ) -> Result<StateRoot> {
        let ordered = snapshot.in_order();
        let create = &ordered.iter().find(|pdu| pdu.is_create()).cloned();
        for part in parts(&ordered) {
            let staged = self
                .store()
                .write(|tx| async move {
                    let mut staging = Staging::open(self, &tx, room).await?;
                    staging.take_events(create.as_ref(), part).await?;
                    staging.close()
                })
                .await?;
            self.keep_staged(staged);
        }
        let mut root = StateRoot::EMPTY;
        for part in snapshot.state.chunks(PART) {
            let before = root;
            root = self
                .store()
                .write(|tx| async move {
                    Staging::open(self, &tx, room).await?.with_entries(before, part).await
                })
                .await?;
        }
        Ok(root)
    }

    /// The room of an id, made if it is not known yet: with nothing in it.
    pub(super) async fn room_to_take_over(
        &self,
        (room_id, version): (&OwnedRoomId, &RoomVersionId),
        snapshot: &Snapshot,
    ) -> Result<RoomNumber> {
        let create = snapshot.state.iter().find(|pdu| pdu.is_create());
        let create = create.filter(|create| create.room() == room_id);
        let create = create.ok_or_else(|| Error::forbidden("The room has no create event"))?;
        let number = self
            .store()
            .write(|tx| async move {
                let mut staging = Staging::known_or_new(self, &tx, room_id, version).await?;
                staging.correct_version(version).await?;
                staging.put_room_if_new(create).await?;
                Ok::<_, Error>(staging.room.number)
            })
            .await?;
        if self.room(number).await?.version != *version {
            let room = Room { number, id: room_id.clone(), version: version.clone() };
            self.caches.rooms.put(number, Arc::new(room), 1);
        }
        Ok(number)
    }

    /// Brings what is known of a room's state, and of its members, near to a state, while no user of
    /// this server is in the room.
    pub(super) async fn approach(&self, room: RoomNumber, state: StateRoot) -> Result<()> {
        let now = self.head(room).await?.state;
        let changes = self.state_tree().diff(now, state).await?;
        for part in changes.chunks(PART) {
            let staged = self
                .store()
                .write(|tx| async move {
                    let mut staging = Staging::open(self, &tx, room).await?;
                    staging.approach(part).await?;
                    staging.close()
                })
                .await?;
            self.keep_staged(staged);
        }
        Ok(())
    }
}
