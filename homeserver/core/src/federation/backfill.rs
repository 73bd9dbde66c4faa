//! Asking other servers for the past of a room when a local reader comes to a gap in it.
//!
//! Whoever reads waits for a while only; what comes later is there for the next page. One question per
//! room at a time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use pli_federation::event_format::Pdu;
use pli_schema::{EventNumber, RoomNumber};
use ruma::{OwnedEventId, OwnedServerName, ServerName};

use super::{Signed, peers::Peers, turns::Turns};
use crate::{
    Result, Rooms,
    history::Direction,
    rooms::{Absent, ByteCache, Gap, Room, Snapshot, in_order},
    token::Boundary,
};

/// Events that one question asks for.
const ASKED: u32 = 100;
/// Events of an answer whose state is asked for, because what is before them is in no answer.
const STATES_MAX: usize = 5;
/// Auth events that are asked for one by one.
const AUTH_EVENTS_MAX: usize = 40;
/// Rounds of that.
const AUTH_ROUNDS: usize = 3;
/// How long a reader waits.
const WAIT: Duration = Duration::from_secs(10);
/// Gaps that are looked at for one page.
const GAPS_MAX: usize = 20;
/// A gap that nobody could fill is left alone for this long.
const PAUSE_MS: u64 = 60_000;
/// Gaps that are remembered for that.
const PAUSED_MAX: usize = 10_000;
/// Questions until an event of a certain time is here.
const REACH_MAX: usize = 5;

/// Fetches the past. Clones share everything.
#[derive(Clone, Debug)]
pub struct Backfill {
    rooms: Rooms,
    peers: Peers,
    enabled: bool,
    turns: Turns<RoomNumber>,
    /// Gaps that nobody could fill, and when they may be asked for again.
    paused: ByteCache<(RoomNumber, EventNumber), u64>,
}

impl Backfill {
    /// For these rooms.
    #[must_use]
    pub fn new(rooms: Rooms, signed: Signed) -> Self {
        Self {
            enabled: signed.partners().is_enabled(),
            peers: Peers::new(rooms.clone(), signed),
            rooms,
            turns: Turns::new(8),
            paused: ByteCache::new(PAUSED_MAX),
        }
    }

    /// The newest gap of a timeline between two places (with those).
    ///
    /// # Errors
    /// Those of the store.
    pub async fn gap(&self, room: &Room, places: (Boundary, Boundary)) -> Result<Option<Gap>> {
        Ok(self.rooms.gaps(room.number, places, 1).await?.pop())
    }

    /// Where the timeline begins, if what was before it is not here.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn edge(&self, room: &Room) -> Result<Option<Boundary>> {
        let Some(first) = self.rooms.first_place(room.number).await? else { return Ok(None) };
        Ok(self.gap(room, (first, first)).await?.map(|gap| gap.place))
    }

    /// Fills the newest gap between two places (with those) as far as one question does, and waits for
    /// it for some seconds. Whether there are events now that were not there.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn fill(&self, room: &Arc<Room>, places: (Boundary, Boundary)) -> Result<bool> {
        if !self.enabled {
            return Ok(false);
        }
        let now_ms = self.rooms.clock().now_ms();
        let gaps = self.rooms.gaps(room.number, places, GAPS_MAX).await?;
        let is_paused = |gap: &Gap| {
            let until = self.paused.get(&(room.number, gap.event));
            until.is_some_and(|until_ms| now_ms < until_ms)
        };
        let Some(gap) = gaps.into_iter().find(|gap| !is_paused(gap)) else { return Ok(false) };
        let (this, room) = (self.clone(), Arc::clone(room));
        let work = tokio::spawn(async move { this.fill_one(&room, gap).await });
        match tokio::time::timeout(WAIT, work).await {
            Ok(Ok(filled)) => filled,
            Ok(Err(error)) => Err(crate::Error::bug(format!("filling a gap: {error}"))),
            Err(_) => Ok(false),
        }
    }

    async fn fill_one(&self, room: &Room, gap: Gap) -> Result<bool> {
        let Some(_turn) = self.turns.take(room.number).await else { return Ok(false) };
        let here = (gap.place, gap.place);
        if !self.rooms.gaps(room.number, here, 1).await?.contains(&gap) {
            // Whoever was before has filled it.
            return Ok(true);
        }
        let event = self.rooms.existing_event(gap.event).await?;
        let missing = self.rooms.missing_before(&event).await?;
        if missing.is_empty() {
            self.rooms.forget_gap(room.number, gap).await?;
            return Ok(true);
        }
        if !self.rooms.is_resident(room.number).await? {
            return Ok(false);
        }
        let own = self.rooms.server_name();
        let pdu = event.pdu()?;
        let sender = Some(pdu.sender.server_name()).filter(|server| *server != own);
        for server in self.peers.of(room, sender).await? {
            let events = self.peers.backfill(room, &server, missing.clone(), ASKED).await?;
            let events = connected(events, &missing);
            if !events.is_empty() && self.take(room, &server, gap, events).await? {
                return Ok(true);
            }
        }
        let until_ms = self.rooms.clock().now_ms().saturating_add(PAUSE_MS);
        self.paused.put((room.number, gap.event), until_ms, 1);
        Ok(false)
    }

    /// Places what a server gave; whether any of it has a place now.
    async fn take(
        &self,
        room: &Room,
        server: &ServerName,
        gap: Gap,
        events: Vec<Arc<Pdu>>,
    ) -> Result<bool> {
        let events = in_order(&events, |pdu| &pdu.prev_events, Absent::PassOver);
        let mut states: HashMap<OwnedEventId, Snapshot> = HashMap::new();
        for pdu in &events {
            if states.len() >= STATES_MAX || !self.needs_state(pdu, &events).await? {
                continue;
            }
            let state = self.peers.state_before(room, server, &pdu.event_id).await?;
            if let Some(state) = state.filter(|state| !state.state.is_empty()) {
                states.insert(pdu.event_id.clone(), state);
            }
        }
        self.take_auth(room, server, &events, &states).await?;
        Ok(self.rooms.fill_gap(room.number, gap, &events, &states).await? > 0)
    }

    /// Whether a previous event is neither known nor among some events.
    async fn needs_state(&self, pdu: &Pdu, events: &[Arc<Pdu>]) -> Result<bool> {
        for previous in &pdu.prev_events {
            let among = events.iter().any(|pdu| pdu.event_id == *previous);
            if !among && !self.rooms.is_judged(previous).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Fetches what authorizes some events and is neither known nor among them or in their states.
    async fn take_auth(
        &self,
        room: &Room,
        server: &ServerName,
        events: &[Arc<Pdu>],
        states: &HashMap<OwnedEventId, Snapshot>,
    ) -> Result<()> {
        let told = states.values().flat_map(|state| state.state.iter().chain(&state.auth_chain));
        let mut there: std::collections::HashSet<OwnedEventId> =
            told.chain(events).map(|pdu| pdu.event_id.clone()).collect();
        let mut named: Vec<OwnedEventId> =
            events.iter().flat_map(|pdu| pdu.auth_events.clone()).collect();
        let mut fetched = Vec::new();
        for _ in 0..AUTH_ROUNDS {
            let mut missing = Vec::new();
            for event_id in named {
                if there.insert(event_id.clone())
                    && self.rooms.known_pdu(room.number, &event_id).await?.is_none()
                {
                    missing.push(event_id);
                }
            }
            missing.truncate(AUTH_EVENTS_MAX);
            if missing.is_empty() {
                break;
            }
            let new = self.peers.events(room, server, missing).await?;
            named = new.iter().flat_map(|pdu| pdu.auth_events.clone()).collect();
            fetched.extend(new);
        }
        if !fetched.is_empty() {
            self.rooms.accept_outliers(room.number, &fetched).await?;
        }
        Ok(())
    }

    /// Asks the other servers of a room for the event closest to a time, and fetches the past until it is
    /// here, if it is not too far away. Whether there may be a closer event here than before.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn reach(&self, room: &Arc<Room>, at_ms: u64, way: Direction) -> Result<bool> {
        let all = (Boundary::START, Boundary::after_commit(self.rooms.store().position()));
        if !self.enabled || self.gap(room, all).await?.is_none() {
            return Ok(false);
        }
        let servers: Vec<OwnedServerName> = self.peers.of(room, None).await?;
        let Some(wanted) = self.peers.event_by_time(room, &servers, at_ms, way).await? else {
            return Ok(false);
        };
        for _ in 0..REACH_MAX {
            if self.rooms.is_judged(&wanted).await? || !self.fill(room, all).await? {
                break;
            }
        }
        self.rooms.is_judged(&wanted).await
    }
}

/// Those events that lead to the wanted ones, seen from there.
fn connected(events: Vec<Arc<Pdu>>, wanted: &[OwnedEventId]) -> Vec<Arc<Pdu>> {
    let mut by_id: HashMap<OwnedEventId, Arc<Pdu>> =
        events.into_iter().map(|pdu| (pdu.event_id.clone(), pdu)).collect();
    let mut next: Vec<OwnedEventId> = wanted.to_vec();
    let mut connected = Vec::new();
    while let Some(event_id) = next.pop() {
        if let Some(pdu) = by_id.remove(&event_id) {
            next.extend(pdu.prev_events.iter().cloned());
            connected.push(pdu);
        }
    }
    connected
}
