//! What authorizes what among the state events of a room: auth chains over numbers.

use std::collections::{BinaryHeap, HashMap, HashSet};

use pli_federation::event_format::Pdu;
use pli_schema::{
    EventNumber,
    records::{
        federation::{EventAuthKey, EventAuthRecord, OutlierByIdKey},
        rooms::EventByIdKey,
    },
};
use ruma::EventId;

use super::Staging;
use crate::{Error, Result};

/// States that are resolved at once at most: as many as bits of a mask.
pub(super) const STATES_MAX: usize = 64;

/// A bit per state in whose auth chain an event is.
type Mask = u64;

/// Events to go through, the highest rank first: when one comes, everything that it authorizes was there.
#[derive(Default)]
struct Walk {
    queue: BinaryHeap<(u32, EventNumber)>,
    masks: HashMap<EventNumber, Mask>,
    /// Events in the queue that are not in every chain.
    partial: usize,
    full: Mask,
}

impl Walk {
    fn reach(&mut self, event: EventNumber, rank: u32, by: Mask) {
        let full = self.full;
        match self.masks.get_mut(&event) {
            Some(mask) => {
                let was_partial = *mask != full;
                *mask |= by;
                if was_partial && *mask == full {
                    self.partial = self.partial.saturating_sub(1);
                }
            }
            None => {
                self.masks.insert(event, by);
                self.queue.push((rank, event));
                self.partial = self.partial.saturating_add(usize::from(by != full));
            }
        }
    }
}

impl Staging<'_> {
    /// The number of an event that is known in any way, also one without a place in the timeline.
    pub(super) async fn number_of(&self, event_id: &EventId) -> Result<Option<EventNumber>> {
        let key = EventByIdKey { event_id: event_id.to_owned() };
        if let Some(pointer) = self.tx.get(&key).await? {
            return Ok(Some(pointer.event));
        }
        Ok(self.tx.get(&OutlierByIdKey { event_id: event_id.to_owned() }).await?)
    }

    /// Writes down what authorizes a state event. Its auth events must be known.
    pub(super) async fn put_auth(&mut self, number: EventNumber, pdu: &Pdu) -> Result<()> {
        if pdu.state_key.is_none() {
            return Ok(());
        }
        let mut record = EventAuthRecord::default();
        for event_id in &pdu.auth_events {
            let event = self.number_of(event_id).await?;
            let event = event.ok_or_else(|| Error::bug("an auth event is not known"))?;
            let rank = self.auth_of(event).await?.rank.saturating_add(1);
            record.rank = record.rank.max(rank);
            record.auth_events.push(event);
        }
        self.tx.put(&EventAuthKey { event: number }, &record)?;
        self.auth.insert(number, record);
        Ok(())
    }

    /// What authorizes a state event. It never changes, so it is no part of what the commit depends on.
    pub(super) async fn auth_of(&self, event: EventNumber) -> Result<EventAuthRecord> {
        if let Some(record) = self.auth.get(&event) {
            return Ok(record.clone());
        }
        let record = self.rooms.store().get(&EventAuthKey { event }).await?;
        record.ok_or_else(|| Error::bug(format!("event {} is not in the auth graph", event.0)))
    }

    /// For each of several states (given as the events that only some of them have), the events of its
    /// auth chain that are not in the chains of all. `shared` are the events that all states have. An
    /// event counts as part of its own auth chain, as [`pli_federation::state_res::resolve`] has it.
    ///
    /// The cost is that of the events that differ and of those just below them, not of the chains.
    pub(super) async fn auth_differences(
        &self,
        states: &[Vec<EventNumber>],
        shared: &[EventNumber],
    ) -> Result<Vec<HashSet<EventNumber>>> {
        let full = Mask::MAX >> (Mask::BITS as usize).saturating_sub(states.len());
        let mut walk = Walk { full, ..Walk::default() };
        let bits = states.iter().enumerate().map(|(i, events)| (1 << i, events.as_slice()));
        for (mask, events) in bits.chain([(full, shared)]) {
            for event in events {
                let rank = self.auth_of(*event).await?.rank;
                walk.reach(*event, rank, mask);
            }
        }
        let mut differences = vec![HashSet::new(); states.len()];
        while walk.partial > 0 {
            let Some((_, event)) = walk.queue.pop() else { break };
            let mask = walk.masks.get(&event).copied().unwrap_or_default();
            if mask != full {
                walk.partial = walk.partial.saturating_sub(1);
                let reached = differences.iter_mut().enumerate();
                for (_, difference) in reached.filter(|(i, _)| mask & (1 << i) != 0) {
                    difference.insert(event);
                }
            }
            self.reach_auth_events(&mut walk, event, mask).await?;
        }
        Ok(differences)
    }

    async fn reach_auth_events(
        &self,
        walk: &mut Walk,
        event: EventNumber,
        mask: Mask,
    ) -> Result<()> {
        for auth_event in self.auth_of(event).await?.auth_events {
            let rank = self.auth_of(auth_event).await?.rank;
            walk.reach(auth_event, rank, mask);
        }
        Ok(())
    }

    /// The events and everything in their auth chains.
    pub(super) async fn with_auth_chains(
        &self,
        events: impl IntoIterator<Item = EventNumber>,
    ) -> Result<HashSet<EventNumber>> {
        let mut waiting: Vec<EventNumber> = events.into_iter().collect();
        let mut chain: HashSet<EventNumber> = waiting.iter().copied().collect();
        while let Some(event) = waiting.pop() {
            for auth_event in self.auth_of(event).await?.auth_events {
                if chain.insert(auth_event) {
                    waiting.push(auth_event);
                }
            }
        }
        Ok(chain)
    }
}
