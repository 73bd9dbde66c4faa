//! The authorization rules, on the state of a room as a transaction sees it.

use std::sync::Arc;

use pli_federation::{
    auth_rules::{self, Rejection, StateView},
    event_format::{FormatError, Pdu},
};
use ruma::{
    EventId, OwnedEventId, RoomVersionId,
    events::{StateEventType, TimelineEventType},
};

use super::{Draft, staging::Staging};
use crate::{Error, Result};

/// The few state events that the rules look at for one event.
#[derive(Debug, Default)]
pub(super) struct AuthState {
    events: Vec<Arc<Pdu>>,
    /// Those of them that belong into `auth_events`.
    pub(super) auth_events: Vec<OwnedEventId>,
}

impl AuthState {
    /// The state that the rules look at for a draft: what `auth_events` names, and the create event,
    /// which version 12 does not name.
    pub(super) async fn of(staging: &Staging<'_>, draft: &Draft) -> Result<Self> {
        if draft.event_type == TimelineEventType::RoomCreate {
            return Ok(Self::default());
        }
        let version = &staging.room.version;
        let (sender, state_key) = (&*draft.sender, draft.state_key.as_deref());
        let types = auth_rules::auth_types_for(
            &draft.event_type,
            sender,
            state_key,
            &draft.content,
            version,
        )
        .map_err(|Rejection(reason)| Error::bad_json(reason))?;
        let mut this = Self::default();
        for (event_type, state_key) in types {
            if let Some(pdu) = staging.state_pdu(&event_type.to_string(), &state_key).await? {
                this.auth_events.push(pdu.event_id.clone());
                this.events.push(pdu);
            }
        }
        if this.get(&StateEventType::RoomCreate, "").is_none() {
            this.events.extend(staging.state_pdu("m.room.create", "").await?);
        }
        Ok(this)
    }

    /// A state of a few events. A later one of the same type and key does not count.
    pub(super) fn from_events(events: Vec<Arc<Pdu>>) -> Self {
        Self { events, auth_events: Vec::new() }
    }

    /// The event of an id, of those here.
    pub(super) fn by_id(&self, event_id: &EventId) -> Option<Arc<Pdu>> {
        self.events.iter().find(|pdu| pdu.event_id == event_id).map(Arc::clone)
    }

    /// Those here, for the reference hashes of room versions 1 and 2.
    pub(super) fn events(&self) -> impl Iterator<Item = &Arc<Pdu>> {
        self.events.iter()
    }

    /// Whether the rules allow the event.
    ///
    /// # Errors
    /// [`Error::Forbidden`] with the reason: the event is that of the user who asks.
    pub(super) fn check(&self, pdu: &Pdu, version: &RoomVersionId) -> Result<()> {
        auth_rules::check(pdu, version, |event_id| self.by_id(event_id), self)
            .map_err(|Rejection(reason)| Error::Forbidden(reason))
    }
}

impl StateView for AuthState {
    fn get(&self, event_type: &StateEventType, state_key: &str) -> Option<Arc<Pdu>> {
        let event_type = TimelineEventType::from(event_type.clone());
        let is_it = |pdu: &&Arc<Pdu>| {
            pdu.event_type == event_type && pdu.state_key.as_deref() == Some(state_key)
        };
        self.events.iter().find(is_it).map(Arc::clone)
    }
}

/// What a client is told about an event that cannot be made.
pub(super) fn format_error(error: FormatError) -> Error {
    match error {
        FormatError::EventTooLarge(_)
        | FormatError::FieldTooLong(_)
        | FormatError::TooManyEvents(_) => Error::TooLarge(error.to_string()),
        FormatError::Json(_) | FormatError::Property(_) | FormatError::Content => {
            Error::BadJson(error.to_string())
        }
        FormatError::UnsupportedVersion(_) => Error::UnsupportedRoomVersion(error.to_string()),
        FormatError::Depth
        | FormatError::RoomId
        | FormatError::CreateInAuthEvents
        | FormatError::Version1Parts(_) => Error::Bug(error.to_string()),
    }
}
