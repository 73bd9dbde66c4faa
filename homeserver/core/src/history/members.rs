//! The members of a room for a reader.

use std::sync::Arc;

use pli_schema::{
    StateRoot,
    records::rooms::{MemberRecord, Membership, TimelineKey},
};
use pli_store::Scan;
use ruma::OwnedUserId;
use serde_json::value::RawValue;

use super::{History, Reader, RenderOptions, Viewer};
use crate::{Error, Result, rooms::StoredEvent, token::Boundary};

/// Which members are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct MembersQuery {
    /// As they were at this place of the timeline.
    pub at: Option<Boundary>,
    /// Only with this membership.
    pub membership: Option<Membership>,
    /// Without this membership.
    pub not_membership: Option<Membership>,
}

impl History {
    /// The membership events of a room.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn members(
        &self,
        reader: &Reader,
        viewer: Viewer<'_>,
        query: MembersQuery,
    ) -> Result<Vec<Box<RawValue>>> {
        let mut out = Vec::new();
        for event in self.member_events(reader, query.at).await? {
            let membership = event
                .content::<serde_json::Value>()?
                .and_then(|content| Membership::parse(content.get("membership")?.as_str()?));
            let wanted = query.membership.is_none_or(|wanted| membership == Some(wanted))
                && query.not_membership.is_none_or(|not| membership != Some(not));
            if wanted {
                out.push(self.render(&event, viewer, None, RenderOptions::STATE).await?);
            }
        }
        Ok(out)
    }

    async fn member_events(
        &self,
        reader: &Reader,
        at: Option<Boundary>,
    ) -> Result<Vec<Arc<StoredEvent>>> {
        match at {
            Some(at) if reader.is_joined() => {
                let root = self.state_at(reader, at).await?;
                self.rooms().state_events_of_type(root, "m.room.member").await
            }
            _ => {
                let mut state = reader.state().await?;
                let is_member = ruma::events::TimelineEventType::RoomMember;
                state.retain(|event| event.pdu().is_ok_and(|pdu| pdu.event_type == is_member));
                Ok(state)
            }
        }
    }

    /// The state at a place of the timeline: before the first event behind it.
    async fn state_at(&self, reader: &Reader, at: Boundary) -> Result<StateRoot> {
        let room = reader.room().number;
        let place = (room, at.position, at.index);
        let scan = Scan::<TimelineKey>::prefix((room,)).from(place).limit(1);
        match self.rooms().store().scan(&scan).await?.first() {
            Some(row) => {
                Ok(self.rooms().existing_event(row.record.event).await?.record.state_before)
            }
            None => Ok(self.rooms().head(room).await?.state),
        }
    }

    /// The joined members with their profiles.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the reader is not joined.
    pub async fn joined_members(
        &self,
        reader: &Reader,
    ) -> Result<Vec<(OwnedUserId, MemberRecord)>> {
        if !reader.is_joined() {
            return Err(Error::forbidden("You are not in this room"));
        }
        self.rooms().members(reader.room().number, Some(Membership::Join)).await
    }
}
