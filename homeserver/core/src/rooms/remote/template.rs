//! Events that are offered to other servers, for their users to come or go with.

use pli_schema::records::rooms::Membership;
use ruma::{RoomVersionId, UserId, events::TimelineEventType};
use serde_json::{Map, Value, json, value::RawValue};

use super::Step;
use crate::{
    Error, Result,
    rooms::{Draft, Room, Rooms, draft, staging::Staging},
};

/// Where the one who vouches for a restricted join stands.
pub(super) const AUTHORIZER: &str = "join_authorised_via_users_server";

/// An event that another server completes and signs.
#[derive(Clone, Debug)]
pub struct Template {
    /// The room's version.
    pub version: RoomVersionId,
    /// The event, without hashes, signatures and id.
    pub event: Box<RawValue>,
}

impl Rooms {
    /// What a user of another server can come or go with
    /// (<https://spec.matrix.org/v1.19/server-server-api/#joining-rooms>).
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the rules or the administration refuse it;
    /// [`Error::UnableToAuthorizeJoin`], [`Error::UnableToGrantJoin`] for a restricted join that this
    /// server cannot judge or vouch for.
    pub async fn template(&self, step: Step, room: &Room, user_id: &UserId) -> Result<Template> {
        let mut content = Map::new();
        content.insert("membership".to_owned(), Value::from(step.membership().name()));
        if step == Step::Join
            && let Some(authorizer) = self.authorizer_of_stranger(room, user_id).await?
        {
            content.insert(AUTHORIZER.to_owned(), Value::from(authorizer.as_str()));
        }
        let kind = TimelineEventType::RoomMember;
        let draft =
            &Draft::state(user_id.to_owned(), kind, user_id.as_str(), draft::raw(&content)?)?;
        let offered = self.store().write(|tx| async move {
            Staging::open(self, &tx, room.number).await?.template(draft).await
        });
        let mut event: Map<String, Value> = serde_json::from_str(&offered.await?.json)
            .map_err(|error| Error::bug(error.to_string()))?;
        for made_by_the_signer in ["event_id", "hashes", "signatures", "unsigned"] {
            event.remove(made_by_the_signer);
        }
        event.insert("origin".to_owned(), json!(self.server_name()));
        Ok(Template { version: room.version.clone(), event: draft::raw(&event)? })
    }

    /// Who vouches for the join of a user who is neither joined nor invited; `None` if nobody has to.
    async fn authorizer_of_stranger(
        &self,
        room: &Room,
        user_id: &UserId,
    ) -> Result<Option<ruma::OwnedUserId>> {
        let member = self.member(room.number, user_id).await?;
        if member.is_some_and(|m| matches!(m.membership, Membership::Join | Membership::Invite)) {
            return Ok(None);
        }
        self.authorizer(room, user_id).await
    }
}
