//! Events of the past: they take their places before a gap in the timeline, and change nothing of what is
//! now.

use std::sync::Arc;

use pli_federation::event_format::Pdu;
use pli_schema::{
    EventNumber, Position, Stamp, StateRoot,
    records::{
        federation::NamedBeforeKey,
        inbound::TimelineGapKey,
        rooms::{EventByIdKey, EventKey, EventPointer, Place, TimelineKey, TimelineRecord},
    },
};

use super::{Staging, StoredEvent};
use crate::{
    Result,
    rooms::{
        incoming::{Missing, Verdict},
        relations::Relation,
    },
};

impl Staging<'_> {
    /// Takes an event of the past at a place of the timeline. `state` is the state before it, where that
    /// cannot be had from its previous events and was asked for.
    pub(in crate::rooms) async fn accept_past(
        &mut self,
        pdu: &Arc<Pdu>,
        state: Option<StateRoot>,
        at: (Position, u32),
    ) -> Result<Result<Verdict, Missing>> {
        let judged = match self.examine(pdu, state).await? {
            Ok(Some(judged)) => judged,
            Ok(None) => return Ok(Ok(Verdict::Known)),
            Err(missing) => return Ok(Err(missing)),
        };
        let verdict = self.judge_past(pdu, &judged).await?;
        let number = self.number_for(pdu).await?;
        let written = match &verdict {
            Verdict::Accepted => self.put_past(number, pdu, judged.state_before, at).await,
            refused => self.set_aside(number, pdu, judged.state_before, refused).await,
        };
        self.or_broken(written)?;
        Ok(Ok(verdict))
    }

    async fn put_past(
        &mut self,
        number: EventNumber,
        pdu: &Arc<Pdu>,
        state_before: StateRoot,
        (position, index): (Position, u32),
    ) -> Result<()> {
        let record = self.record(number, pdu, state_before).await?;
        self.put_auth(number, pdu).await?;
        let (room, at) = (self.room.number, Stamp::At(position));
        let relation = if pdu.is_state() { None } else { Relation::of(pdu) };
        if let Some(relation) = self.within_room(relation).await?
            && self.check_relation(pdu, &relation).await.is_ok()
        {
            self.put_relation((number, pdu), relation, (at, index))?;
        }
        self.tx.put(&EventKey { event: number }, &record)?;
        let place = Place::At(position);
        let key = EventByIdKey { event_id: pdu.event_id.clone() };
        self.tx.put(&key, &EventPointer { event: number, room, index, place })?;
        self.tx.put(&TimelineKey { room, at, index }, &TimelineRecord { event: number })?;
        let version = self.room.version.clone();
        let event = StoredEvent::parsed(number, version, record, Arc::clone(pdu));
        self.fresh.insert(number, Arc::new(event));
        self.tx.delete(&NamedBeforeKey { event_id: pdu.event_id.clone() });
        if self.remember_names(pdu).await? {
            self.tx.put(&TimelineGapKey { room, at, index }, &number)?;
        }
        self.follow_redactions(number, pdu).await
    }
}
