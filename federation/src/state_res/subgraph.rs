//! The conflicted state subgraph of state resolution 2.1
//! (<https://spec.matrix.org/v1.19/rooms/v12/#state-resolution>).

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ruma::{EventId, OwnedEventId};

use crate::event_format::Pdu;

/// The events on any path of `auth_events` from one event of `conflicted` to another, with the
/// events of `conflicted` themselves. Events that `fetch` does not find end a path.
pub(super) fn between(
    conflicted: &HashSet<OwnedEventId>,
    fetch: impl Fn(&EventId) -> Option<Arc<Pdu>>,
) -> HashSet<OwnedEventId> {
    // All that lies behind the conflicted events, and who names whom there.
    let mut named_by: HashMap<OwnedEventId, Vec<OwnedEventId>> = HashMap::new();
    let mut seen: HashSet<OwnedEventId> = conflicted.clone();
    let mut waiting: Vec<OwnedEventId> = conflicted.iter().cloned().collect();
    while let Some(event_id) = waiting.pop() {
        let Some(pdu) = fetch(&event_id) else {
            continue;
        };
        for auth_event in &pdu.auth_events {
            named_by.entry(auth_event.clone()).or_default().push(event_id.clone());
            if seen.insert(auth_event.clone()) {
                waiting.push(auth_event.clone());
            }
        }
    }
    // Of those, all that have a conflicted event behind them: walk forward from each.
    let mut between: HashSet<OwnedEventId> = conflicted.clone();
    waiting.extend(conflicted.iter().cloned());
    while let Some(event_id) = waiting.pop() {
        for namer in named_by.get(&event_id).into_iter().flatten() {
            if between.insert(namer.clone()) {
                waiting.push(namer.clone());
            }
        }
    }
    between
}
