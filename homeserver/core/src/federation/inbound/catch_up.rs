//! Asking for what is missing before events that wait: the events between, or the state if the gap is too
//! large (<https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events>).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pli_federation::event_format::Pdu;
use pli_schema::{RoomNumber, records::inbound::WaitingEventKey};
use pli_store::Scan;
use ruma::{OwnedEventId, ServerName};
use tokio_util::sync::CancellationToken;

use super::{
    Inbound,
    waiting::{WAIT_MAX_MS, Waiting},
};
use crate::{
    Result,
    rooms::{Absent, Missing, Room, in_order},
};

/// Events that one question asks for.
const ASKED_MAX: u32 = 20;
/// Questions for the events before one.
const QUESTIONS_MAX: usize = 5;
/// States that are asked for to place what came of them.
const STATES_MAX: usize = 5;
/// Rounds in which the auth events of auth events are asked for one by one.
const AUTH_ROUNDS_MAX: usize = 10;
/// Auth events that are asked for one by one.
const AUTH_EVENTS_MAX: usize = 200;
/// Waiting events for which others are asked in one go.
const FILLS_MAX: usize = 100;
/// Events that one transaction takes.
const CHUNK: usize = 50;
/// How often all rooms are looked at for events that wait.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Rows that one look reads at a time.
const PAGE: usize = 500;

impl Inbound {
    /// Looks for events that wait, at the start and then again and again, until it is told to stop.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            match self.rooms_with_waiting().await {
                Ok(rooms) => {
                    for room in rooms {
                        self.catch_up_soon(&room);
                    }
                }
                Err(error) => tracing::error!(%error, "waiting events cannot be read"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn rooms_with_waiting(&self) -> Result<Vec<Arc<Room>>> {
        let mut rooms = Vec::new();
        let mut scan = Scan::<WaitingEventKey>::prefix(()).limit(1);
        while let Some(row) = self.rooms.store().scan(&scan).await?.pop() {
            let room = row.key.room;
            rooms.push(self.rooms.room(room).await?);
            let next = RoomNumber(room.0.saturating_add(1));
            scan = Scan::<WaitingEventKey>::prefix(()).from((next,)).limit(1);
            if rooms.len() >= PAGE {
                break;
            }
        }
        Ok(rooms)
    }

    /// Starts the search for what is missing in a room, unless one is about to start anyway.
    pub(super) fn catch_up_soon(&self, room: &Arc<Room>) {
        let (this, room) = (self.clone(), Arc::clone(room));
        tokio::spawn(async move {
            // One works, one waits: whoever comes third leaves it to the one who waits.
            let Some(_turn) = this.catching_up.take(room.number).await else { return };
            if let Err(error) = this.catch_up(&room).await {
                tracing::error!(room = %room.id, %error, "what is missing cannot be fetched");
            }
        });
    }

    async fn catch_up(&self, room: &Room) -> Result<()> {
        for _ in 0..FILLS_MAX {
            let undecided = self.take_up(room).await?;
            let now_ms = self.clock().now_ms();
            let due = undecided.into_iter().find(|it| it.0.record.retry_at_ms <= now_ms);
            let Some((waiting, missing)) = due else { return Ok(()) };
            let filled = match missing {
                Missing::AuthEvents(missing) => self.fill_auth(room, &waiting, missing).await?,
                Missing::PrevEvents(_) => self.fill_gap(room, &waiting).await?,
            };
            if !filled {
                self.put_off(room.number, &waiting.pdu.event_id).await?;
            }
        }
        Ok(())
    }

    /// Takes up what waited, as far as nothing is missing any more; what still waits, and for what.
    async fn take_up(&self, room: &Room) -> Result<Vec<(Waiting, Missing)>> {
        loop {
            let all = self.waiting(room).await?;
            let (mut decided, mut undecided) = (Vec::new(), Vec::new());
            for part in all.chunks(CHUNK) {
                let _turn = self.in_rooms.take(room.number).await;
                let pdus: Vec<_> = part.iter().map(|it| Arc::clone(&it.pdu)).collect();
                let verdicts = self.accept_each(room, &pdus).await?;
                for (waiting, verdict) in part.iter().zip(verdicts) {
                    match verdict {
                        Ok(Err(missing)) if !self.is_too_old(waiting) => {
                            undecided.push((waiting.clone(), missing));
                        }
                        _ => decided.push(waiting.pdu.event_id.clone()),
                    }
                }
            }
            self.forget_waiting(room.number, &decided).await?;
            if decided.is_empty() || undecided.is_empty() {
                return Ok(undecided);
            }
        }
    }

    fn is_too_old(&self, waiting: &Waiting) -> bool {
        let until_ms = waiting.record.since_ms.saturating_add(WAIT_MAX_MS);
        let is_too_old = until_ms < self.clock().now_ms();
        if is_too_old {
            let event = &waiting.pdu.event_id;
            tracing::warn!(%event, "what is before an event could not be had: it is dropped");
        }
        is_too_old
    }

    /// Fetches what authorizes an event; whether all of it is known then.
    async fn fill_auth(
        &self,
        room: &Room,
        waiting: &Waiting,
        missing: Vec<OwnedEventId>,
    ) -> Result<bool> {
        for server in self.peers.of(room, Some(&waiting.origin)).await? {
            if self.take_auth(room, &server, &waiting.pdu, missing.clone()).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn take_auth(
        &self,
        room: &Room,
        server: &ServerName,
        pdu: &Pdu,
        missing: Vec<OwnedEventId>,
    ) -> Result<bool> {
        let chain = self.peers.event_auth(room, server, &pdu.event_id).await?;
        if !chain.is_empty() {
            self.rooms.accept_outliers(room.number, &chain).await?;
        }
        let mut missing = self.unknown(room, &missing).await?;
        let mut fetched: BTreeMap<OwnedEventId, Arc<Pdu>> = BTreeMap::new();
        for _ in 0..AUTH_ROUNDS_MAX {
            missing.retain(|event_id| !fetched.contains_key(event_id));
            if missing.is_empty() || fetched.len().saturating_add(missing.len()) > AUTH_EVENTS_MAX {
                break;
            }
            let events = self.peers.events(room, server, missing).await?;
            let named: Vec<_> = events.iter().flat_map(|pdu| pdu.auth_events.clone()).collect();
            missing = self.unknown(room, &named).await?;
            fetched.extend(events.into_iter().map(|pdu| (pdu.event_id.clone(), pdu)));
        }
        let fetched: Vec<_> = fetched.into_values().collect();
        if !fetched.is_empty() {
            self.rooms.accept_outliers(room.number, &fetched).await?;
        }
        Ok(self.unknown(room, &pdu.auth_events).await?.is_empty())
    }

    async fn unknown(&self, room: &Room, events: &[OwnedEventId]) -> Result<Vec<OwnedEventId>> {
        let mut unknown = Vec::new();
        for event_id in events {
            let known = self.rooms.known_pdu(room.number, event_id).await?.is_some();
            if !known && !unknown.contains(event_id) {
                unknown.push(event_id.clone());
            }
        }
        Ok(unknown)
    }

    /// Fetches what is before an event and takes it together with the event; whether that worked out.
    async fn fill_gap(&self, room: &Room, waiting: &Waiting) -> Result<bool> {
        for server in self.peers.of(room, Some(&waiting.origin)).await? {
            let mut events = self.events_before(room, &server, &waiting.pdu).await?;
            events.push(Arc::clone(&waiting.pdu));
            let events = in_order(&events, |pdu| &pdu.prev_events, Absent::PassOver);
            self.place(room, &server, events).await?;
            let taken = self.rooms.is_judged(&waiting.pdu.event_id).await?;
            if taken {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The events between what is known and an event, as far back as some questions lead.
    async fn events_before(
        &self,
        room: &Room,
        server: &ServerName,
        pdu: &Arc<Pdu>,
    ) -> Result<Vec<Arc<Pdu>>> {
        let head = self.rooms.head(room.number).await?;
        let earliest: Vec<_> =
            head.extremities.iter().map(|it| it.event_id.clone()).take(CHUNK).collect();
        let mut found: BTreeMap<OwnedEventId, Arc<Pdu>> = BTreeMap::new();
        let mut latest = vec![pdu.event_id.clone()];
        for _ in 0..QUESTIONS_MAX {
            let ends = (earliest.clone(), latest.clone());
            let events = self.peers.missing_events(room, server, ends, ASKED_MAX).await?;
            let before = found.len();
            found.extend(events.into_iter().map(|pdu| (pdu.event_id.clone(), pdu)));
            found.remove(&pdu.event_id);
            latest = self.loose_ends(&found).await?;
            if found.len() == before || latest.is_empty() {
                break;
            }
        }
        Ok(found.into_values().collect())
    }

    /// Those of some events that name previous ones which are neither among them nor known.
    async fn loose_ends(
        &self,
        events: &BTreeMap<OwnedEventId, Arc<Pdu>>,
    ) -> Result<Vec<OwnedEventId>> {
        let mut ends = Vec::new();
        for pdu in events.values() {
            for previous in &pdu.prev_events {
                if !events.contains_key(previous) && !self.rooms.is_judged(previous).await? {
                    ends.push(pdu.event_id.clone());
                    break;
                }
            }
        }
        ends.truncate(CHUNK);
        Ok(ends)
    }

    /// Takes events of which each comes after those that it names, with the state before it where the
    /// previous ones cannot be had.
    async fn place(&self, room: &Room, server: &ServerName, events: Vec<Arc<Pdu>>) -> Result<()> {
        let mut states = 0;
        for pdu in events {
            let mut missing = self.take_one(room, &pdu).await?;
            if let Some(Missing::AuthEvents(events)) = missing {
                if !self.take_auth(room, server, &pdu, events).await? {
                    continue;
                }
                missing = self.take_one(room, &pdu).await?;
            }
            if let Some(Missing::PrevEvents(_)) = missing
                && states < STATES_MAX
            {
                states += 1;
                let state = self.peers.state_before(room, server, &pdu.event_id).await?;
                let Some(snapshot) = state.filter(|snapshot| !snapshot.state.is_empty()) else {
                    continue;
                };
                let _turn = self.in_rooms.take(room.number).await;
                match self.rooms.accept_after(room.number, &snapshot, &pdu).await {
                    Ok(verdict) => {
                        tracing::info!(room = %room.id, event = %pdu.event_id, ?verdict, "after a gap");
                    }
                    Err(crate::Error::Store(error)) => return Err(error.into()),
                    Err(error) => {
                        tracing::error!(room = %room.id, event = %pdu.event_id, %error, "not taken");
                    }
                }
            }
        }
        Ok(())
    }

    async fn take_one(&self, room: &Room, pdu: &Arc<Pdu>) -> Result<Option<Missing>> {
        let _turn = self.in_rooms.take(room.number).await;
        let verdict = self.accept_each(room, std::slice::from_ref(pdu)).await?.pop();
        Ok(verdict.and_then(|verdict| verdict.ok()?.err()))
    }
}
