//! Events of other servers on their way into a room
//! (<https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu>).
//!
//! Signatures and hashes were checked before. What remains are the authorization rules: on the auth
//! events, on the state before the event, and on the current state.

use std::sync::Arc;

use pli_federation::{
    auth_rules::{self, Rejection},
    event_format::Pdu,
};
use pli_schema::{
    EventNumber, StateRoot,
    records::{
        federation::{EventAuthKey, OutlierByIdKey},
        rooms::{EventByIdKey, EventKey, EventPointer, EventRecord, Place},
    },
};
use ruma::OwnedEventId;

use super::{Staging, StoredEvent};
use crate::{
    Error, Result,
    numbers::NumberKind,
    rooms::{
        authorize::AuthState,
        incoming::{Missing, Verdict},
    },
};

/// What an event is judged by.
pub(super) struct Examined {
    auth_events: Vec<Arc<Pdu>>,
    /// The state before it.
    pub(super) state_before: StateRoot,
}

impl Staging<'_> {
    /// Takes an event of another server. `state` is the state before it, where that cannot be had from
    /// its previous events and was asked for.
    pub(in crate::rooms) async fn accept(
        &mut self,
        pdu: &Arc<Pdu>,
        state: Option<StateRoot>,
    ) -> Result<Result<Verdict, Missing>> {
        let examined = match self.examine(pdu, state).await? {
            Ok(Some(examined)) => examined,
            Ok(None) => return Ok(Ok(Verdict::Known)),
            Err(missing) => return Ok(Err(missing)),
        };
        let verdict = self.judge(pdu, &examined).await?;
        let number = self.number_for(pdu).await?;
        let state_before = examined.state_before;
        let written = match &verdict {
            Verdict::Accepted => self.follow(number, pdu, state_before).await,
            refused => self.set_aside(number, pdu, state_before, refused).await,
        };
        self.or_broken(written)?;
        Ok(Ok(verdict))
    }

    /// Looks for what an event is judged by; `None` if it was judged before.
    pub(super) async fn examine(
        &mut self,
        pdu: &Arc<Pdu>,
        state: Option<StateRoot>,
    ) -> Result<Result<Option<Examined>, Missing>> {
        let key = EventByIdKey { event_id: pdu.event_id.clone() };
        if self.tx.get(&key).await?.is_some() {
            return Ok(Ok(None));
        }
        if self.create.is_none() {
            self.create = self.state_pdu("m.room.create", "").await?;
        }
        let auth_events = match self.known(&pdu.auth_events).await? {
            Ok(events) => events,
            Err(missing) => return Ok(Err(Missing::AuthEvents(missing))),
        };
        let state_before = match state {
            Some(state) => self.with_known_before(pdu, state).await?,
            None => match self.state_before(pdu).await? {
                Ok(state) => state,
                Err(missing) => return Ok(Err(Missing::PrevEvents(missing))),
            },
        };
        Ok(Ok(Some(Examined { auth_events, state_before })))
    }

    /// The number of an event that is about to be written: the one that it had as an outlier, or a new one.
    pub(super) async fn number_for(&self, pdu: &Pdu) -> Result<EventNumber> {
        let number = match self.tx.get(&outlier(pdu)).await? {
            Some(number) => number,
            None => EventNumber(self.rooms.parts.numbers.next(NumberKind::Event).await?),
        };
        self.tx.delete(&outlier(pdu));
        Ok(number)
    }

    /// An event that was written in part keeps the transaction from being committed.
    pub(super) fn or_broken(&mut self, written: Result<()>) -> Result<()> {
        self.broken |= written.is_err();
        written
    }

    /// Takes an event that others name, without a place in the timeline. Its auth events must be known.
    /// Whether it was allowed by them.
    pub(in crate::rooms) async fn accept_outlier(&mut self, pdu: &Arc<Pdu>) -> Result<EventNumber> {
        let known = self.number_of(&pdu.event_id).await?;
        if let Some(number) = known
            && self.tx.get(&EventAuthKey { event: number }).await?.is_some()
        {
            return Ok(number);
        }
        let auth_events = self.known(&pdu.auth_events).await?;
        let auth_events = auth_events.map_err(|_| Error::bug("an auth event is not known"))?;
        let allowed = self.allowed_by_auth_events(pdu, &auth_events).is_ok();
        if let Some(number) = known {
            return self.judge_late(number, pdu, allowed).await;
        }
        let number = EventNumber(self.rooms.parts.numbers.next(NumberKind::Event).await?);
        let mut record = self.record(number, pdu, StateRoot::EMPTY).await?;
        record.rejected = !allowed;
        self.put_auth(number, pdu).await?;
        self.tx.put(&outlier(pdu), &number)?;
        self.keep_record(number, pdu, record)?;
        Ok(number)
    }

    /// An event that was taken while nothing was known of the room, now that what authorizes it is here.
    async fn judge_late(
        &mut self,
        number: EventNumber,
        pdu: &Arc<Pdu>,
        allowed: bool,
    ) -> Result<EventNumber> {
        self.put_auth(number, pdu).await?;
        if !allowed {
            let mut record = self.event(number).await?.record.clone();
            record.rejected = true;
            self.keep_record(number, pdu, record)?;
        }
        Ok(number)
    }

    /// Events by id, or the ids of those that are not known. An event of another room is not known.
    pub(super) async fn known(
        &self,
        event_ids: &[OwnedEventId],
    ) -> Result<Result<Vec<Arc<Pdu>>, Vec<OwnedEventId>>> {
        let (mut events, mut missing) = (Vec::new(), Vec::new());
        for event_id in event_ids {
            let number = self.number_of(event_id).await?;
            let event = match number {
                Some(number) => Some(self.event(number).await?),
                None => None,
            };
            match event.filter(|event| event.record.room == self.room.number) {
                Some(event) => events.push(event.pdu()?),
                None => missing.push(event_id.clone()),
            }
        }
        Ok(if missing.is_empty() { Ok(events) } else { Err(missing) })
    }

    /// The state before an event, of the states after its previous events; or those that are not known.
    async fn state_before(&self, pdu: &Pdu) -> Result<Result<StateRoot, Vec<OwnedEventId>>> {
        let (mut states, mut missing) = (Vec::new(), Vec::new());
        for event_id in &pdu.prev_events {
            let pointer = self.tx.get(&EventByIdKey { event_id: event_id.clone() }).await?;
            match pointer.filter(|pointer| pointer.room == self.room.number) {
                Some(pointer) => states.push(self.state_after(pointer.event).await?),
                None => missing.push(event_id.clone()),
            }
        }
        if missing.is_empty() { Ok(Ok(self.resolve(&states).await?)) } else { Ok(Err(missing)) }
    }

    /// The state before an event as it was told, and those after the previous events that are known: who
    /// tells a state does not undo what is known here.
    async fn with_known_before(&self, pdu: &Pdu, told: StateRoot) -> Result<StateRoot> {
        let mut states = vec![told];
        for event_id in &pdu.prev_events {
            let pointer = self.tx.get(&EventByIdKey { event_id: event_id.clone() }).await?;
            if let Some(pointer) = pointer.filter(|pointer| pointer.room == self.room.number) {
                states.push(self.state_after(pointer.event).await?);
            }
        }
        self.resolve(&states).await
    }

    async fn judge(&self, pdu: &Arc<Pdu>, examined: &Examined) -> Result<Verdict> {
        let verdict = self.judge_past(pdu, examined).await?;
        if verdict != Verdict::Accepted {
            return Ok(verdict);
        }
        if let Err(Rejection(reason)) = self.allowed_at(pdu, self.head.state).await? {
            return Ok(Verdict::SoftFailed(reason));
        }
        Ok(Verdict::Accepted)
    }

    /// Judges an event where it stands, whatever is in the room now.
    pub(super) async fn judge_past(&self, pdu: &Arc<Pdu>, examined: &Examined) -> Result<Verdict> {
        if let Err(Rejection(reason)) = self.allowed_by_auth_events(pdu, &examined.auth_events) {
            return Ok(Verdict::Rejected(reason));
        }
        if let Err(Rejection(reason)) = self.allowed_at(pdu, examined.state_before).await? {
            return Ok(Verdict::Rejected(reason));
        }
        Ok(Verdict::Accepted)
    }

    fn allowed_by_auth_events(
        &self,
        pdu: &Arc<Pdu>,
        auth_events: &[Arc<Pdu>],
    ) -> Result<(), Rejection> {
        if let Some(rejected) = auth_events.iter().find(|event| event.rejected) {
            return Err(Rejection(format!("{} was rejected", rejected.event_id)));
        }
        let mut events = auth_events.to_vec();
        events.extend(self.create.clone());
        let state = AuthState::from_events(events);
        let version = &self.room.version;
        auth_rules::check(pdu, version, |event_id| state.by_id(event_id), &state)
    }

    /// Whether the rules allow the event after a state.
    async fn allowed_at(&self, pdu: &Pdu, state: StateRoot) -> Result<Result<(), Rejection>> {
        let tree = self.rooms.tree.within(self.tx);
        let mut events = Vec::new();
        for (event_type, state_key) in self.auth_types(pdu) {
            let key = self.key_number(&event_type.to_string(), &state_key).await?;
            let number = match key {
                Some(key) => tree.get(state, key).await?,
                None => None,
            };
            if let Some(number) = number {
                events.push(self.event(number).await?.pdu()?);
            }
        }
        let state = AuthState::from_events(events);
        Ok(auth_rules::check_state(pdu, &self.room.version, &state))
    }

    /// Writes an event that is kept only because others may name it.
    pub(super) async fn set_aside(
        &mut self,
        number: EventNumber,
        pdu: &Arc<Pdu>,
        state_before: StateRoot,
        verdict: &Verdict,
    ) -> Result<()> {
        let mut record = self.record(number, pdu, state_before).await?;
        record.rejected = matches!(verdict, Verdict::Rejected(_));
        record.soft_failed = matches!(verdict, Verdict::SoftFailed(_));
        self.put_auth(number, pdu).await?;
        let (room, place) = (self.room.number, Place::Nowhere);
        let pointer = EventPointer { event: number, room, index: 0, place };
        self.tx.put(&EventByIdKey { event_id: pdu.event_id.clone() }, &pointer)?;
        self.keep_record(number, pdu, record)
    }

    pub(super) async fn record(
        &mut self,
        number: EventNumber,
        pdu: &Arc<Pdu>,
        state_before: StateRoot,
    ) -> Result<EventRecord> {
        let (mut key, mut replaces) = (None, None);
        if let Some(state_key) = &pdu.state_key {
            let event_type = pdu.event_type.to_string();
            let number = self.intern(&event_type, state_key).await?;
            replaces = self.rooms.tree.within(self.tx).get(state_before, number).await?;
            key = Some(number);
        }
        Ok(EventRecord {
            room: self.room.number,
            event_id: pdu.event_id.clone(),
            json: pdu.json.to_string(),
            state_before,
            state_key: key,
            replaces: replaces.filter(|replaced| *replaced != number),
            transaction: None,
            redacted_because: None,
            rejected: false,
            soft_failed: false,
        })
    }

    pub(super) fn keep_record(
        &mut self,
        number: EventNumber,
        pdu: &Arc<Pdu>,
        record: EventRecord,
    ) -> Result<()> {
        self.tx.put(&EventKey { event: number }, &record)?;
        let version = self.room.version.clone();
        let mut pdu = Arc::clone(pdu);
        if record.rejected {
            Arc::make_mut(&mut pdu).rejected = true;
        }
        let event = StoredEvent::parsed(number, version, record, pdu);
        self.fresh.insert(number, Arc::new(event));
        Ok(())
    }
}

fn outlier(pdu: &Pdu) -> OutlierByIdKey {
    OutlierByIdKey { event_id: pdu.event_id.clone() }
}
