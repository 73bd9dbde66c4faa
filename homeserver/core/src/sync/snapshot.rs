//! Snapshots of rooms as older clients ask for them
//! (<https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3initialsync>,
//! <https://spec.matrix.org/v1.19/client-server-api/#room-previews>).

use std::{collections::BTreeSet, sync::Arc};

use pli_schema::{RoomNumber, records::rooms::Membership};
use ruma::{RoomId, api::client::filter::RoomEventFilter};

use super::Sync;
use crate::{
    Result,
    account_data::AccountDataEvent,
    history::{Direction, MessagesQuery, Reader, RenderOptions, Viewer},
    json::{self, Object},
    rooms::Room,
    token::Boundary,
};

/// Messages of a room if the client does not say how many, and at most.
const MESSAGES_DEFAULT: usize = 10;
const MESSAGES_MAX: usize = 100;

impl Sync {
    /// Everything about a user's rooms, as JSON: those in which the user is joined or to which they are
    /// invited, and with `archived` those that they have left.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn initial_sync(
        &self,
        viewer: Viewer<'_>,
        limit: Option<usize>,
        archived: bool,
    ) -> Result<String> {
        let parts = &self.parts;
        let now = parts.rooms.store().position();
        let mut rooms = Vec::new();
        for (number, stored) in parts.rooms.rooms_of(viewer.user_id, None).await? {
            let told = match stored.record.membership {
                Membership::Join | Membership::Invite => true,
                Membership::Leave | Membership::Ban => archived && !stored.record.forgotten,
                Membership::Knock => false,
            };
            if told {
                rooms.push(self.snapshot(number, viewer, limit).await?);
            }
        }
        let data = parts.account_data.all(viewer.user_id).await?;
        let global = data.iter().filter(|event| event.room_id.is_empty());
        let mut account_data: Vec<String> = global.map(AccountDataEvent::to_json).collect();
        account_data.push(parts.push.rules_event(viewer.user_id).await?.json().get().to_owned());
        let presence = self.presence_of_all(viewer).await?;
        let mut out = Object::new();
        out.raw("rooms", &json::array(&rooms))
            .raw("account_data", &json::array(&account_data))
            .raw("presence", &json::array(&presence))
            .string("end", &Boundary::after_commit(now).to_string());
        Ok(out.finish())
    }

    /// `m.presence` of all who are there and whom the user sees.
    async fn presence_of_all(&self, viewer: Viewer<'_>) -> Result<Vec<String>> {
        let (parts, user_id) = (&self.parts, viewer.user_id);
        let ignored = parts.account_data.ignored_users(user_id).await?;
        let rooms = parts.notifier.memberships(user_id).await?;
        let (observer, span) = ((user_id, &*rooms), (None, parts.presence.serial()));
        let events = parts.presence.events(observer, span, &BTreeSet::new()).await?;
        let told = events.into_iter().filter(|event| !ignored.contains(&event.sender));
        Ok(told.map(|event| event.json).collect())
    }

    async fn snapshot(
        &self,
        number: RoomNumber,
        viewer: Viewer<'_>,
        limit: Option<usize>,
    ) -> Result<String> {
        let room = self.parts.rooms.room(number).await?;
        let reader = self.parts.history.reader(room, viewer.user_id).await?;
        if reader.membership() != Some(Membership::Invite) {
            return self.whole_snapshot(&reader, viewer, limit).await;
        }
        let room = reader.room();
        let own = self.parts.rooms.member(number, viewer.user_id).await?;
        let mut out = Object::new();
        out.string("room_id", room.id.as_str()).string("membership", "invite");
        out.string("visibility", self.visibility(room).await?);
        if let Some(own) = own {
            let invite = self.parts.rooms.existing_event(own.event).await?;
            let options = RenderOptions::STATE;
            let invite = self.parts.history.render(&invite, viewer, None, options).await?;
            out.raw("invite", invite.get());
        }
        Ok(out.finish())
    }

    /// What a room is and the newest that happened in it, as JSON.
    ///
    /// # Errors
    /// [`crate::Error::Forbidden`] if the user may not read in the room.
    pub async fn room_initial_sync(
        &self,
        room_id: &RoomId,
        viewer: Viewer<'_>,
        limit: Option<usize>,
    ) -> Result<String> {
        let reader = self.parts.history.open(room_id, viewer.user_id).await?;
        self.whole_snapshot(&reader, viewer, limit).await
    }

    async fn whole_snapshot(
        &self,
        reader: &Reader,
        viewer: Viewer<'_>,
        limit: Option<usize>,
    ) -> Result<String> {
        let (room, history) = (reader.room(), &self.parts.history);
        let query = MessagesQuery {
            from: None,
            to: None,
            direction: Direction::Backward,
            limit: limit.unwrap_or(MESSAGES_DEFAULT).min(MESSAGES_MAX),
            filter: RoomEventFilter::default(),
        };
        let page = history.messages(reader, viewer, &query).await?;
        let mut messages = Object::new();
        let chunk: Vec<&str> = page.chunk.iter().rev().map(|event| event.get()).collect();
        messages.raw("chunk", &json::array(&chunk)).string("end", &page.start.to_string());
        if let Some(start) = page.end {
            messages.string("start", &start.to_string());
        }
        let state = history.state(reader, viewer).await?;
        let state: Vec<&str> = state.iter().map(|event| event.get()).collect();
        let data = self.parts.account_data.of_room(viewer.user_id, &room.id).await?;
        let data: Vec<String> = data.iter().map(AccountDataEvent::to_json).collect();
        let mut out = Object::new();
        out.string("room_id", room.id.as_str());
        // Whoever knocks has no membership that this answer knows.
        if let Some(membership) = reader.membership().filter(|m| *m != Membership::Knock) {
            out.string("membership", membership.name());
        }
        out.string("visibility", self.visibility(room).await?)
            .raw("messages", &messages.finish())
            .raw("state", &json::array(&state))
            .raw("account_data", &json::array(&data));
        Ok(out.finish())
    }

    async fn visibility(&self, room: &Arc<Room>) -> Result<&'static str> {
        let published = self.parts.rooms.is_published(&room.id).await?;
        Ok(if published { "public" } else { "private" })
    }
}
