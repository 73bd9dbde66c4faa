//! The timeline of a room, entry by entry.

use std::sync::Arc;

use pli_schema::{
    EventNumber, Position, RoomNumber, Stamp,
    records::rooms::{TimelineKey, TimelineRecord},
};
use pli_store::{Row, Scan};

use crate::{
    Error, Result,
    rooms::{Rooms, StoredEvent},
    token::Boundary,
};

/// An event with its place.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The commit that brought it.
    pub(super) position: Position,
    /// Its index in the commit.
    pub(super) index: u32,
    /// The event.
    pub(super) event: Arc<StoredEvent>,
}

impl Entry {
    /// The place before the event.
    pub(super) const fn place(&self) -> Boundary {
        Boundary { position: self.position, index: self.index }
    }
}

/// The entries in `from..to`, newest first.
pub(super) fn backward(
    room: RoomNumber,
    from: Boundary,
    to: Boundary,
    limit: usize,
) -> Scan<TimelineKey> {
    Scan::prefix((room,))
        .from((room, from.position, from.index))
        .before((room, to.position, to.index))
        .backward()
        .limit(limit)
}

/// The entries of a scan with their events.
pub(super) async fn read(rooms: &Rooms, scan: &Scan<TimelineKey>) -> Result<Vec<Entry>> {
    let rows = rooms.store().scan(scan).await?;
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        entries.push(entry(rooms, row).await?);
    }
    Ok(entries)
}

async fn entry(rooms: &Rooms, row: Row<TimelineKey>) -> Result<Entry> {
    let Stamp::At(position) = row.key.at else {
        return Err(Error::bug("a stored key without a position"));
    };
    let TimelineRecord { event } = row.record;
    Ok(Entry { position, index: row.key.index, event: rooms.existing_event(event).await? })
}

/// The newest entry before a place.
pub(super) async fn newest_before(
    rooms: &Rooms,
    room: RoomNumber,
    place: Boundary,
) -> Result<Option<Entry>> {
    Ok(read(rooms, &backward(room, Boundary::START, place, 1)).await?.pop())
}

/// An event with its place; `None` if it is not in the timeline.
pub(super) async fn of_event(rooms: &Rooms, number: EventNumber) -> Result<Option<Entry>> {
    let Some(event) = rooms.event(number).await? else {
        return Ok(None);
    };
    let pointer = rooms.pointer(&event.record.event_id).await?;
    Ok(pointer.map(|pointer| Entry {
        position: pointer.position,
        index: pointer.record.index,
        event,
    }))
}
