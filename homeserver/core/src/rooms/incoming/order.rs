//! Events in an order in which each comes after those that it names.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use pli_federation::event_format::Pdu;
use ruma::{EventId, OwnedEventId};

/// What counts of an event that names one which is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// The event is left out.
    LeaveOut,
    /// The one that is not there does not matter.
    PassOver,
}

/// Events, each once and after those of them that it names; of those that may come next the create event
/// comes first, then the one of the smallest depth. Events that name each other in a circle are left out.
/// The cost is that of the events and what they name.
pub(crate) fn in_order<'a>(
    events: impl IntoIterator<Item = &'a Arc<Pdu>>,
    names: impl Fn(&'a Pdu) -> &'a [OwnedEventId],
    absent: Absent,
) -> Vec<Arc<Pdu>> {
    let by_id: HashMap<&EventId, &'a Arc<Pdu>> =
        events.into_iter().map(|pdu| (&*pdu.event_id, pdu)).collect();
    let mut open: HashMap<&EventId, usize> = HashMap::new();
    let mut named_by: HashMap<&EventId, Vec<&'a Arc<Pdu>>> = HashMap::new();
    let mut ready = Vec::new();
    for (event_id, pdu) in &by_id {
        let named: BTreeSet<&EventId> = names(pdu).iter().map(|id| &**id).collect();
        let there = named.iter().filter(|id| by_id.contains_key(**id)).count();
        if there < named.len() && absent == Absent::LeaveOut {
            continue;
        }
        if there == 0 {
            ready.push(*pdu);
        } else {
            open.insert(event_id, there);
        }
        for id in named {
            named_by.entry(id).or_default().push(pdu);
        }
    }
    let rank = |pdu: &Arc<Pdu>| (!pdu.is_create(), pdu.depth, pdu.event_id.clone());
    ready.sort_by_cached_key(|pdu| rank(pdu));
    let mut ready: VecDeque<&Arc<Pdu>> = ready.into();
    let mut order = Vec::with_capacity(by_id.len());
    while let Some(pdu) = ready.pop_front() {
        order.push(Arc::clone(pdu));
        let mut next = Vec::new();
        for follower in named_by.remove(&*pdu.event_id).unwrap_or_default() {
            if let Some(left) = open.get_mut(&*follower.event_id) {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    next.push(follower);
                }
            }
        }
        next.sort_by_cached_key(|pdu| rank(pdu));
        ready.extend(next);
    }
    order
}
