//! The limits of events (<https://spec.matrix.org/v1.19/client-server-api/#size-limits>).

use ruma::{RoomVersionId, room_version_rules::RoomVersionRules};

use super::{FormatError, MAX_EVENT_BYTES, MAX_FIELD_BYTES, Pdu};
use crate::room_version;

/// The most events in `prev_events`.
pub const MAX_PREV_EVENTS: usize = 20;
/// The most events in `auth_events`.
pub const MAX_AUTH_EVENTS: usize = 10;

/// The depth of an event that follows others: one more than the deepest, but never beyond what the
/// room version allows, so that a server that sends the greatest depth cannot close the room.
///
/// # Errors
/// [`FormatError::UnsupportedVersion`].
pub fn next_depth(
    previous: impl IntoIterator<Item = u64>,
    version: &RoomVersionId,
) -> Result<u64, FormatError> {
    let max = room_version::max_depth(&room_version::rules(version)?);
    Ok(previous.into_iter().max().unwrap_or(0).saturating_add(1).min(max))
}

/// Texts above this are refused before anything is done with them: the canonical form is shorter than
/// what was sent only by whitespace and escapes.
const MAX_TEXT_BYTES: usize = 8 * MAX_EVENT_BYTES;

/// Refuses a text that cannot become an event of an allowed size with sensible spacing.
pub(super) fn check_text(json: &str) -> Result<(), FormatError> {
    if json.len() > MAX_TEXT_BYTES {
        return Err(FormatError::EventTooLarge(json.len()));
    }
    Ok(())
}

/// Checks the sizes and the shape of an event that is new here.
pub(super) fn check(pdu: &Pdu, rules: &RoomVersionRules) -> Result<(), FormatError> {
    if pdu.json.len() > MAX_EVENT_BYTES {
        return Err(FormatError::EventTooLarge(pdu.json.len()));
    }
    let room_id = pdu.room_id.as_ref().map_or("", |room_id| room_id.as_str());
    let event_type = pdu.event_type.to_string();
    let fields = [
        ("sender", pdu.sender.as_str()),
        ("room_id", room_id),
        ("event_id", pdu.event_id.as_str()),
        ("type", &event_type),
        ("state_key", pdu.state_key.as_deref().unwrap_or_default()),
    ];
    if let Some((name, _)) = fields.iter().find(|(_, value)| value.len() > MAX_FIELD_BYTES) {
        return Err(FormatError::FieldTooLong(name));
    }
    if pdu.prev_events.len() > MAX_PREV_EVENTS {
        return Err(FormatError::TooManyEvents("prev_events"));
    }
    if pdu.auth_events.len() > MAX_AUTH_EVENTS {
        return Err(FormatError::TooManyEvents("auth_events"));
    }
    if pdu.depth > room_version::max_depth(rules) {
        return Err(FormatError::Depth);
    }
    check_room_id(pdu, rules)
}

fn check_room_id(pdu: &Pdu, rules: &RoomVersionRules) -> Result<(), FormatError> {
    if pdu.room_id.is_some() != (rules.event_format.require_room_create_room_id || !pdu.is_create())
    {
        return Err(FormatError::RoomId);
    }
    let create = pdu.room().strip_sigil();
    let names_create = |id: &ruma::OwnedEventId| id.as_str().strip_prefix('$') == Some(create);
    if !rules.event_format.allow_room_create_in_auth_events
        && pdu.auth_events.iter().any(names_create)
    {
        return Err(FormatError::CreateInAuthEvents);
    }
    Ok(())
}
