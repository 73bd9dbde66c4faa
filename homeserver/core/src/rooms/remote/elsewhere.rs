//! Events of local users in rooms in which this server is not.

use std::sync::Arc;

use pli_federation::event_format::{self, NewEvent, Pdu};
use ruma::{RoomId, RoomVersionId, UserId, events::TimelineEventType};
use serde_json::value::RawValue;

use super::Step;
use crate::{
    Error, Result,
    rooms::{
        Draft, Rooms, draft,
        membership::{bare, with_reason},
        staging::Staging,
    },
};

impl Rooms {
    /// The content of the member event with which a local user comes into or goes out of a room that
    /// this server does not know, after asking everyone who may refuse it without knowing the room.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::UserSuspended`] and what else an account may not.
    pub async fn content_elsewhere(
        &self,
        step: Step,
        user_id: &UserId,
        (room_id, version): (&RoomId, &RoomVersionId),
        reason: Option<&str>,
    ) -> Result<Box<RawValue>> {
        let name = step.membership().name();
        let content = match step {
            Step::Leave => bare(name),
            Step::Join | Step::Knock => self.member_content(user_id, name).await?,
        };
        let content = with_reason(content, reason);
        let (kind, raw) = (TimelineEventType::RoomMember, draft::raw(&content)?);
        let draft = &Draft::state(user_id.to_owned(), kind, user_id.as_str(), raw)?;
        self.store()
            .write(|tx| async move {
                let (id, version) = (room_id.to_owned(), version.clone());
                Staging::elsewhere(self, &tx, id, version).content(draft).await
            })
            .await
    }

    /// Makes an event of this server, for a room in which it is not.
    ///
    /// # Errors
    /// [`Error::BadJson`] if no event can be made of it: its place may come from another server.
    pub fn build(&self, mut new: NewEvent, version: &RoomVersionId) -> Result<Arc<Pdu>> {
        let parts = &self.parts;
        new.event_id_localpart = Some(parts.random.letters(18));
        event_format::build(new, version, &parts.signing_key, &parts.server_name)
            .map(Arc::new)
            .map_err(|error| Error::BadJson(error.to_string()))
    }

    /// Adds this server's signature to an event.
    ///
    /// # Errors
    /// [`Error::BadJson`] for what is no event of the version.
    pub fn countersign(&self, json: &str, version: &RoomVersionId) -> Result<String> {
        let parts = &self.parts;
        event_format::countersign(json, version, &parts.signing_key, &parts.server_name)
            .map_err(|error| Error::BadJson(error.to_string()))
    }

    /// What is done after a user has joined a room with the help of another server.
    pub async fn joined_elsewhere(&self, user_id: &UserId, room: pli_schema::RoomNumber) {
        let carried = match self.room(room).await {
            Ok(room) => self.carry_settings_after_join(user_id, &room).await,
            Err(error) => Err(error),
        };
        // The join stands whether this works or not.
        if let Err(error) = carried {
            tracing::warn!(%error, "settings could not be carried over to the room of an upgrade");
        }
    }
}
