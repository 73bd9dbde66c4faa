//! Resolves states of rooms with [`pli_federation::state_res`], for comparison with other
//! implementations (`tests/interop/stateres_suite.py`).
//!
//! Reads lines `{"version": "12", "events": [PDU, …], "forks": [[[ID, …], …], …]}`: a room, and for
//! each of its forks the states to resolve. Prints for each line `{"states": [[ID, …], …]}`, what
//! each fork resolves to, sorted, or `{"error": "…"}`.
use std::{
    collections::HashMap,
    error::Error,
    io::{BufRead as _, Write as _},
    sync::Arc,
};

use pli_federation::{
    event_format::Pdu,
    state_res::{StateMap, auth_chain, resolve},
};
use ruma::{EventId, OwnedEventId, RoomVersionId, events::StateEventType};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

/// The identifiers of the state events of a state.
type Ids = Vec<OwnedEventId>;

/// A room and its forks.
#[derive(Deserialize)]
struct Room {
    version: RoomVersionId,
    /// Every event of the states and of their auth chains.
    events: Vec<Box<RawValue>>,
    /// The states that meet in each fork.
    forks: Vec<Vec<Ids>>,
}

impl Room {
    fn resolved(&self) -> Result<Vec<Ids>, Box<dyn Error>> {
        let mut events = HashMap::with_capacity(self.events.len());
        for json in &self.events {
            let pdu = Pdu::parse(None, json.get(), &self.version)?;
            events.insert(pdu.event_id.clone(), Arc::new(pdu));
        }
        self.forks.iter().map(|states| self.fork(states, &events)).collect()
    }

    fn fork(
        &self,
        states: &[Ids],
        events: &HashMap<OwnedEventId, Arc<Pdu>>,
    ) -> Result<Ids, Box<dyn Error>> {
        let fetch = |event_id: &EventId| events.get(event_id).cloned();
        let mut maps = Vec::with_capacity(states.len());
        let mut chains = Vec::with_capacity(states.len());
        for ids in states {
            chains.push(auth_chain(ids.iter().map(|id| &**id), fetch)?);
            let mut map = StateMap::new();
            for event_id in ids {
                let pdu = fetch(event_id).ok_or_else(|| format!("{event_id} not given"))?;
                let state_key = pdu.state_key.clone().ok_or("a message in a state")?;
                let event_type = StateEventType::from(pdu.event_type.to_string());
                map.insert((event_type, state_key), event_id.clone());
            }
            maps.push(map);
        }
        let mut resolved: Ids =
            resolve(&self.version, &maps, chains, fetch)?.into_values().collect();
        resolved.sort();
        Ok(resolved)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let room: Room = serde_json::from_str(&line?)?;
        let answer = match room.resolved() {
            Ok(states) => json!({"states": states}),
            Err(error) => json!({"error": error.to_string()}),
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
