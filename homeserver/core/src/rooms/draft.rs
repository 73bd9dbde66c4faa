//! An event as someone wants it, before the server makes it.

use pli_schema::{Position, records::rooms::Membership};
use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedDeviceId, OwnedEventId, OwnedTransactionId, OwnedUserId,
    events::TimelineEventType,
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{Error, Result};

/// An event as a local user wants it. The server adds place, authorization, hashes and signature.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Who sends it.
    pub sender: OwnedUserId,
    /// The type.
    pub event_type: TimelineEventType,
    /// The state key, of state events.
    pub state_key: Option<String>,
    /// `content`, a JSON object.
    pub content: Box<RawValue>,
    /// The event to redact, of `m.room.redaction`.
    pub redacts: Option<OwnedEventId>,
    /// When it happened, where an application service may say so; else now.
    pub origin_server_ts: Option<MilliSecondsSinceUnixEpoch>,
    /// For how long the event sticks, in milliseconds (MSC4354).
    pub sticky_duration_ms: Option<u32>,
    /// What must hold of the membership that an `m.room.member` event is to replace.
    pub(super) expects: Expects,
}

/// What must hold of the membership that is to be replaced. Checked together with the write, so that
/// two moderators who act at the same time do not undo each other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Expects {
    /// Nothing.
    #[default]
    Anything,
    /// If the target has this membership already, its event is the answer and no new one is made.
    Not(Membership),
    /// The target must have one of these, else the action is refused with the error.
    OneOf(&'static [Membership], fn() -> Error),
}

impl Draft {
    /// An event that is not state.
    ///
    /// # Errors
    /// [`Error::BadJson`] if the content is not an object.
    pub fn message(
        sender: OwnedUserId,
        event_type: TimelineEventType,
        content: Box<RawValue>,
    ) -> Result<Self> {
        if !content.get().trim_start().starts_with('{') {
            return Err(Error::bad_json("`content` must be an object"));
        }
        Ok(Self {
            sender,
            event_type,
            state_key: None,
            content,
            redacts: None,
            origin_server_ts: None,
            sticky_duration_ms: None,
            expects: Expects::Anything,
        })
    }

    /// A state event.
    ///
    /// # Errors
    /// [`Error::BadJson`] if the content is not an object.
    pub fn state(
        sender: OwnedUserId,
        event_type: impl Into<TimelineEventType>,
        state_key: impl Into<String>,
        content: Box<RawValue>,
    ) -> Result<Self> {
        let mut draft = Self::message(sender, event_type.into(), content)?;
        draft.state_key = Some(state_key.into());
        Ok(draft)
    }

    /// A state event with a content that is serialized here.
    ///
    /// # Errors
    /// [`Error::Bug`] if the content cannot be serialized.
    pub(super) fn state_of(
        sender: OwnedUserId,
        event_type: impl Into<TimelineEventType>,
        state_key: impl Into<String>,
        content: &impl Serialize,
    ) -> Result<Self> {
        Self::state(sender, event_type, state_key, raw(content)?)
    }

    /// The same with an expectation.
    pub(super) const fn expecting(mut self, expects: Expects) -> Self {
        self.expects = expects;
        self
    }
}

/// The membership that an `m.room.member` event would set.
pub(super) fn membership_wished(draft: &Draft) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Content {
        membership: String,
    }
    if draft.event_type != TimelineEventType::RoomMember {
        return None;
    }
    serde_json::from_str(draft.content.get()).ok().map(|content: Content| content.membership)
}

/// A value as JSON text.
pub(super) fn raw(value: &impl Serialize) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(value).map_err(|error| Error::bug(error.to_string()))
}

/// The request of a client's device behind an event, so that the same request makes it only once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The device.
    pub device_id: OwnedDeviceId,
    /// The transaction id.
    pub transaction_id: OwnedTransactionId,
    /// The endpoint within the room: transaction ids of different endpoints are different. The room is
    /// added where the event is appended.
    pub endpoint: String,
}

/// What became of a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The event.
    pub event_id: OwnedEventId,
    /// The commit; the current position if nothing had to be written.
    pub position: Position,
    /// The event was there already: same transaction id, or a state event that changes nothing.
    pub existed: bool,
}
