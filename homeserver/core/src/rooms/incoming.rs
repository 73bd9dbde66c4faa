//! What comes into rooms from other servers.

mod import;
pub(crate) mod order;

use std::sync::Arc;

use pli_federation::event_format::Pdu;
use pli_schema::{
    EventNumber, RoomNumber,
    records::{federation::OutlierByIdKey, rooms::EventByIdKey},
};
use ruma::{EventId, OwnedEventId, OwnedRoomId, RoomVersionId};

use self::order::Absent;
use super::{Rooms, staging::Staging};
use crate::{Error, Result};

/// Events without a place in the timeline that one transaction writes.
const OUTLIERS_AT_ONCE: usize = 1_000;

/// What became of an event of another server
/// (<https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was here already.
    Known,
    /// It is in the room.
    Accepted,
    /// The current state forbids it: it is kept for those who name it, and not shown.
    SoftFailed(String),
    /// The rules forbid it where it stands: it is never part of a state.
    Rejected(String),
}

/// Why an event cannot be judged yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// These of its auth events are not known.
    AuthEvents(Vec<OwnedEventId>),
    /// These of its previous events are not known, so neither is the state before it.
    PrevEvents(Vec<OwnedEventId>),
}

/// A state that another server handed over, with all that authorizes it. Signatures and hashes are
/// checked.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The events of the state.
    pub state: Vec<Arc<Pdu>>,
    /// The events of their auth chains.
    pub auth_chain: Vec<Arc<Pdu>>,
}

impl Snapshot {
    /// All events, each after those that authorize it. Events that do not end up at the create event
    /// are left out.
    fn in_order(&self) -> Vec<Arc<Pdu>> {
        let all = self.auth_chain.iter().chain(&self.state);
        order::in_order(all, |pdu| &pdu.auth_events, Absent::LeaveOut)
    }
}

impl Rooms {
    /// Takes events of another server into a room, each on its own, in one transaction. The caller has
    /// checked signatures and hashes, and gives them in an order in which later ones follow earlier ones.
    ///
    /// # Errors
    /// Those of the store; [`Error::Bug`] if what is stored contradicts itself.
    pub async fn accept(
        &self,
        room: RoomNumber,
        pdus: &[Arc<Pdu>],
    ) -> Result<Vec<Result<Verdict, Missing>>> {
        let (verdicts, staged) = self
            .store()
            .write(|tx| async move {
                let mut staging = Staging::open(self, &tx, room).await?;
                let mut verdicts = Vec::with_capacity(pdus.len());
                for pdu in pdus {
                    verdicts.push(staging.accept(pdu, None).await?);
                }
                Ok::<_, Error>((verdicts, staging.close()?))
            })
            .await?;
        self.keep_staged(staged);
        Ok(verdicts)
    }

    /// Takes an event whose previous events cannot be had, with the state before it.
    ///
    /// # Errors
    /// As [`Self::accept`].
    pub async fn accept_after(
        &self,
        room: RoomNumber,
        snapshot: &Snapshot,
        pdu: &Arc<Pdu>,
    ) -> Result<Result<Verdict, Missing>> {
        let state = self.import(room, snapshot).await?;
        let (verdict, staged) = self
            .store()
            .write(|tx| async move {
                let mut staging = Staging::open(self, &tx, room).await?;
                let verdict = staging.accept(pdu, Some(state)).await?;
                Ok::<_, Error>((verdict, staging.close()?))
            })
            .await?;
        self.keep_staged(staged);
        Ok(verdict)
    }

    /// Takes state events that others name as what authorizes them, without a place in the timeline.
    /// Those of which something is missing are passed over. The caller has checked signatures and hashes.
    ///
    /// # Errors
    /// As [`Self::accept`].
    pub async fn accept_outliers(&self, room: RoomNumber, pdus: &[Arc<Pdu>]) -> Result<()> {
        let ordered = order::in_order(pdus, |pdu| &pdu.auth_events, Absent::PassOver);
        self.accept_outliers_in_order(room, &ordered).await
    }

    /// In several transactions: one must not become too large, and what it writes is good by itself.
    async fn accept_outliers_in_order(&self, room: RoomNumber, ordered: &[Arc<Pdu>]) -> Result<()> {
        for part in ordered.chunks(OUTLIERS_AT_ONCE) {
            let staged = self
                .store()
                .write(|tx| async move {
                    let mut staging = Staging::open(self, &tx, room).await?;
                    staging.take_outliers(part).await?;
                    staging.close()
                })
                .await?;
            self.keep_staged(staged);
        }
        Ok(())
    }

    /// Whether an event was judged, or made here: others can follow it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn is_judged(&self, event_id: &EventId) -> Result<bool> {
        let key = EventByIdKey { event_id: event_id.to_owned() };
        Ok(self.store().get(&key).await?.is_some())
    }

    /// The number of an event of a room that is known in any way: also one that was refused or that only
    /// others name.
    ///
    /// # Errors
    /// Those of the store; [`Error::Bug`] if what is stored contradicts itself.
    pub async fn known_number(
        &self,
        room: RoomNumber,
        event_id: &EventId,
    ) -> Result<Option<EventNumber>> {
        let pointer = self.store().get(&EventByIdKey { event_id: event_id.to_owned() }).await?;
        if let Some(pointer) = pointer {
            return Ok((pointer.room == room).then_some(pointer.event));
        }
        let key = OutlierByIdKey { event_id: event_id.to_owned() };
        let Some(number) = self.store().get(&key).await? else { return Ok(None) };
        let event = self.existing_event(number).await?;
        Ok((event.record.room == room).then_some(number))
    }

    /// The event of [`Self::known_number`].
    ///
    /// # Errors
    /// As there.
    pub async fn known_pdu(
        &self,
        room: RoomNumber,
        event_id: &EventId,
    ) -> Result<Option<Arc<Pdu>>> {
        match self.known_number(room, event_id).await? {
            Some(number) => self.existing_event(number).await?.pdu().map(Some),
            None => Ok(None),
        }
    }

    /// Takes a room over as another server hands it out when a local user joins: `join` is the event of
    /// that user, after the state of the snapshot. A room that was left before goes on from there.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the rules do not allow the join after this state; those of the store.
    pub async fn take_over(
        &self,
        (room_id, version): (&OwnedRoomId, &RoomVersionId),
        snapshot: &Snapshot,
        join: &Arc<Pdu>,
    ) -> Result<RoomNumber> {
        let number = self.room_to_take_over((room_id, version), snapshot).await?;
        let state = self.import(number, snapshot).await?;
        self.approach(number, state).await?;
        let staged = self
            .store()
            .write(|tx| async move {
                let mut staging = Staging::open(self, &tx, number).await?;
                staging.start_from(state, join).await?;
                staging.close()
            })
            .await?;
        self.keep_staged(staged);
        Ok(number)
    }
}

#[cfg(test)]
mod tests;
