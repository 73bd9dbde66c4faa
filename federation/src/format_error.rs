//! Why something is not an event.

use ruma::RoomVersionId;

use crate::canonical_json::CanonicalJsonError;

/// The largest event, in bytes of canonical JSON with signatures
/// (<https://spec.matrix.org/v1.19/client-server-api/#size-limits>).
pub const MAX_EVENT_BYTES: usize = 65_536;
/// The longest `sender`, `room_id`, `event_id`, `type` and `state_key`, in bytes.
pub const MAX_FIELD_BYTES: usize = 255;

/// Why a text is not an event of its room version, or an event cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The text is not JSON, holds a number that the room version does not allow, or is nested too
    /// deep.
    #[error(transparent)]
    Json(#[from] CanonicalJsonError),
    /// A property is missing or of the wrong type.
    #[error("missing or malformed property: {0}")]
    Property(String),
    /// `content` is not an object.
    #[error("`content` is not an object")]
    Content,
    /// The event is larger than [`MAX_EVENT_BYTES`] in canonical JSON.
    #[error("the event has {0} bytes, more than {MAX_EVENT_BYTES}")]
    EventTooLarge(usize),
    /// An identifier, the type or the state key is longer than [`MAX_FIELD_BYTES`].
    #[error("`{0}` is longer than {MAX_FIELD_BYTES} bytes")]
    FieldTooLong(&'static str),
    /// `prev_events` or `auth_events` names too many events.
    #[error("`{0}` names too many events")]
    TooManyEvents(&'static str),
    /// `depth` is beyond what the room version allows.
    #[error("`depth` is out of range")]
    Depth,
    /// `room_id` is missing, or is there in the create event of a version 12 room.
    #[error("`room_id` is missing or must not be there")]
    RoomId,
    /// `auth_events` names the create event in a version 12 room.
    #[error("`auth_events` must not name the create event")]
    CreateInAuthEvents,
    /// Room versions 1 and 2 need a local part for the event's identifier, and the reference
    /// hashes of the events it names.
    #[error("room version {0} needs a local part and reference hashes")]
    Version1Parts(RoomVersionId),
    /// The room version is not spoken.
    #[error("room version {0} is not supported")]
    UnsupportedVersion(RoomVersionId),
}

impl From<serde_json::Error> for FormatError {
    fn from(error: serde_json::Error) -> Self {
        Self::Property(error.to_string())
    }
}
