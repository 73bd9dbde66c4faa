//! Events with which users of other servers come and go, and what can be asked about those of local users
//! in rooms that this server does not know.

use std::sync::Arc;

use pli_federation::event_format::Pdu;
use pli_schema::{
    RoomNumber, StateRoot,
    records::{
        federation::SentForOthersKey,
        rooms::{EventByIdKey, RoomHeadRecord},
    },
};
use pli_store::Tx;
use ruma::{OwnedRoomId, RoomVersionId};
use serde_json::value::RawValue;

use super::Staging;
use crate::{
    Error, Result,
    rooms::{
        Draft, Room, Rooms,
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

    /// What the administration of this server says about a member event of a user of another one.
    async fn check_administration(&self, draft: &Draft) -> Result<()> {
        self.check_externals(draft).await?;
        self.check_policy_lists(draft).await?;
        self.check_policy(draft).await
    }
}
