//! The authorization rules of room versions 1 to 12
//! (<https://spec.matrix.org/v1.19/server-server-api/#authorization-rules>), on top of
//! `ruma-state-res`, which leaves some of the oldest and the newest rules to its caller.

mod power_levels;
mod power_values;
mod redactions;
mod subject;
mod unstated;
mod user_levels;

use std::sync::Arc;

use ruma::{
    EventId, OwnedEventId, RoomVersionId, UserId,
    events::{StateEventType, TimelineEventType},
    room_version_rules::RoomVersionRules,
    state_res::{
        auth_types_for_event, check_state_dependent_auth_rules, check_state_independent_auth_rules,
        events::RoomCreateEvent,
    },
};
use serde_json::value::RawValue;

use self::subject::Subject;
pub use self::{
    power_levels::{PowerLevel, PowerLevels},
    redactions::may_redact,
};
use crate::{
    event_format::{FormatError, Pdu},
    room_version,
};

/// The state of a room at some point, as the rules look at it.
pub trait StateView {
    /// The state event of a type and a state key.
    fn get(&self, event_type: &StateEventType, state_key: &str) -> Option<Arc<Pdu>>;
}

impl<F> StateView for F
where
    F: Fn(&StateEventType, &str) -> Option<Arc<Pdu>>,
{
    fn get(&self, event_type: &StateEventType, state_key: &str) -> Option<Arc<Pdu>> {
        self(event_type, state_key)
    }
}

/// An event is not allowed. The reason is for the log and for tests: it may quote the event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not allowed by the authorization rules: {0}")]
pub struct Rejection(pub String);

impl From<FormatError> for Rejection {
    fn from(error: FormatError) -> Self {
        Self(error.to_string())
    }
}

/// The types and state keys of the state events that must be in `auth_events` of an event, as far
/// as the room has them
/// (<https://spec.matrix.org/v1.19/server-server-api/#auth-events-selection>).
///
/// # Errors
/// [`Rejection`] when the content is not what the type needs, such as a member event without
/// `membership`.
pub fn auth_types_for(
    event_type: &TimelineEventType,
    sender: &UserId,
    state_key: Option<&str>,
    content: &RawValue,
    version: &RoomVersionId,
) -> Result<Vec<(StateEventType, String)>, Rejection> {
    let rules = room_version::rules(version)?;
    auth_types_for_event(event_type, sender, state_key, content, &rules.authorization)
        .map_err(Rejection)
}

/// Checks an event against the rules that need no state: the create event, and what stands in
/// `auth_events`. Once per event, on receipt.
///
/// # Errors
/// [`Rejection`], also when an event of `auth_events` is not found.
pub fn check_auth_events(
    pdu: &Pdu,
    version: &RoomVersionId,
    fetch_event: impl Fn(&EventId) -> Option<Arc<Pdu>>,
) -> Result<(), Rejection> {
    let rules = room_version::rules(version)?;
    if pdu.is_create() {
        check_create(pdu, version)?;
    } else if rules.authorization.room_create_event_id_as_room_id {
        check_room_is_create_event(pdu, &fetch_event)?;
    }
    check_state_independent_auth_rules(&rules.authorization, pdu, fetch_event).map_err(Rejection)
}

/// Checks an event against the rules that depend on the state of its room: against the state its
/// `auth_events` make up, the state before it, and the current state (soft failure).
///
/// # Errors
/// [`Rejection`].
pub fn check_state(
    pdu: &Pdu,
    version: &RoomVersionId,
    state: &(impl StateView + ?Sized),
) -> Result<(), Rejection> {
    check_state_with(pdu, &room_version::rules(version)?, state)
}

pub(crate) fn check_state_with(
    pdu: &Pdu,
    rules: &RoomVersionRules,
    state: &(impl StateView + ?Sized),
) -> Result<(), Rejection> {
    let levels = match pdu.event_type {
        TimelineEventType::RoomPowerLevels => unstated::levels(pdu, rules, state),
        _ => None,
    };
    let rules = &rules.authorization;
    let is_levels = pdu.event_type == TimelineEventType::RoomPowerLevels;
    let concerned = (!is_levels).then(|| user_levels::concerned(pdu));
    let fetch = |event_type: &StateEventType, state_key: &str| {
        let found = state.get(event_type, state_key);
        match (event_type, found, &concerned) {
            (StateEventType::RoomPowerLevels, Some(event), Some(users)) => {
                Some(Subject::with_levels_of(event, users, rules))
            }
            (_, Some(event), _) => Some(Subject::new(event, rules)),
            (StateEventType::RoomJoinRules, None, _) => unstated::join_rules(pdu),
            _ => None,
        }
    };
    if rules.strict_canonical_json && levels.is_none() {
        return check_state_dependent_auth_rules(rules, pdu, fetch).map_err(Rejection);
    }
    let incoming = levels.unwrap_or_else(|| Subject::new(Arc::new(pdu.clone()), rules));
    check_state_dependent_auth_rules(rules, incoming, fetch).map_err(Rejection)
}

/// All rules for an event that is to follow `state`: [`check_auth_events`] and [`check_state`].
///
/// # Errors
/// [`Rejection`].
pub fn check(
    pdu: &Pdu,
    version: &RoomVersionId,
    fetch_event: impl Fn(&EventId) -> Option<Arc<Pdu>>,
    state: &(impl StateView + ?Sized),
) -> Result<(), Rejection> {
    check_auth_events(pdu, version, fetch_event)?;
    check_state(pdu, version, state)
}

/// `content.room_version`, when present, must be a recognized version: here, the room's.
fn check_create(pdu: &Pdu, version: &RoomVersionId) -> Result<(), Rejection> {
    let found = RoomCreateEvent::new(pdu).room_version().map_err(Rejection)?;
    if found != *version {
        return Err(Rejection(format!("a create event of version {found} in a room of {version}")));
    }
    Ok(())
}

/// Since version 12 the room's identifier must be that of an accepted create event.
fn check_room_is_create_event(
    pdu: &Pdu,
    fetch_event: impl Fn(&EventId) -> Option<Arc<Pdu>>,
) -> Result<(), Rejection> {
    let create = OwnedEventId::try_from(format!("${}", pdu.room().strip_sigil()))
        .ok()
        .and_then(|event_id| fetch_event(&event_id));
    match create {
        Some(create) if create.is_create() && !create.rejected => Ok(()),
        _ => Err(Rejection("the room's identifier is not that of a create event".to_owned())),
    }
}
