//! A room to which the user is invited, or on which the user has knocked, in one answer.

use pli_schema::records::rooms::{Membership, UserRoomRecord};
use pli_store::Stored;

use super::{render::stripped, turn::Turn, view::StateView};
use crate::{
    Result,
    invite_permission::{InviteDecision, InvitePermission},
    json::{self, Object},
    rooms::TOLD_TO_STRANGERS,
};

impl Turn<'_> {
    /// The room's part of the answer, with the stripped state under `name`; `None` if whoever invites is
    /// ignored.
    pub(super) async fn invited(
        &self,
        stored: &Stored<UserRoomRecord>,
        name: &str,
    ) -> Result<Option<String>> {
        if self.hides_invite(stored).await? {
            return Ok(None);
        }
        let mut out = Object::new();
        out.raw(name, &json::event_list(&self.stripped_state(stored).await?));
        Ok(Some(out.finish()))
    }

    /// Whether the user does not want to see an invite: whoever invites is ignored, or may not invite.
    pub(super) async fn hides_invite(&self, stored: &Stored<UserRoomRecord>) -> Result<bool> {
        if stored.record.membership != Membership::Invite {
            return Ok(false);
        }
        let rooms = &self.parts().rooms;
        let sender = rooms.existing_event(stored.record.event).await?.pdu()?.sender.clone();
        if self.ignored.contains(&sender) {
            return Ok(true);
        }
        let permission = InvitePermission::read(rooms.store(), &self.request.user_id).await?;
        Ok(permission.decide(&sender) != InviteDecision::Allow)
    }

    /// The state that tells someone outside what the room is, with the own membership.
    pub(super) async fn stripped_state(
        &self,
        stored: &Stored<UserRoomRecord>,
    ) -> Result<Vec<String>> {
        let rooms = &self.parts().rooms;
        let own = rooms.existing_event(stored.record.event).await?;
        let room = own.record.room;
        if let Some(told) = rooms.told_of(room, &self.request.user_id).await?
            && told.event == own.number
        {
            let mut events = told.events;
            events.push(stripped(&own)?);
            return Ok(events);
        }
        let sender = own.pdu()?.sender.clone();
        let view = StateView::before(&own);
        let mut events = Vec::new();
        for event_type in TOLD_TO_STRANGERS {
            if let Some(number) = view.get(rooms, event_type, "").await? {
                events.push(stripped(&*rooms.existing_event(number).await?)?);
            }
        }
        if sender != self.request.user_id
            && let Some(number) = view.get(rooms, "m.room.member", sender.as_str()).await?
        {
            events.push(stripped(&*rooms.existing_event(number).await?)?);
        }
        events.push(stripped(&own)?);
        Ok(events)
    }
}
