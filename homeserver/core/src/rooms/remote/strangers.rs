//! What people outside a room are told of it
//! (<https://spec.matrix.org/v1.19/client-server-api/#stripped-state>).

use std::sync::Arc;

use pli_federation::event_format::Pdu;
use pli_schema::StateRoot;
use ruma::{UserId, events::TimelineEventType};
use serde_json::{Map, Value};

use crate::{
    Error, Result,
    policy::rooms::ACCESS_RULES,
    rooms::{Draft, Room, Rooms, draft, incoming::Verdict, staging::Staging},
};

/// The types of state that tell strangers what the room is.
pub const TOLD_TO_STRANGERS: [&str; 8] = [
    "m.room.create",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.join_rules",
    "m.room.canonical_alias",
    "m.room.encryption",
    // Partners may want to know that the room keeps these rules.
    ACCESS_RULES,
];

impl Rooms {
    /// The events, as JSON between servers, that tell a stranger of a room: for one who is invited also
    /// who invites.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn state_for_strangers(
        &self,
        state: StateRoot,
        inviter: Option<&UserId>,
    ) -> Result<Vec<String>> {
        let mut events = Vec::new();
        for event_type in TOLD_TO_STRANGERS {
            events.extend(self.state_event(state, event_type, "").await?);
        }
        if let Some(inviter) = inviter {
            events.extend(self.state_event(state, "m.room.member", inviter.as_str()).await?);
        }
        Ok(events.iter().map(|event| event.record.json.clone()).collect())
    }

    /// The event with which a local user invites somebody, and what the invited one is told of the room.
    /// Nothing is written: the other server may refuse.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the rules or the administration refuse it.
    pub async fn prepare_invite(
        &self,
        room: &Room,
        (sender, target): (&UserId, &UserId),
        content: &Map<String, Value>,
    ) -> Result<(Arc<Pdu>, Vec<String>)> {
        let (kind, raw) = (TimelineEventType::RoomMember, draft::raw(content)?);
        let draft = &Draft::state(sender.to_owned(), kind, target.as_str(), raw)?;
        let pdu = self.store().write(|tx| async move {
            Staging::open(self, &tx, room.number).await?.prepared(draft).await
        });
        let pdu = pdu.await?;
        let state = self.head(room.number).await?.state;
        Ok((pdu, self.state_for_strangers(state, Some(sender)).await?))
    }

    /// Puts an event of a local user into its room that another server has signed, too.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the rules refuse it by now.
    pub async fn put_signed(&self, room: &Room, pdu: &Arc<Pdu>) -> Result<()> {
        match self.accept(room.number, std::slice::from_ref(pdu)).await?.pop() {
            Some(Ok(Verdict::Accepted | Verdict::Known)) => Ok(()),
            Some(Ok(Verdict::SoftFailed(reason) | Verdict::Rejected(reason))) => {
                Err(Error::Forbidden(reason))
            }
            Some(Err(_)) | None => Err(Error::bug("an event of this server hangs in the air")),
        }
    }

    /// The content of the event with which somebody is invited.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn invite_content(
        &self,
        target: &UserId,
        reason: Option<&str>,
    ) -> Result<Map<String, Value>> {
        let content = self.member_content(target, "invite").await?;
        Ok(crate::rooms::membership::with_reason(content, reason))
    }

    /// Whether something that another server wants for a local user is on a policy list of this one.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub async fn refuse_listed_event(
        &self,
        pdu: &Pdu,
        version: &ruma::RoomVersionId,
    ) -> Result<()> {
        let (sender, kind) = (pdu.sender.clone(), pdu.event_type.clone());
        let state_key = pdu.state_key.clone().unwrap_or_default();
        let draft = &Draft::state(sender, kind, state_key, pdu.content.clone())?;
        let place = &(pdu.room().to_owned(), version.clone());
        self.store()
            .write(|tx| async move {
                let (id, version) = place.clone();
                Staging::elsewhere(self, &tx, id, version).check_policy_lists(draft).await
            })
            .await
    }
}
