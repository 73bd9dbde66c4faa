//! States that other servers hand over.

use std::sync::Arc;

use pli_federation::event_format::Pdu;
use pli_schema::{
    StateRoot,
    records::rooms::{RoomByIdKey, RoomKey},
};
use ruma::RoomVersionId;

use super::Staging;
use crate::{
    Error, Result,
    rooms::incoming::{Snapshot, Verdict},
};

impl Staging<'_> {
    /// Takes the events of a state, `ordered` so that each comes after those that authorize it, and makes
    /// the state of those of `state` that the rules allow.
    pub(in crate::rooms) async fn take_state(
        &mut self,
        ordered: &[Arc<Pdu>],
        state: &[Arc<Pdu>],
    ) -> Result<StateRoot> {
        for pdu in ordered.iter().filter(|pdu| pdu.is_state()) {
            if self.create.is_none() && pdu.is_create() {
                self.create = Some(Arc::clone(pdu));
            }
            self.accept_outlier(pdu).await?;
        }
        let mut entries = Vec::with_capacity(state.len());
        for pdu in state {
            let Some(number) = self.number_of(&pdu.event_id).await? else { continue };
            let event = self.event(number).await?;
            if let Some(key) = event.record.state_key.filter(|_| !event.record.rejected) {
                entries.push((key, number));
            }
        }
        let tree = self.rooms().tree.within(self.tx);
        Ok(tree.insert(self.tx, StateRoot::EMPTY, &entries).await?)
    }

    /// As [`Self::take_state`], of a snapshot.
    pub(in crate::rooms) async fn take_snapshot(
        &mut self,
        snapshot: &Snapshot,
    ) -> Result<StateRoot> {
        self.take_state(&snapshot.in_order(), &snapshot.state).await
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
        ordered: &[Arc<Pdu>],
        snapshot: &Snapshot,
        join: &Arc<Pdu>,
    ) -> Result<()> {
        let state = self.take_state(ordered, &snapshot.state).await?;
        let create = self.create.clone().filter(|create| create.room() == self.room.id);
        let create = create.ok_or_else(|| Error::forbidden("The room has no create event"))?;
        let key = RoomByIdKey { room_id: self.room.id.clone() };
        if self.tx.get(&key).await?.is_none() {
            self.put_room(&create)?;
        }
        self.head.extremities.clear();
        self.set_current_state(state).await?;
        match self.accept(join, Some(state)).await? {
            Ok(Verdict::Accepted | Verdict::Known) => Ok(()),
            Ok(Verdict::SoftFailed(reason) | Verdict::Rejected(reason)) => {
                Err(Error::Forbidden(reason))
            }
            Err(_) => Err(Error::forbidden("What authorizes the join is missing")),
        }
    }
}
