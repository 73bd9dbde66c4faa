//! State resolution of room version 1
//! (<https://spec.matrix.org/v1.19/rooms/v1/#state-resolution>).

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ruma::{EventId, OwnedEventId, events::StateEventType, room_version_rules::RoomVersionRules};
use sha1::{Digest as _, Sha1};

use super::{ResolveError, StateMap, split};
use crate::{auth_rules::check_state_with, event_format::Pdu};

type Key = (StateEventType, String);
/// The events in conflict for one key.
type Conflict = (Key, Vec<Arc<Pdu>>);

pub(super) fn resolve(
    rules: &RoomVersionRules,
    states: &[StateMap],
    fetch: impl Fn(&EventId) -> Option<Arc<Pdu>>,
) -> Result<StateMap, ResolveError> {
    let (agreed, conflicted) = split(states);
    let mut resolution = Resolution { rules, resolved: agreed, fetch };
    let mut rest = resolution.load(conflicted)?;
    for event_type in
        [StateEventType::RoomPowerLevels, StateEventType::RoomJoinRules, StateEventType::RoomMember]
    {
        let (now, later): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|((found, _), _)| *found == event_type);
        rest = later;
        // The conflicts of one type are resolved against the same state, so that their order does
        // not matter.
        let winners: Vec<(Key, OwnedEventId)> = now
            .into_iter()
            .filter_map(|(key, events)| Some((key.clone(), resolution.auth_winner(&key, events)?)))
            .collect();
        resolution.resolved.extend(winners);
    }
    let winners: Vec<(Key, OwnedEventId)> = rest
        .into_iter()
        .filter_map(|(key, events)| Some((key, resolution.other_winner(&events)?)))
        .collect();
    resolution.resolved.extend(winners);
    Ok(resolution.resolved)
}

struct Resolution<'a, F> {
    rules: &'a RoomVersionRules,
    resolved: StateMap,
    fetch: F,
}

impl<F: Fn(&EventId) -> Option<Arc<Pdu>>> Resolution<'_, F> {
    /// The conflicting events of each key by descending depth, then ascending SHA-1 of the
    /// identifier.
    fn load(
        &self,
        conflicted: HashMap<Key, HashSet<OwnedEventId>>,
    ) -> Result<Vec<Conflict>, ResolveError> {
        let mut loaded = Vec::with_capacity(conflicted.len());
        for (key, ids) in conflicted {
            let mut events: Vec<Arc<Pdu>> = ids
                .iter()
                .map(|id| {
                    (self.fetch)(id).ok_or_else(|| ResolveError::Event(format!("{id} not found")))
                })
                .collect::<Result<_, _>>()?;
            events.sort_by_cached_key(|pdu| {
                (Reverse(pdu.depth), Sha1::digest(pdu.event_id.as_bytes()).to_vec())
            });
            loaded.push((key, events));
        }
        Ok(loaded)
    }

    /// Whether `pdu` is allowed in the state resolved so far, in which `key` has the value
    /// `instead`, if given.
    fn allowed(&self, pdu: &Pdu, instead: Option<(&Key, &Arc<Pdu>)>) -> bool {
        let view = |event_type: &StateEventType, state_key: &str| {
            let key = (event_type.clone(), state_key.to_owned());
            match instead {
                Some((replaced, event)) if *replaced == key => Some(Arc::clone(event)),
                _ => self.resolved.get(&key).and_then(|id| (self.fetch)(id)),
            }
        };
        check_state_with(pdu, self.rules, &view).is_ok()
    }

    /// Of events that affect authorization: from the lowest depth up, as long as each is allowed
    /// after the one before.
    fn auth_winner(&self, key: &Key, events: Vec<Arc<Pdu>>) -> Option<OwnedEventId> {
        let mut ascending = events.into_iter().rev();
        let mut winner = ascending.next()?;
        for event in ascending {
            if !self.allowed(&event, Some((key, &winner))) {
                break;
            }
            winner = event;
        }
        Some(winner.event_id.clone())
    }

    /// Of other events: the deepest that is allowed. When none is, the one of the least depth, as
    /// servers have always done where the specification names none.
    fn other_winner(&self, events: &[Arc<Pdu>]) -> Option<OwnedEventId> {
        events
            .iter()
            .find(|event| self.allowed(event, None))
            .or(events.last())
            .map(|event| event.event_id.clone())
    }
}
