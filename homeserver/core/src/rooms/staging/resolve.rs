//! The one state that follows from several, where a room's history forks.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use pli_federation::{
    auth_rules::{Rejection, auth_types_for},
    event_format::Pdu,
    state_res::{self, StateMap},
};
use pli_schema::{EventNumber, StateKeyNumber, StateRoot};
use ruma::{OwnedEventId, events::StateEventType};

use super::{Staging, graph::STATES_MAX};
use crate::{Error, Result};

/// What a resolution looks at: only what differs between the states, and what decides about it.
struct Dispute {
    /// The keys for which the states differ.
    keys: Vec<StateKeyNumber>,
    /// For each state, its events for these keys.
    values: Vec<Vec<Option<EventNumber>>>,
    /// For each state, what of its auth chain is not in all chains.
    differences: Vec<HashSet<EventNumber>>,
}

/// Events by id, with their numbers.
type Events = HashMap<OwnedEventId, (EventNumber, Arc<Pdu>)>;

impl Staging<'_> {
    /// The state after an event that was accepted.
    pub(super) async fn state_after(&self, event: EventNumber) -> Result<StateRoot> {
        let event = self.event(event).await?;
        let before = event.record.state_before;
        match event.record.state_key {
            Some(key) if !event.record.rejected => {
                let tree = self.rooms.tree.within(self.tx);
                Ok(tree.insert(self.tx, before, &[(key, event.number)]).await?)
            }
            _ => Ok(before),
        }
    }

    /// Resolves states by the algorithm of the room's version
    /// (<https://spec.matrix.org/v1.19/server-server-api/#room-state-resolution>).
    ///
    /// What all states agree on is left alone, except for the few events that the rules look at; so the
    /// cost is that of the differences.
    pub(super) async fn resolve(&self, states: &[StateRoot]) -> Result<StateRoot> {
        let mut states = states.to_vec();
        states.sort_unstable();
        states.dedup();
        let (first, rest) = match states.as_slice() {
            [] => return Ok(StateRoot::EMPTY),
            [only] => return Ok(*only),
            [first, rest @ ..] => (*first, rest),
        };
        if states.len() > STATES_MAX {
            return Err(Error::bug("too many states to resolve"));
        }
        let dispute = self.dispute(first, rest).await?;
        let agreed = self.agreed(first, &dispute).await?;
        let events = self.events_for(&dispute, &agreed).await?;
        let resolved = self.resolved(&dispute, &agreed, &events)?;
        self.with_resolved(first, &dispute, &resolved).await
    }

    async fn dispute(&self, first: StateRoot, rest: &[StateRoot]) -> Result<Dispute> {
        let tree = self.rooms.tree.within(self.tx);
        let mut keys = BTreeSet::new();
        for other in rest {
            keys.extend(tree.diff(first, *other).await?.into_iter().map(|change| change.key));
        }
        let keys: Vec<_> = keys.into_iter().collect();
        let mut values = vec![tree.get_many(first, &keys).await?];
        for other in rest {
            values.push(tree.get_many(*other, &keys).await?);
        }
        let entries = tree.entries(first).await?.into_iter();
        let shared = entries.filter(|(key, _)| keys.binary_search(key).is_err());
        let shared: Vec<EventNumber> = shared.map(|(_, event)| event).collect();
        let own: Vec<Vec<EventNumber>> =
            values.iter().map(|values| values.iter().flatten().copied().collect()).collect();
        let differences = self.auth_differences(&own, &shared).await?;
        Ok(Dispute { keys, values, differences })
    }

    /// The events that all states have and the rules look at for the disputed ones.
    async fn agreed(&self, first: StateRoot, dispute: &Dispute) -> Result<HashSet<EventNumber>> {
        let disputed = dispute.values.iter().flatten().flatten();
        let events: HashSet<EventNumber> =
            disputed.chain(dispute.differences.iter().flatten()).copied().collect();
        let mut pairs = BTreeSet::new();
        for event in events {
            let pdu = self.event(event).await?.pdu()?;
            pairs.extend(self.auth_types(&pdu));
        }
        let mut agreed = HashSet::new();
        let tree = self.rooms.tree.within(self.tx);
        for (event_type, state_key) in pairs {
            let Some(key) = self.key_number(&event_type.to_string(), &state_key).await? else {
                continue;
            };
            if dispute.keys.binary_search(&key).is_err() {
                agreed.extend(tree.get(first, key).await?);
            }
        }
        Ok(agreed)
    }

    /// The state that the rules look at for an event, with the create event, which is not always named.
    pub(super) fn auth_types(&self, pdu: &Pdu) -> Vec<(StateEventType, String)> {
        let state_key = pdu.state_key.as_deref();
        let (event_type, version) = (&pdu.event_type, &self.room.version);
        let types = auth_types_for(event_type, &pdu.sender, state_key, &pdu.content, version);
        let mut types = types.unwrap_or_else(|Rejection(_)| Vec::new());
        if !types.iter().any(|(event_type, _)| *event_type == StateEventType::RoomCreate) {
            types.push((StateEventType::RoomCreate, String::new()));
        }
        types
    }

    async fn events_for(&self, dispute: &Dispute, agreed: &HashSet<EventNumber>) -> Result<Events> {
        let disputed = dispute.values.iter().flatten().flatten();
        let all = disputed.chain(dispute.differences.iter().flatten()).chain(agreed).copied();
        let mut events = Events::new();
        for number in self.with_auth_chains(all).await? {
            let pdu = self.event(number).await?.pdu()?;
            events.insert(pdu.event_id.clone(), (number, pdu));
        }
        Ok(events)
    }

    fn resolved(
        &self,
        dispute: &Dispute,
        agreed: &HashSet<EventNumber>,
        events: &Events,
    ) -> Result<StateMap> {
        let ids: HashMap<EventNumber, &Arc<Pdu>> =
            events.values().map(|(number, pdu)| (*number, pdu)).collect();
        let entry = |number: &EventNumber| {
            let pdu = ids.get(number)?;
            let event_type = StateEventType::from(pdu.event_type.to_string());
            Some(((event_type, pdu.state_key.clone()?), pdu.event_id.clone()))
        };
        let of_state = |values: &Vec<Option<EventNumber>>| -> StateMap {
            values.iter().flatten().chain(agreed).filter_map(entry).collect()
        };
        let states: Vec<StateMap> = dispute.values.iter().map(of_state).collect();
        let id = |number: &EventNumber| ids.get(number).map(|pdu| pdu.event_id.clone());
        let chains = dispute.differences.iter();
        let chains = chains.map(|chain| chain.iter().filter_map(id).collect()).collect();
        let fetch = |event_id: &ruma::EventId| events.get(event_id).map(|(_, pdu)| Arc::clone(pdu));
        state_res::resolve(&self.room.version, &states, chains, fetch)
            .map_err(|error| Error::bug(error.to_string()))
    }

    async fn with_resolved(
        &self,
        first: StateRoot,
        dispute: &Dispute,
        resolved: &StateMap,
    ) -> Result<StateRoot> {
        let mut by_key = HashMap::new();
        for ((event_type, state_key), event_id) in resolved {
            let number = self.number_of(event_id).await?;
            let number = number.ok_or_else(|| Error::bug("a resolved event is not known"))?;
            if let Some(key) = self.key_number(&event_type.to_string(), state_key).await? {
                by_key.insert(key, number);
            }
        }
        let (mut set, mut gone) = (Vec::new(), Vec::new());
        for key in &dispute.keys {
            match by_key.get(key) {
                Some(number) => set.push((*key, *number)),
                None => gone.push(*key),
            }
        }
        let tree = self.rooms.tree.within(self.tx);
        let root = tree.insert(self.tx, first, &set).await?;
        Ok(tree.within(self.tx).remove(self.tx, root, &gone).await?)
    }
}
