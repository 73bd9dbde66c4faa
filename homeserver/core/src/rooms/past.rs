//! Gaps in timelines, and the events of the past that fill them.
//!
//! The events before a gap get places between the commit of the event after the gap and the commits before
//! it: at the position just before, from the greatest index downwards. Events of commits have small
//! indexes, so both kinds are told apart, and each finds room.

use std::{collections::HashMap, sync::Arc};

use pli_federation::event_format::Pdu;
use pli_schema::{
    EventNumber, Position, RoomNumber, Stamp,
    records::{inbound::TimelineGapKey, rooms::TimelineKey},
};
use pli_store::{Scan, Tx};
use ruma::OwnedEventId;

use super::{
    Rooms, StoredEvent,
    incoming::{Snapshot, Verdict},
    staging::Staging,
};
use crate::{Error, Result, token::Boundary};

/// Indexes from here on are those of events of the past.
const PAST: u32 = 1 << 31;

/// A gap: an event whose previous events were not here when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The event after the gap.
    pub event: EventNumber,
    /// Where it is in the timeline.
    pub place: Boundary,
}

impl Gap {
    const fn key(self, room: RoomNumber) -> TimelineGapKey {
        let Boundary { position, index } = self.place;
        TimelineGapKey { room, at: Stamp::At(position), index }
    }
}

impl Rooms {
    /// The gaps of a timeline from one place to another (with those), the newest first, up to `limit`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn gaps(
        &self,
        room: RoomNumber,
        (older, newer): (Boundary, Boundary),
        limit: usize,
    ) -> Result<Vec<Gap>> {
        let place = |at: Boundary| (room, at.position, at.index);
        let scan = Scan::<TimelineGapKey>::prefix((room,)).from(place(older));
        let scan = scan.up_to(place(newer)).backward().limit(limit);
        let mut gaps = Vec::new();
        for row in self.store().scan(&scan).await? {
            let Some(position) = row.key.at.position() else { continue };
            let place = Boundary { position, index: row.key.index };
            gaps.push(Gap { event: row.record, place });
        }
        Ok(gaps)
    }

    /// The place of the oldest event of a timeline.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn first_place(&self, room: RoomNumber) -> Result<Option<Boundary>> {
        let rows = self.store().scan(&Scan::<TimelineKey>::prefix((room,)).limit(1)).await?;
        Ok(rows.first().and_then(|row| {
            let position = row.key.at.position()?;
            Some(Boundary { position, index: row.key.index })
        }))
    }

    /// Those previous events of an event that are not here.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn missing_before(&self, event: &StoredEvent) -> Result<Vec<OwnedEventId>> {
        let mut missing = Vec::new();
        for event_id in &event.pdu()?.prev_events {
            if !self.is_judged(event_id).await? {
                missing.push(event_id.clone());
            }
        }
        Ok(missing)
    }

    /// A gap is none any more: what was missing came in another way, or nobody has it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn forget_gap(&self, room: RoomNumber, gap: Gap) -> Result<()> {
        let key = &gap.key(room);
        let write = self.store().write(|tx| async move {
            tx.delete(key);
            Ok::<_, Error>(())
        });
        write.await
    }

    /// Puts events before a gap, each after those of them that it names; `states` has the state before
    /// those whose previous events cannot be had. Returns how many have a place now. Signatures and
    /// hashes are checked.
    ///
    /// Nothing of it is new: nobody is woken, nothing is counted or pushed, the room's state and
    /// extremities stay.
    ///
    /// # Errors
    /// Those of the store; [`Error::Bug`] if what is stored contradicts itself.
    pub async fn fill_gap(
        &self,
        room: RoomNumber,
        gap: Gap,
        events: &[Arc<Pdu>],
        states: &HashMap<OwnedEventId, Snapshot>,
    ) -> Result<usize> {
        let mut roots = HashMap::new();
        for (event_id, snapshot) in states {
            roots.insert(event_id, self.import(room, snapshot).await?);
        }
        let roots = &roots;
        let (placed, staged) = self
            .store()
            .write(|tx| async move {
                let mut staging = Staging::open(self, &tx, room).await?;
                let (position, first) = free_place(&tx, room, gap, events.len()).await?;
                let mut placed = 0;
                for (pdu, index) in events.iter().zip(first..) {
                    let state = roots.get(&pdu.event_id).copied();
                    let taken = staging.accept_past(pdu, state, (position, index)).await?;
                    placed += usize::from(taken == Ok(Verdict::Accepted));
                }
                if staging.is_filled(gap.event).await? {
                    tx.delete(&gap.key(room));
                }
                Ok::<_, Error>((placed, staging.close()?))
            })
            .await?;
        self.keep_staged(staged);
        Ok(placed)
    }
}

/// Where events go that come before a gap: the position, and the index of the oldest of them.
async fn free_place(tx: &Tx, room: RoomNumber, gap: Gap, events: usize) -> Result<(Position, u32)> {
    let Boundary { position, index } = gap.place;
    let is_past = index >= PAST;
    let position = if is_past { position } else { Position(position.0.saturating_sub(1)) };
    let scan = Scan::<TimelineKey>::prefix((room, position)).from((room, position, PAST)).limit(1);
    let used = tx.scan(&scan).await?.first().map_or(u32::MAX, |row| row.key.index);
    let events = u32::try_from(events).unwrap_or(u32::MAX);
    let first = used.checked_sub(events).filter(|first| *first >= PAST);
    first.map(|first| (position, first)).ok_or_else(|| Error::bug("a gap has no place left"))
}
