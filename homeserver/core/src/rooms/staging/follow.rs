//! How an accepted event of another server changes the room: its place in the timeline, the forward
//! extremities, the current state and what is derived from it.

use std::sync::Arc;

use pli_federation::{
    auth_rules::PowerLevels,
    event_format::{MAX_PREV_EVENTS, Pdu},
};
use pli_schema::{
    EventNumber, Stamp, StateRoot, Topic,
    records::{
        encryption::SharingChangeKey,
        federation::{NamedBeforeKey, WaitingRedactionKey},
        inbound::TimelineGapKey,
        rooms::{EventByIdKey, Extremity, MemberKey, Membership, UserRoomKey, UserRoomRecord},
    },
};
use pli_store::Scan;
use ruma::state_res::events::RoomPowerLevelsIntField;
use ruma::{OwnedEventId, UserId, events::TimelineEventType};

use super::{Staging, StoredEvent};
use crate::{
    Result,
    rooms::{authorize::AuthState, relations::Relation},
};

/// Redactions that may wait for one event.
const WAITING_REDACTIONS_MAX: usize = 10;
/// Forward extremities at most: beyond, the oldest ones are left to others to follow.
const EXTREMITIES_MAX: usize = 100;

impl Staging<'_> {
    /// Puts an accepted event at the end of the timeline and into the graph.
    pub(super) async fn follow(
        &mut self,
        number: EventNumber,
        pdu: &Arc<Pdu>,
        state_before: StateRoot,
    ) -> Result<()> {
        let record = self.record(number, pdu, state_before).await?;
        self.put_auth(number, pdu).await?;
        let relation = if pdu.is_state() { None } else { Relation::of(pdu) };
        if let Some(relation) = self.within_room(relation).await?
            && self.check_relation(pdu, &relation).await.is_ok()
        {
            let at = (Stamp::Commit, self.next_index);
            self.put_relation((number, pdu), relation, at)?;
        }
        let (extremities, depth) = (self.head.extremities.clone(), self.head.depth);
        self.put_event(number, Arc::clone(pdu), record)?;
        self.head.depth = depth.max(pdu.depth);
        let named = NamedBeforeKey { event_id: pdu.event_id.clone() };
        if self.tx.get(&named).await?.is_some() {
            // It fills a gap: what follows it is here already.
            self.head.extremities = extremities;
            self.tx.delete(&named);
        } else {
            self.follow_state().await?;
        }
        if self.remember_names(pdu).await? {
            let (room, index) = (self.room.number, self.next_index.saturating_sub(1));
            self.tx.put(&TimelineGapKey { room, at: Stamp::Commit, index }, &number)?;
        }
        self.follow_redactions(number, pdu).await
    }

    /// Previous events that are not here: when they come, they are no extremities. Whether there are any.
    pub(super) async fn remember_names(&self, pdu: &Pdu) -> Result<bool> {
        let mut any = false;
        for event_id in &pdu.prev_events {
            if self.tx.get(&EventByIdKey { event_id: event_id.clone() }).await?.is_none() {
                self.tx.put(&NamedBeforeKey { event_id: event_id.clone() }, &())?;
                any = true;
            }
        }
        Ok(any)
    }

    /// Whether all previous events of an event are here now.
    pub(in crate::rooms) async fn is_filled(&self, event: EventNumber) -> Result<bool> {
        for event_id in &self.event(event).await?.pdu()?.prev_events {
            if self.tx.get(&EventByIdKey { event_id: event_id.clone() }).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The extremities that the next event follows: those that came last, if there are many. The current
    /// state is the one after them.
    pub(super) fn followed(&self) -> &[Extremity] {
        let first = self.head.extremities.len().saturating_sub(MAX_PREV_EVENTS);
        self.head.extremities.get(first..).unwrap_or_default()
    }

    /// Makes the state after the extremities the current one.
    pub(super) async fn follow_state(&mut self) -> Result<()> {
        let over = self.head.extremities.len().saturating_sub(EXTREMITIES_MAX);
        self.head.extremities.drain(..over);
        let extremities: Vec<EventNumber> =
            self.followed().iter().map(|extremity| extremity.event).collect();
        let mut states = Vec::with_capacity(extremities.len());
        for event in extremities {
            states.push(self.state_after(event).await?);
        }
        let state = self.resolve(&states).await?;
        self.set_current_state(state).await
    }

    /// Makes a state the current one, and brings the indexes of members to it.
    pub(super) async fn set_current_state(&mut self, state: StateRoot) -> Result<()> {
        let tree = self.rooms.tree.within(self.tx);
        let changes = tree.diff(self.head.state, state).await?;
        self.head.state = state;
        for change in changes {
            if let Some(number) = change.after {
                let pdu = self.event(number).await?.pdu()?;
                if pdu.event_type == TimelineEventType::RoomMember {
                    self.put_member(number, &pdu).await?;
                }
            } else if let Some(number) = change.before {
                let pdu = self.event(number).await?.pdu()?;
                self.forget_member(&pdu).await?;
            }
        }
        Ok(())
    }

    /// A membership that the resolved state no longer has.
    async fn forget_member(&mut self, pdu: &Pdu) -> Result<()> {
        let user_id = pdu.state_key.as_deref().and_then(|user_id| UserId::parse(user_id).ok());
        let Some(user_id) = user_id.filter(|_| pdu.event_type == TimelineEventType::RoomMember)
        else {
            return Ok(());
        };
        let key = MemberKey { room: self.room.number, user_id: user_id.clone() };
        let Some(member) = self.tx.get(&key).await? else {
            return Ok(());
        };
        self.count(Some(member.membership), false);
        if member.membership == Membership::Join {
            let (at, user_id) = (Stamp::Commit, user_id.clone());
            self.tx.put(&SharingChangeKey { at, room: self.room.number, user_id }, &false)?;
        }
        self.tx.delete(&key);
        let (membership, event) = (Membership::Leave, member.event);
        self.tx.put(
            &UserRoomKey { user_id: user_id.clone(), room: self.room.number },
            &UserRoomRecord { membership, event, forgotten: false },
        )?;
        if self.rooms.is_local(&user_id) {
            self.tx.wake(Topic::Rooms(user_id));
        }
        Ok(())
    }

    pub(super) async fn follow_redactions(
        &mut self,
        number: EventNumber,
        pdu: &Arc<Pdu>,
    ) -> Result<()> {
        if let Some(target) = pdu.redacts.clone() {
            self.redact_or_wait(number, &target).await?;
        }
        let (target, room) = (pdu.event_id.clone(), self.room.number);
        let scan = Scan::<WaitingRedactionKey>::prefix((target,)).limit(WAITING_REDACTIONS_MAX);
        for row in self.tx.scan(&scan).await? {
            let redaction = self.event(row.key.redaction).await?;
            if redaction.record.room == room {
                let target = self.event(number).await?;
                self.redact_if_allowed(&redaction, &target).await?;
            }
            self.tx.delete(&row.key);
        }
        Ok(())
    }

    async fn redact_or_wait(
        &mut self,
        redaction: EventNumber,
        target: &OwnedEventId,
    ) -> Result<()> {
        match self.tx.get(&EventByIdKey { event_id: target.clone() }).await? {
            Some(pointer) if pointer.room == self.room.number => {
                let redaction = self.event(redaction).await?;
                let target = self.event(pointer.event).await?;
                self.redact_if_allowed(&redaction, &target).await
            }
            Some(_) => Ok(()),
            None => {
                let scan = Scan::<WaitingRedactionKey>::prefix((target.clone(),));
                let waiting = self.tx.scan(&scan.limit(WAITING_REDACTIONS_MAX)).await?;
                if waiting.len() < WAITING_REDACTIONS_MAX {
                    let target = target.clone();
                    self.tx.put(&WaitingRedactionKey { target, redaction }, &())?;
                }
                Ok(())
            }
        }
    }

    /// Redacts if the sender has the level or is of the server of the redacted event's sender
    /// (<https://spec.matrix.org/v1.19/rooms/v3/#handling-redactions>).
    async fn redact_if_allowed(
        &mut self,
        redaction: &StoredEvent,
        target: &StoredEvent,
    ) -> Result<()> {
        let (pdu, target_pdu) = (redaction.pdu()?, target.pdu()?);
        let same_server = pdu.sender.server_name() == target_pdu.sender.server_name();
        let allowed = same_server || self.has_redact_level_at(redaction).await?;
        if allowed { self.redact(redaction.number, target).await } else { Ok(()) }
    }

    async fn has_redact_level_at(&self, redaction: &StoredEvent) -> Result<bool> {
        let mut events = Vec::new();
        for event_type in ["m.room.create", "m.room.power_levels"] {
            events.extend(self.state_at(redaction.record.state_before, event_type).await?);
        }
        let state = AuthState::from_events(events);
        let level = || {
            let levels = PowerLevels::of(&self.room.version, &state).ok()?;
            let own = levels.of_user(&redaction.pdu().ok()?.sender).ok()?;
            Some(own >= levels.to_act(RoomPowerLevelsIntField::Redact).ok()?)
        };
        Ok(level().unwrap_or(false))
    }

    /// The event of a state with an empty state key.
    async fn state_at(&self, state: StateRoot, event_type: &str) -> Result<Option<Arc<Pdu>>> {
        let Some(key) = self.key_number(event_type, "").await? else {
            return Ok(None);
        };
        match self.rooms.tree.within(self.tx).get(state, key).await? {
            Some(number) => Ok(Some(self.event(number).await?.pdu()?)),
            None => Ok(None),
        }
    }
}
