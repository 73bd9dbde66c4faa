//! Rooms and events by id and by number.

use std::sync::Arc;

use pli_schema::{
    EventNumber, Position, RoomNumber,
    records::rooms::{
        EventByIdKey, EventKey, EventPointer, Place, RoomByIdKey, RoomHeadKey, RoomHeadRecord,
        RoomKey,
    },
};
use pli_store::Stored;
use ruma::{EventId, RoomId, RoomVersionId};

use super::{Room, Rooms, StoredEvent};
use crate::{Error, Result};

/// What an event costs in memory besides its JSON (which is there twice once it is parsed).
pub(super) const EVENT_OVERHEAD_BYTES: usize = 1_000;

impl Rooms {
    /// The number of a room; `None` if this server does not know it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn room_number(&self, room_id: &RoomId) -> Result<Option<RoomNumber>> {
        if let Some(number) = self.caches.room_numbers.get(room_id) {
            return Ok(Some(number));
        }
        let key = RoomByIdKey { room_id: room_id.to_owned() };
        let Some(number) = self.store().get(&key).await? else {
            return Ok(None);
        };
        Ok(Some(self.caches.room_numbers.put_read(key.room_id, number, 1)))
    }

    /// The id and version of a numbered room.
    ///
    /// # Errors
    /// Those of the store; [`Error::Bug`] for a number that no room has.
    pub async fn room(&self, number: RoomNumber) -> Result<Arc<Room>> {
        if let Some(room) = self.caches.rooms.get(&number) {
            return Ok(room);
        }
        let record = self.store().get(&RoomKey { room: number }).await?;
        let record =
            record.ok_or_else(|| Error::bug(format!("no room has number {}", number.0)))?;
        let version = RoomVersionId::try_from(record.version)
            .map_err(|_| Error::bug("a stored room version is malformed"))?;
        let room = Arc::new(Room { number, id: record.room_id, version });
        Ok(self.caches.rooms.put_read(number, room, 1))
    }

    /// The room of an id; `None` if this server does not know it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn room_by_id(&self, room_id: &RoomId) -> Result<Option<Arc<Room>>> {
        match self.room_number(room_id).await? {
            Some(number) => self.room(number).await.map(Some),
            None => Ok(None),
        }
    }

    /// The room of an id, for an action of someone who must be in it.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if this server does not know it: the answer is that of a room in which the
    /// user is not.
    pub async fn room_or_forbidden(&self, room_id: &RoomId) -> Result<Arc<Room>> {
        let room = self.room_by_id(room_id).await?;
        room.ok_or_else(|| Error::forbidden("You are not in this room"))
    }

    /// Where the room is now.
    ///
    /// # Errors
    /// Those of the store; [`Error::Bug`] for a number that no room has.
    pub async fn head(&self, room: RoomNumber) -> Result<RoomHeadRecord> {
        Ok(self.head_stored(room).await?.record)
    }

    /// As [`Self::head`], with the position of the newest commit that brought the room an event.
    ///
    /// # Errors
    /// As [`Self::head`].
    pub async fn head_stored(&self, room: RoomNumber) -> Result<Stored<RoomHeadRecord>> {
        let head = self.store().get_stored(&RoomHeadKey { room }).await?;
        head.ok_or_else(|| Error::bug(format!("room {} has no head", room.0)))
    }

    /// The event of a number.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn event(&self, number: EventNumber) -> Result<Option<Arc<StoredEvent>>> {
        if let Some(event) = self.caches.events.get(&number) {
            return Ok(Some(event));
        }
        let Some(record) = self.store().get(&EventKey { event: number }).await? else {
            return Ok(None);
        };
        let version = self.room(record.room).await?.version.clone();
        let event = Arc::new(StoredEvent::new(number, version, record));
        let weight = weight(&event);
        Ok(Some(self.caches.events.put_read(number, event, weight)))
    }

    /// The event of a number that another record names.
    ///
    /// # Errors
    /// Those of the store; [`Error::Bug`] if it is not there.
    pub async fn existing_event(&self, number: EventNumber) -> Result<Arc<StoredEvent>> {
        let event = self.event(number).await?;
        event.ok_or_else(|| Error::bug(format!("event {} is not in the store", number.0)))
    }

    /// The event of an id, of whatever room: callers compare [`StoredEvent::record`]`.room`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn event_by_id(&self, event_id: &EventId) -> Result<Option<Arc<StoredEvent>>> {
        match self.pointer(event_id).await? {
            Some(pointer) => self.event(pointer.record.event).await,
            None => Ok(None),
        }
    }

    /// The event of an id if it is of this room.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn event_of_room(
        &self,
        room: RoomNumber,
        event_id: &EventId,
    ) -> Result<Option<Arc<StoredEvent>>> {
        let event = self.event_by_id(event_id).await?;
        Ok(event.filter(|event| event.record.room == room))
    }

    /// Where an event is in the timeline of its room: at the position that is returned with the record,
    /// at its `index`. `None` for an event that has no place there.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn pointer(&self, event_id: &EventId) -> Result<Option<Stored<EventPointer>>> {
        let key = EventByIdKey { event_id: event_id.to_owned() };
        let Some(mut pointer) = self.store().get_stored(&key).await? else {
            return Ok(None);
        };
        match pointer.record.place {
            Place::Commit => {}
            Place::At(position) => pointer.position = position,
            Place::Nowhere => return Ok(None),
        }
        Ok(Some(pointer))
    }

    /// The position of the newest commit that brought the room an event.
    ///
    /// # Errors
    /// As [`Self::head`].
    pub async fn room_position(&self, room: RoomNumber) -> Result<Position> {
        Ok(self.head_stored(room).await?.position)
    }

    /// Keeps events that a commit has made or changed.
    pub(super) fn keep(&self, events: impl IntoIterator<Item = Arc<StoredEvent>>) {
        for event in events {
            let weight = weight(&event);
            self.caches.events.put(event.number, event, weight);
        }
    }
}

fn weight(event: &StoredEvent) -> usize {
    event.record.json.len().saturating_mul(2).saturating_add(EVENT_OVERHEAD_BYTES)
}
