//! The two orders of state resolution 2: the reverse topological power ordering and the mainline
//! ordering (<https://spec.matrix.org/v1.19/rooms/v2/#definitions>).

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::Arc,
};

use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, RoomVersionId,
    events::{StateEventType, TimelineEventType},
};
use serde::Deserialize;

use super::v2::auth_event;
use crate::{
    auth_rules::{PowerLevel, PowerLevels},
    event_format::Pdu,
};

/// Greater levels first, then earlier events, then smaller identifiers.
type Rank = (Reverse<PowerLevel>, MilliSecondsSinceUnixEpoch, OwnedEventId);

/// Orders events of a full conflicted set.
pub(super) struct Order<'a, F> {
    version: &'a RoomVersionId,
    fetch: &'a F,
    full: &'a HashMap<OwnedEventId, Arc<Pdu>>,
    /// Power levels by the event that they are of; `None` are those without an event.
    levels: HashMap<Option<OwnedEventId>, Option<PowerLevels>>,
    /// How far up the mainline a power levels event is: 1 is the oldest, 0 is not based on it.
    positions: HashMap<OwnedEventId, usize>,
}

impl<'a, F: Fn(&EventId) -> Option<Arc<Pdu>>> Order<'a, F> {
    pub(super) fn new(
        version: &'a RoomVersionId,
        fetch: &'a F,
        full: &'a HashMap<OwnedEventId, Arc<Pdu>>,
    ) -> Self {
        Self { version, fetch, full, levels: HashMap::new(), positions: HashMap::new() }
    }

    /// The power events and what of their auth chains is in the full conflicted set, in reverse
    /// topological power ordering.
    pub(super) fn power_events(&mut self) -> Vec<Arc<Pdu>> {
        let full = self.full;
        // For each event how many of its auth events are still to come, and who waits for it.
        let mut missing: HashMap<&EventId, usize> = HashMap::new();
        let mut waiting_for: HashMap<&EventId, Vec<&EventId>> = HashMap::new();
        let mut found: Vec<&Arc<Pdu>> = full.values().filter(|pdu| is_power_event(pdu)).collect();
        while let Some(pdu) = found.pop() {
            if missing.contains_key(&*pdu.event_id) {
                continue;
            }
            let before: Vec<_> =
                pdu.auth_events.iter().filter_map(|id| full.get_key_value(id)).collect();
            missing.insert(&pdu.event_id, before.len());
            for (event_id, event) in before {
                waiting_for.entry(event_id).or_default().push(&pdu.event_id);
                found.push(event);
            }
        }
        let mut ready: BinaryHeap<Reverse<Rank>> = missing
            .iter()
            .filter(|(_, missing)| **missing == 0)
            .filter_map(|(id, _)| full.get(*id))
            .map(|pdu| Reverse(self.rank(pdu)))
            .collect();
        let mut sorted = Vec::with_capacity(missing.len());
        while let Some(Reverse((_, _, event_id))) = ready.pop() {
            let Some(pdu) = full.get(&event_id) else {
                continue;
            };
            for next in waiting_for.get(&*event_id).into_iter().flatten() {
                let Some(missing) = missing.get_mut(*next) else {
                    continue;
                };
                *missing = missing.saturating_sub(1);
                if *missing == 0
                    && let Some(next) = full.get(*next)
                {
                    ready.push(Reverse(self.rank(next)));
                }
            }
            sorted.push(Arc::clone(pdu));
        }
        sorted
    }

    fn rank(&mut self, pdu: &Pdu) -> Rank {
        (Reverse(self.sender_level(pdu)), pdu.origin_server_ts, pdu.event_id.clone())
    }

    /// The power level of the sender by the auth events; 0 where they say nothing.
    fn sender_level(&mut self, pdu: &Pdu) -> PowerLevel {
        let view = |event_type: &StateEventType, state_key: &str| {
            auth_event(pdu, event_type, state_key, self.fetch)
        };
        let event = view(&StateEventType::RoomPowerLevels, "").map(|event| event.event_id.clone());
        let levels =
            self.levels.entry(event).or_insert_with(|| PowerLevels::of(self.version, &view).ok());
        let level = levels.as_ref().and_then(|levels| levels.of_user(&pdu.sender).ok());
        level.unwrap_or(PowerLevel::Int(0))
    }

    /// Events in mainline ordering based on a power levels event.
    pub(super) fn by_mainline(
        &mut self,
        mut events: Vec<Arc<Pdu>>,
        power_levels: Option<&EventId>,
    ) -> Vec<Arc<Pdu>> {
        let mut mainline = Vec::new();
        let mut next = power_levels.and_then(self.fetch);
        while let Some(pdu) = next {
            mainline.push(pdu.event_id.clone());
            next = self.power_levels_of(&pdu);
        }
        self.positions = mainline.into_iter().rev().zip(1..).collect();
        events.sort_by_cached_key(|pdu| {
            (self.position(pdu), pdu.origin_server_ts, pdu.event_id.clone())
        });
        events
    }

    /// The first event of the mainline that one comes to by way of power levels events, from the
    /// event itself on.
    fn position(&mut self, pdu: &Arc<Pdu>) -> usize {
        let mut passed = Vec::new();
        let mut next = Some(Arc::clone(pdu));
        let mut position = 0;
        while let Some(pdu) = next {
            if let Some(known) = self.positions.get(&pdu.event_id) {
                position = *known;
                break;
            }
            next = self.power_levels_of(&pdu);
            passed.push(pdu.event_id.clone());
        }
        self.positions.extend(passed.into_iter().map(|event_id| (event_id, position)));
        position
    }

    fn power_levels_of(&self, pdu: &Pdu) -> Option<Arc<Pdu>> {
        auth_event(pdu, &StateEventType::RoomPowerLevels, "", self.fetch)
    }
}

/// Whether an event is one that may take somebody's power.
fn is_power_event(pdu: &Pdu) -> bool {
    #[derive(Deserialize)]
    struct Member {
        membership: String,
    }
    match pdu.event_type {
        TimelineEventType::RoomPowerLevels
        | TimelineEventType::RoomJoinRules
        | TimelineEventType::RoomCreate => pdu.state_key.as_deref() == Some(""),
        TimelineEventType::RoomMember => {
            let member: Result<Member, _> = serde_json::from_str(pdu.content.get());
            pdu.state_key.as_deref() != Some(pdu.sender.as_str())
                && member.is_ok_and(|member| matches!(&*member.membership, "leave" | "ban"))
        }
        _ => false,
    }
}
