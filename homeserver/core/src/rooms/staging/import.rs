//! States that other servers hand over.

use std::sync::Arc;

use pli_federation::event_format::Pdu;
use pli_schema::{
    StateRoot,
    records::rooms::{EventByIdKey, RoomByIdKey, RoomHeadKey, RoomKey},
};
use pli_store::{Tx, state_tree::StateChange};
use ruma::{OwnedRoomId, RoomVersionId};

use super::Staging;
use crate::{
    Error, Result,
    rooms::{Rooms, incoming::Verdict},
};

impl<'a> Staging<'a> {
    /// The room of an id, or a new one.
    pub(in crate::rooms) async fn known_or_new(
        rooms: &'a Rooms,
        tx: &'a Tx,
        room_id: &OwnedRoomId,
        version: &RoomVersionId,
    ) -> Result<Self> {
        match tx.get(&RoomByIdKey { room_id: room_id.clone() }).await? {
            Some(number) => Self::open(rooms, tx, number).await,
            None => Self::new_room(rooms, tx, room_id.clone(), version.clone()).await,
        }
    }

    /// Writes a new room, with nothing in it.
    pub(in crate::rooms) async fn put_room_if_new(&mut self, create: &Pdu) -> Result<()> {
        let key = RoomByIdKey { room_id: self.room.id.clone() };
        if self.tx.get(&key).await?.is_none() {
            self.put_room(create)?;
            self.tx.put(&RoomHeadKey { room: self.room.number }, &self.head)?;
        }
        Ok(())
    }

    /// Takes state events without a place in the timeline, each after those that authorize it.
    pub(in crate::rooms) async fn take_events(
        &mut self,
        create: Option<&Arc<Pdu>>,
        ordered: &[Arc<Pdu>],
    ) -> Result<()> {
        self.create = create.cloned();
        for pdu in ordered.iter().filter(|pdu| pdu.is_state()) {
            self.accept_outlier(pdu).await?;
        }
        Ok(())
    }

    /// A state with those of these events that the rules allow.
    pub(in crate::rooms) async fn with_entries(
        &self,
        root: StateRoot,
        state: &[Arc<Pdu>],
    ) -> Result<StateRoot> {
        let mut entries = Vec::with_capacity(state.len());
        for pdu in state {
            let Some(number) = self.number_of(&pdu.event_id).await? else { continue };
            let event = self.event(number).await?;
            if let Some(key) = event.record.state_key.filter(|_| !event.record.rejected) {
                entries.push((key, number));
            }
        }
        let tree = self.rooms().tree.within(self.tx);
        Ok(tree.insert(self.tx, root, &entries).await?)
    }

    /// Makes changes of the current state, before a user of this server is in the room.
    pub(in crate::rooms) async fn approach(&mut self, changes: &[StateChange]) -> Result<()> {
        let (mut set, mut gone) = (Vec::new(), Vec::new());
        for change in changes {
            match change.after {
                Some(number) => set.push((change.key, number)),
                None => gone.push(change.key),
            }
        }
        let tree = self.rooms().tree.within(self.tx);
        let root = tree.insert(self.tx, self.head.state, &set).await?;
        let root = tree.within(self.tx).remove(self.tx, root, &gone).await?;
        self.set_current_state(root).await?;
        self.tx.put(&RoomHeadKey { room: self.room.number }, &self.head)?;
        Ok(())
    }

    /// Takes state events whose auth events are known by then, in this order.
    pub(in crate::rooms) async fn take_outliers(&mut self, ordered: &[Arc<Pdu>]) -> Result<()> {
        if self.create.is_none() {
            self.create = self.state_pdu("m.room.create", "").await?;
        }
        for pdu in ordered.iter().filter(|pdu| pdu.is_state()) {
            if self.known(&pdu.auth_events).await?.is_ok() {
                self.accept_outlier(pdu).await?;
            }
        }
        Ok(())
    }

    /// The version of a room that is known from an invite only is what the inviting server said. Now
    /// the room itself is here.
    pub(in crate::rooms) async fn correct_version(
        &mut self,
        version: &RoomVersionId,
    ) -> Result<()> {
        if self.room.version == *version {
            return Ok(());
        }
        if !self.head.extremities.is_empty() {
            return Err(Error::forbidden("The room has another version"));
        }
        let key = RoomKey { room: self.room.number };
        let record = self.tx.get(&key).await?;
        let mut record = record.ok_or_else(|| Error::bug("a room is not in the store"))?;
        record.version = version.to_string();
        self.tx.put(&key, &record)?;
        self.room.version = version.clone();
        Ok(())
    }

    /// Starts the room, new or left before, from a state and the join of a local user.
    pub(in crate::rooms) async fn start_from(
        &mut self,
        state: StateRoot,
        join: &Arc<Pdu>,
    ) -> Result<()> {
        self.head.extremities.clear();
        self.set_current_state(state).await?;
        self.complete_invite(state, join).await?;
        match self.accept(join, Some(state)).await? {
            Ok(Verdict::Accepted | Verdict::Known) => Ok(()),
            Ok(Verdict::SoftFailed(reason) | Verdict::Rejected(reason)) => {
                Err(Error::Forbidden(reason))
            }
            Err(_) => Err(Error::forbidden("What authorizes the join is missing")),
        }
    }

    /// The invite that the join follows came without the room, so there was no state before it. Now there
    /// is one: whoever is told the invite as the first event of a timeline is told who is in the room.
    async fn complete_invite(&mut self, state: StateRoot, join: &Pdu) -> Result<()> {
        let user_id = join.state_key.as_deref().unwrap_or_default();
        let Some(key) = self.key_number("m.room.member", user_id).await? else { return Ok(()) };
        let member = self.rooms().tree.within(self.tx).get(state, key).await?;
        let Some(number) = member else { return Ok(()) };
        let event = self.event(number).await?;
        let pointer = EventByIdKey { event_id: event.record.event_id.clone() };
        if event.record.state_before != StateRoot::EMPTY || self.tx.get(&pointer).await?.is_none() {
            return Ok(());
        }
        let mut record = event.record.clone();
        record.state_before = state;
        self.keep_record(number, &event.pdu()?, record)
    }
}
