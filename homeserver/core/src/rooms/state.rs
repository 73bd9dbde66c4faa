//! The state of rooms, now and at any event.

use std::sync::Arc;

use pli_schema::{EventNumber, RoomNumber, StateRoot};

use super::{Rooms, StoredEvent};
use crate::Result;

impl Rooms {
    /// The event that sets a state key in a state.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn state_event(
        &self,
        root: StateRoot,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Arc<StoredEvent>>> {
        match self.state_event_number(root, event_type, state_key).await? {
            Some(number) => self.existing_event(number).await.map(Some),
            None => Ok(None),
        }
    }

    /// The number of the event that sets a state key in a state.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn state_event_number(
        &self,
        root: StateRoot,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<EventNumber>> {
        match self.state_key_number(event_type, state_key).await? {
            Some(key) => Ok(self.tree.get(root, key).await?),
            None => Ok(None),
        }
    }

    /// The event that sets a state key in the room now.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn current_state_event(
        &self,
        room: RoomNumber,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Arc<StoredEvent>>> {
        let root = self.head(room).await?.state;
        self.state_event(root, event_type, state_key).await
    }

    /// A property of the content of the room's current state event of this type and an empty state key;
    /// `None` if the event is not there or its content is not of the type.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn current_content<T: serde::de::DeserializeOwned>(
        &self,
        room: RoomNumber,
        event_type: &str,
    ) -> Result<Option<T>> {
        match self.current_state_event(room, event_type, "").await? {
            Some(event) => event.content(),
            None => Ok(None),
        }
    }

    /// All events of a state.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn full_state(&self, root: StateRoot) -> Result<Vec<Arc<StoredEvent>>> {
        let entries = self.tree.entries(root).await?;
        let mut events = Vec::with_capacity(entries.len());
        for (_, number) in entries {
            events.push(self.existing_event(number).await?);
        }
        Ok(events)
    }

    /// The events of one type in a state.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn state_events_of_type(
        &self,
        root: StateRoot,
        event_type: &str,
    ) -> Result<Vec<Arc<StoredEvent>>> {
        let Some(type_number) = self.state_type_number(event_type).await? else {
            return Ok(Vec::new());
        };
        let entries = self.tree.entries_of_type(root, type_number).await?;
        let mut events = Vec::with_capacity(entries.len());
        for (_, number) in entries {
            events.push(self.existing_event(number).await?);
        }
        Ok(events)
    }

    /// The current state of a room.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn current_state(&self, room: RoomNumber) -> Result<Vec<Arc<StoredEvent>>> {
        let root = self.head(room).await?.state;
        self.full_state(root).await
    }

    /// The state after an event: for a state event, with the event itself.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn state_event_after(
        &self,
        event: &StoredEvent,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Arc<StoredEvent>>> {
        if event.record.state_key.is_some()
            && event.record.state_key == self.state_key_number(event_type, state_key).await?
        {
            return self.event(event.number).await;
        }
        self.state_event(event.record.state_before, event_type, state_key).await
    }
}
