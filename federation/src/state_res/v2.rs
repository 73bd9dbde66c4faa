//! State resolution 2 (<https://spec.matrix.org/v1.19/rooms/v2/#state-resolution>) and 2.1
//! (<https://spec.matrix.org/v1.19/rooms/v12/#state-resolution>).

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ruma::{
    EventId, OwnedEventId, RoomVersionId,
    events::{StateEventType, TimelineEventType},
    room_version_rules::{RoomVersionRules, StateResolutionV2Rules},
};

use super::{StateMap, order::Order, subgraph};
use crate::{auth_rules::check_state_with, event_format::Pdu};

/// The room version, its rules, those of its state resolution.
pub(super) struct Room<'a> {
    pub version: &'a RoomVersionId,
    pub rules: &'a RoomVersionRules,
    pub resolution: StateResolutionV2Rules,
}

pub(super) fn resolve(
    room: &Room<'_>,
    states: &[StateMap],
    auth_chains: Vec<HashSet<OwnedEventId>>,
    fetch: impl Fn(&EventId) -> Option<Arc<Pdu>>,
) -> StateMap {
    let (agreed, conflicted) = split(states);
    if conflicted.is_empty() {
        return agreed;
    }
    let between = match room.resolution.consider_conflicted_state_subgraph {
        true => subgraph::between(&conflicted, &fetch),
        false => HashSet::new(),
    };
    let difference = auth_difference(states, auth_chains);
    let ids: HashSet<OwnedEventId> =
        conflicted.into_iter().chain(difference).chain(between).collect();
    let full: HashMap<OwnedEventId, Arc<Pdu>> =
        ids.into_iter().filter_map(|id| fetch(&id).map(|pdu| (id, pdu))).collect();

    let mut order = Order::new(room.version, &fetch, &full);
    let power_events = order.power_events();
    let mut resolved = match room.resolution.begin_iterative_auth_checks_with_empty_state_map {
        true => StateMap::new(),
        false => agreed.clone(),
    };
    apply(room, &power_events, &mut resolved, &fetch);
    let sorted: HashSet<&EventId> = power_events.iter().map(|pdu| &*pdu.event_id).collect();
    let rest = full.values().filter(|pdu| !sorted.contains(&*pdu.event_id)).cloned().collect();
    let power_levels = resolved.get(&(StateEventType::RoomPowerLevels, String::new())).cloned();
    let rest = order.by_mainline(rest, power_levels.as_deref());
    apply(room, &rest, &mut resolved, &fetch);
    resolved.extend(agreed);
    resolved
}

/// The pairs that all states have, and the events of the others.
fn split(states: &[StateMap]) -> (StateMap, HashSet<OwnedEventId>) {
    let mut agreed = states.first().cloned().unwrap_or_default();
    for state in states {
        agreed.retain(|key, event_id| state.get(key) == Some(event_id));
    }
    let differs = |(key, _): &(&(StateEventType, String), _)| !agreed.contains_key(*key);
    let conflicted =
        states.iter().flatten().filter(differs).map(|(_, event_id)| event_id.clone()).collect();
    (agreed, conflicted)
}

/// The events that are not in all auth chains.
///
/// By the letter of the specification an event is not in its own auth chain. Servers count it, and
/// have to agree: else an event of all states that only one chain names would be in the difference.
fn auth_difference(
    states: &[StateMap],
    chains: Vec<HashSet<OwnedEventId>>,
) -> impl Iterator<Item = OwnedEventId> {
    let count = chains.len();
    let mut found: HashMap<OwnedEventId, usize> = HashMap::new();
    for (mut chain, state) in chains.into_iter().zip(states) {
        chain.extend(state.values().cloned());
        for event_id in chain {
            *found.entry(event_id).or_default() += 1;
        }
    }
    found.into_iter().filter(move |(_, times)| *times < count).map(|(event_id, _)| event_id)
}

/// The iterative auth checks: `state` with each event that is allowed there.
fn apply(
    room: &Room<'_>,
    events: &[Arc<Pdu>],
    state: &mut StateMap,
    fetch: &impl Fn(&EventId) -> Option<Arc<Pdu>>,
) {
    for pdu in events {
        let Some(state_key) = &pdu.state_key else {
            continue;
        };
        let view = |event_type: &StateEventType, state_key: &str| {
            let key = (event_type.clone(), state_key.to_owned());
            let here = state.get(&key).and_then(|id| fetch(id)).filter(|event| !event.rejected);
            here.or_else(|| auth_event(pdu, event_type, state_key, fetch))
        };
        if check_state_with(pdu, room.rules, &view).is_ok() {
            let event_type = StateEventType::from(pdu.event_type.to_string());
            state.insert((event_type, state_key.clone()), pdu.event_id.clone());
        }
    }
}

/// The event of a type and a state key that `pdu` names among its auth events, unless it was
/// rejected. Since version 12 the create event is named by the room's identifier.
pub(super) fn auth_event(
    pdu: &Pdu,
    event_type: &StateEventType,
    state_key: &str,
    fetch: &impl Fn(&EventId) -> Option<Arc<Pdu>>,
) -> Option<Arc<Pdu>> {
    let event_type = TimelineEventType::from(event_type.to_string());
    let fits = |event: &Arc<Pdu>| {
        event.event_type == event_type
            && event.state_key.as_deref() == Some(state_key)
            && !event.rejected
    };
    let named = pdu.auth_events.iter().filter_map(|id| fetch(id)).find(fits);
    if named.is_some() || event_type != TimelineEventType::RoomCreate || pdu.is_create() {
        return named;
    }
    let create = EventId::parse(format!("${}", pdu.room().strip_sigil())).ok()?;
    fetch(&create).filter(fits)
}
