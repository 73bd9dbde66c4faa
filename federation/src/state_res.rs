//! State resolution: which state a room has where its history forks
//! (<https://spec.matrix.org/v1.19/server-server-api/#room-state-resolution>): versions 1, 2 and 2.1.
//!
//! `tests/interop/stateres_suite.py` compares all of them with another implementation.

mod order;
mod subgraph;
mod v1;
mod v2;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ruma::{
    EventId, OwnedEventId, RoomVersionId, events::StateEventType,
    room_version_rules::StateResolutionVersion, state_res,
};

use crate::{
    event_format::{FormatError, Pdu},
    room_version,
};

/// The identifiers of state events by type and state key.
pub type StateMap = state_res::StateMap<OwnedEventId>;

/// The state could not be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The room version is not spoken.
    #[error(transparent)]
    Version(#[from] FormatError),
    /// An event that is needed was not found, or is no state event.
    #[error("state resolution failed: {0}")]
    Event(String),
}

/// Resolves the states of a room after the events of a fork into one. The order of `states` does
/// not matter.
///
/// `auth_chains` holds for each state, in the same order, the full auth chain of its events, see
/// [`auth_chain`]; it is not looked at for room version 1. `fetch` must find every event of the states and chains:
/// events of the states that it does not find are left out of the conflicts.
///
/// # Errors
/// See [`ResolveError`].
pub fn resolve(
    version: &RoomVersionId,
    states: &[StateMap],
    auth_chains: Vec<HashSet<OwnedEventId>>,
    fetch: impl Fn(&EventId) -> Option<Arc<Pdu>>,
) -> Result<StateMap, ResolveError> {
    let rules = room_version::rules(version)?;
    match rules.state_res {
        StateResolutionVersion::V2(resolution) => {
            let room = v2::Room { version, rules: &rules, resolution };
            Ok(v2::resolve(&room, states, auth_chains, fetch))
        }
        _ => v1::resolve(&rules, states, fetch),
    }
}

/// The full auth chain of some events: their auth events, the auth events of those, and so on. The
/// events themselves are in it only where others name them.
///
/// # Errors
/// [`ResolveError::Event`] when an event is not found.
pub fn auth_chain<'a>(
    events: impl IntoIterator<Item = &'a EventId>,
    fetch: impl Fn(&EventId) -> Option<Arc<Pdu>>,
) -> Result<HashSet<OwnedEventId>, ResolveError> {
    let found = |event_id: &EventId| {
        fetch(event_id).ok_or_else(|| ResolveError::Event(format!("{event_id} not found")))
    };
    let mut chain = HashSet::new();
    let mut waiting: Vec<Arc<Pdu>> = events.into_iter().map(found).collect::<Result<_, _>>()?;
    while let Some(pdu) = waiting.pop() {
        for auth_event in &pdu.auth_events {
            if chain.insert(auth_event.clone()) {
                waiting.push(found(auth_event)?);
            }
        }
    }
    Ok(chain)
}

/// The keys that all states agree on or only one value is known for, and the values of the others.
type Split = (StateMap, HashMap<(StateEventType, String), HashSet<OwnedEventId>>);

/// Splits states for version 1: a key conflicts when states have different events for it, not when
/// some states lack it.
fn split(states: &[StateMap]) -> Split {
    let mut values: HashMap<_, HashSet<OwnedEventId>> = HashMap::new();
    for (key, event_id) in states.iter().flatten() {
        values.entry(key.clone()).or_default().insert(event_id.clone());
    }
    let mut agreed = StateMap::new();
    values.retain(|key, ids| match ids.iter().next() {
        Some(only) if ids.len() == 1 => {
            agreed.insert(key.clone(), only.clone());
            false
        }
        _ => true,
    });
    (agreed, values)
}
