//! Events with which users of other servers come and go, and what can be asked about those of local users
//! in rooms that this server does not know.

use std::sync::Arc;

use pli_federation::event_format::Pdu;
use pli_schema::{
    EventNumber, RoomNumber, StateRoot,
    records::{
        federation::{InviteStateKey, InviteStateRecord, OutlierByIdKey, SentForOthersKey},
        rooms::{EventByIdKey, RoomByIdKey, RoomHeadRecord},
    },
};
use pli_store::Tx;
use ruma::{OwnedRoomId, RoomVersionId, UserId};
use serde_json::value::RawValue;

use super::Staging;
use crate::{
    Error, Result,
    numbers::NumberKind,
    rooms::{
        Draft, Room, Rooms, Told,
        authorize::AuthState,
        incoming::{Missing, Verdict},
    },
};

impl<'a> Staging<'a> {
    /// A room of which nothing is known here. Nothing may be written into it.
    pub(in crate::rooms) fn elsewhere(
        rooms: &'a Rooms,
        tx: &'a Tx,
        id: OwnedRoomId,
        version: RoomVersionId,
    ) -> Self {
        let head = RoomHeadRecord {
            extremities: Vec::new(),
            depth: 0,
            state: StateRoot::EMPTY,
            joined_members: 0,
            invited_members: 0,
        };
        Self::with(rooms, tx, Room { number: RoomNumber(u64::MAX), id, version }, head)
    }

    /// The content of a draft, after asking everyone who may refuse it without knowing the room.
    pub(in crate::rooms) async fn content(&self, draft: &Draft) -> Result<Box<RawValue>> {
        let draft = &*self.with_given_name(draft).await?;
        self.check_standing(draft).await?;
        self.check_externals(draft).await?;
        self.check_policy_lists(draft).await?;
        Ok(draft.content.clone())
    }

    /// The event that a draft of a user of another server would become, for that server to sign. Writes
    /// nothing.
    pub(in crate::rooms) async fn template(&self, draft: &Draft) -> Result<Pdu> {
        let state = AuthState::of(self, draft).await?;
        let pdu = self.build(self.new_event(draft, &state).await?)?;
        state.check(&pdu, &self.room.version)?;
        self.check_administration(draft).await?;
        Ok(pdu)
    }

    /// Takes a member event of a user of another server that this server has let in or out, and marks it
    /// to be sent on.
    pub(in crate::rooms) async fn admit(
        &mut self,
        pdu: &Arc<Pdu>,
    ) -> Result<Result<Verdict, Missing>> {
        let key = EventByIdKey { event_id: pdu.event_id.clone() };
        if self.tx.get(&key).await?.is_none() {
            let state_key = pdu.state_key.clone().unwrap_or_default();
            let (sender, kind) = (pdu.sender.clone(), pdu.event_type.clone());
            let draft = Draft::state(sender, kind, state_key, pdu.content.clone())?;
            self.check_administration(&draft).await?;
        }
        let verdict = self.accept(pdu, None).await?;
        if matches!(verdict, Ok(Verdict::Accepted)) {
            let event = self.number_of(&pdu.event_id).await?;
            let event = event.ok_or_else(|| Error::bug("an accepted event has no number"))?;
            self.tx.put(&SentForOthersKey { event }, &())?;
        }
        Ok(verdict)
    }

    /// The event of a draft of a local user, after asking everyone who may refuse it. Writes nothing.
    pub(in crate::rooms) async fn prepared(&self, draft: &Draft) -> Result<Arc<Pdu>> {
        let draft = &*self.with_given_name(draft).await?;
        Ok(self.prepare(draft, None).await?.pdu)
    }

    /// Takes a member event about a local user while this server has no present state of the room: the
    /// event is in the timeline and in what is known of the state, and nothing follows it.
    pub(in crate::rooms) async fn take_outside(
        &mut self,
        pdu: &Arc<Pdu>,
        told: Option<&Told>,
    ) -> Result<()> {
        let key = EventByIdKey { event_id: pdu.event_id.clone() };
        if self.tx.get(&key).await?.is_some() {
            return Ok(());
        }
        if self.tx.get(&RoomByIdKey { room_id: self.room.id.clone() }).await?.is_none() {
            self.put_room(pdu)?;
        }
        let outlier = OutlierByIdKey { event_id: pdu.event_id.clone() };
        let number = match self.tx.get(&outlier).await? {
            Some(number) => number,
            None => EventNumber(self.rooms.parts.numbers.next(NumberKind::Event).await?),
        };
        self.tx.delete(&outlier);
        let record = self.record(number, pdu, self.head.state).await?;
        self.put_member(number, pdu).await?;
        let (extremities, depth) = (self.head.extremities.clone(), self.head.depth);
        if let Some(key) = record.state_key {
            let tree = self.rooms.tree.within(self.tx);
            self.head.state = tree.insert(self.tx, self.head.state, &[(key, number)]).await?;
        }
        self.put_told(number, pdu, told)?;
        self.put_event(number, Arc::clone(pdu), record)?;
        self.head.extremities = extremities;
        self.head.depth = depth;
        Ok(())
    }

    fn put_told(&self, event: EventNumber, pdu: &Pdu, told: Option<&Told>) -> Result<()> {
        let user_id = pdu.state_key.as_deref().and_then(|key| UserId::parse(key).ok());
        let user_id = user_id.ok_or_else(|| Error::bug("a member event names no user"))?;
        let key = InviteStateKey { room: self.room.number, user_id };
        match told {
            Some(Told { events, servers }) => {
                let (events, servers) = (events.clone(), servers.clone());
                self.tx.put(&key, &InviteStateRecord { event, events, servers })?;
            }
            None => self.tx.delete(&key),
        }
        Ok(())
    }

    /// What the administration of this server says about a member event of a user of another one.
    async fn check_administration(&self, draft: &Draft) -> Result<()> {
        self.check_externals(draft).await?;
        self.check_policy_lists(draft).await?;
        self.check_policy(draft).await
    }
}
