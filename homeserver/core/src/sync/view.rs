//! The state of a room at a place of its timeline.

use pli_schema::{EventNumber, StateKeyNumber, StateRoot};

use crate::{
    Result,
    rooms::{Rooms, StoredEvent},
};

/// A state: a stored tree, and the one state event on top of it whose tree is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateView {
    root: StateRoot,
    on_top: Option<(StateKeyNumber, EventNumber)>,
}

impl StateView {
    /// The state without entries.
    pub const EMPTY: Self = Self { root: StateRoot::EMPTY, on_top: None };

    /// A stored state.
    #[must_use]
    pub const fn of(root: StateRoot) -> Self {
        Self { root, on_top: None }
    }

    /// The state before an event.
    #[must_use]
    pub const fn before(event: &StoredEvent) -> Self {
        Self::of(event.record.state_before)
    }

    /// The state after an event.
    #[must_use]
    pub fn after(event: &StoredEvent) -> Self {
        let on_top = event.record.state_key.filter(|_| !event.record.rejected);
        Self { root: event.record.state_before, on_top: on_top.map(|key| (key, event.number)) }
    }

    /// The number of the event that sets a state key.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn get(
        &self,
        rooms: &Rooms,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<EventNumber>> {
        let Some(key) = rooms.state_key_number(event_type, state_key).await? else {
            return Ok(None);
        };
        match self.on_top {
            Some((top, event)) if top == key => Ok(Some(event)),
            _ => Ok(rooms.state_tree().get(self.root, key).await?),
        }
    }

    /// The whole state, by ascending key.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn entries(&self, rooms: &Rooms) -> Result<Vec<(StateKeyNumber, EventNumber)>> {
        let mut entries = rooms.state_tree().entries(self.root).await?;
        if let Some((key, event)) = self.on_top {
            entries.retain(|(other, _)| *other != key);
            entries.push((key, event));
            entries.sort_unstable_by_key(|(key, _)| *key);
        }
        Ok(entries)
    }

    /// The state of one event type, by ascending key.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn entries_of_type(
        &self,
        rooms: &Rooms,
        event_type: &str,
    ) -> Result<Vec<(StateKeyNumber, EventNumber)>> {
        let Some(number) = rooms.state_type_number(event_type).await? else {
            return Ok(Vec::new());
        };
        let mut entries = rooms.state_tree().entries_of_type(self.root, number).await?;
        if let Some((key, event)) = self.on_top.filter(|(key, _)| key.type_number() == number) {
            entries.retain(|(other, _)| *other != key);
            entries.push((key, event));
            entries.sort_unstable_by_key(|(key, _)| *key);
        }
        Ok(entries)
    }

    /// What is set in `self` to another event than in `older`. (Nothing is ever unset along a timeline.)
    ///
    /// # Errors
    /// Those of the store.
    pub async fn changed_since(
        &self,
        rooms: &Rooms,
        older: &Self,
    ) -> Result<Vec<(StateKeyNumber, EventNumber)>> {
        let diff = rooms.state_tree().diff(older.root, self.root).await?;
        let mut changed: Vec<_> = diff
            .into_iter()
            .filter_map(|change| change.after.map(|event| (change.key, event)))
            .collect();
        if let Some((key, event)) = self.on_top {
            changed.retain(|(other, _)| *other != key);
            changed.push((key, event));
        }
        if let Some((key, event)) = older.on_top {
            // `older` has it on top: equal there if `self` has the same, changed if `self` kept the one
            // of the tree below.
            let now = match self.on_top {
                Some((top, event)) if top == key => Some(event),
                _ => rooms.state_tree().get(self.root, key).await?,
            };
            changed.retain(|(other, _)| *other != key);
            if let Some(now) = now.filter(|now| *now != event) {
                changed.push((key, now));
            }
        }
        changed.sort_unstable_by_key(|(key, _)| *key);
        Ok(changed)
    }
}
