//! What other servers read in rooms: events, states, auth chains, pages of the past.
//!
//! Only servers that are in a room read in it, and only if its access list lets them. Of an event that
//! none of their users may see they get what a redaction would leave of it: enough to follow the graph
//! (<https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility>).

mod visible;

use std::{
    collections::{BTreeSet, BinaryHeap, HashSet, VecDeque},
    sync::Arc,
};

use pli_federation::event_format;
use pli_schema::{EventNumber, records::federation::OutlierByIdKey};
use ruma::{EventId, OwnedEventId, OwnedServerName, RoomId, ServerName};

use self::visible::Visible;
use crate::{
    Error, History, Result, Rooms,
    history::Direction,
    rooms::{Room, StoredEvent},
};

/// Events of a page of the past at most.
const BACKFILL_MAX: usize = 100;
/// Missing events that one question gets at most.
const MISSING_MAX: usize = 20;
/// Events that one question names at most.
const NAMED_MAX: usize = 100;

/// Rooms as other servers read them. Clones share everything.
#[derive(Clone, Debug)]
pub struct Readings {
    rooms: Rooms,
}

/// A server that reads in a room.
#[derive(Debug)]
pub struct ServerReader {
    rooms: Rooms,
    room: Arc<Room>,
    visible: Visible,
}

/// A state before an event.
#[derive(Clone, Debug, Default)]
pub struct StateBefore {
    /// The events of the state.
    pub state: Vec<Arc<StoredEvent>>,
    /// The events of their auth chains.
    pub auth_chain: Vec<Arc<StoredEvent>>,
}

impl Readings {
    /// Of these rooms.
    #[must_use]
    pub const fn new(rooms: Rooms) -> Self {
        Self { rooms }
    }

    /// Opens a room for a server.
    ///
    /// # Errors
    /// [`Error::NotFound`] if this server is not in the room; [`Error::Forbidden`] if the other one is
    /// not, or the access list keeps it out.
    pub async fn open(&self, room_id: &RoomId, server: &ServerName) -> Result<ServerReader> {
        let room = self.rooms.room_for_server(room_id, server).await?;
        self.opened(room, server).await
    }

    async fn opened(&self, room: Arc<Room>, server: &ServerName) -> Result<ServerReader> {
        if !self.rooms.residents(room.number).await?.contains(server) {
            return Err(Error::forbidden("Your server is not in the room"));
        }
        let visible = Visible::new(self.rooms.clone(), server.to_owned());
        Ok(ServerReader { rooms: self.rooms.clone(), room, visible })
    }

    /// One event, as JSON, of whatever room the server is in.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such event, or it is not for the server.
    pub async fn event(&self, event_id: &EventId, server: &ServerName) -> Result<String> {
        let none = || Error::not_found("There is no such event");
        let event = self.rooms.event_by_id(event_id).await?;
        let event = match event {
            Some(event) => event,
            None => {
                let key = OutlierByIdKey { event_id: event_id.to_owned() };
                let number = self.rooms.store().get(&key).await?.ok_or_else(none)?;
                self.rooms.existing_event(number).await?
            }
        };
        let room = self.rooms.room(event.record.room).await?;
        let allowed = self.rooms.is_resident(room.number).await?
            && self.rooms.acl_admits(room.number, server).await?;
        if !allowed || event.record.rejected {
            return Err(none());
        }
        let reader = self.opened(room, server).await.map_err(|_| none())?;
        if reader.visible.may_see(&event).await? {
            Ok(event.record.json.clone())
        } else {
            Err(none())
        }
    }
}

impl ServerReader {
    /// An event with a place in the room's timeline.
    async fn placed(&self, event_id: &EventId) -> Result<Option<Arc<StoredEvent>>> {
        let event = self.rooms.event_of_room(self.room.number, event_id).await?;
        Ok(event.filter(|event| !event.record.rejected))
    }

    async fn placed_or_not_found(&self, event_id: &EventId) -> Result<Arc<StoredEvent>> {
        let event = self.placed(event_id).await?;
        event.ok_or_else(|| Error::not_found("There is no such event in the room"))
    }

    /// The event as the server gets it.
    async fn shown(&self, event: &StoredEvent) -> Result<String> {
        if self.visible.may_see(event).await? {
            return Ok(event.record.json.clone());
        }
        event_format::redact(&event.record.json, &self.room.version, None)
            .map_err(|error| Error::bug(format!("{}: {error}", event.record.event_id)))
    }

    async fn all_shown(&self, events: &[Arc<StoredEvent>]) -> Result<Vec<String>> {
        let mut shown = Vec::with_capacity(events.len());
        for event in events {
            shown.push(self.shown(event).await?);
        }
        Ok(shown)
    }

    /// The state before an event.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the event is not one of the room's timeline.
    pub async fn state_before(&self, event_id: &EventId) -> Result<StateBefore> {
        let event = self.placed_or_not_found(event_id).await?;
        let root = event.record.state_before;
        let entries = self.rooms.state_tree().entries(root).await?;
        let numbers: Vec<EventNumber> = entries.into_iter().map(|(_, event)| event).collect();
        let chain = self.rooms.auth_chain(numbers.iter().copied()).await?;
        Ok(StateBefore { state: self.load(numbers).await?, auth_chain: self.load(chain).await? })
    }

    /// What authorizes an event, and what authorizes that, and so on, as JSON.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the event is not one of the room.
    pub async fn auth_chain(&self, event_id: &EventId) -> Result<Vec<String>> {
        let pdu = match self.placed(event_id).await? {
            Some(event) => event.pdu()?,
            None => {
                let known = self.rooms.known_pdu(self.room.number, event_id).await?;
                let known = known.filter(|pdu| !pdu.rejected);
                known.ok_or_else(|| Error::not_found("There is no such event in the room"))?
            }
        };
        let mut numbers = BTreeSet::new();
        for auth_event in &pdu.auth_events {
            numbers.extend(self.rooms.known_number(self.room.number, auth_event).await?);
        }
        numbers.extend(self.rooms.auth_chain(numbers.clone()).await?);
        let events = self.load(numbers).await?;
        Ok(events.iter().map(|event| event.record.json.clone()).collect())
    }

    async fn load(
        &self,
        numbers: impl IntoIterator<Item = EventNumber>,
    ) -> Result<Vec<Arc<StoredEvent>>> {
        let mut events = Vec::new();
        for number in numbers {
            events.push(self.rooms.existing_event(number).await?);
        }
        Ok(events)
    }

    /// Events and what came before them, as JSON, newest first: up to `limit`, at most 100.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn backfill(&self, from: &[OwnedEventId], limit: usize) -> Result<Vec<String>> {
        let limit = limit.min(BACKFILL_MAX);
        let mut seen: HashSet<OwnedEventId> = HashSet::new();
        let mut next: BinaryHeap<(u64, OwnedEventId)> = BinaryHeap::new();
        let mut found = Vec::new();
        let mut named: Vec<OwnedEventId> = from.iter().take(NAMED_MAX).cloned().collect();
        loop {
            for event_id in named {
                if seen.insert(event_id.clone())
                    && let Some(event) = self.placed(&event_id).await?
                {
                    next.push((event.pdu()?.depth, event_id));
                }
            }
            let Some((_, event_id)) = next.pop().filter(|_| found.len() < limit) else { break };
            let event = self.placed_or_not_found(&event_id).await?;
            named = event.pdu()?.prev_events.clone();
            found.push(event);
        }
        self.all_shown(&found).await
    }

    /// The events before `latest` and not before `earliest`, as JSON, oldest first: up to `limit`, at
    /// most 20; none of a smaller depth than `min_depth`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn missing_events(
        &self,
        (earliest, latest): (&[OwnedEventId], &[OwnedEventId]),
        limit: usize,
        min_depth: u64,
    ) -> Result<Vec<String>> {
        let limit = limit.min(MISSING_MAX);
        let mut seen: HashSet<OwnedEventId> = earliest.iter().take(NAMED_MAX).cloned().collect();
        seen.extend(latest.iter().take(NAMED_MAX).cloned());
        let mut next: VecDeque<OwnedEventId> = latest.iter().take(NAMED_MAX).cloned().collect();
        let mut found: Vec<(u64, Arc<StoredEvent>)> = Vec::new();
        while let Some(event_id) = next.pop_front() {
            let Some(event) = self.placed(&event_id).await? else { continue };
            for previous in &event.pdu()?.prev_events {
                if found.len() >= limit || !seen.insert(previous.clone()) {
                    continue;
                }
                let Some(event) = self.placed(previous).await? else { continue };
                let depth = event.pdu()?.depth;
                if depth >= min_depth {
                    found.push((depth, event));
                    next.push_back(previous.clone());
                }
            }
            if found.len() >= limit {
                break;
            }
        }
        found.sort_by_key(|(depth, _)| *depth);
        let found: Vec<_> = found.into_iter().map(|(_, event)| event).collect();
        self.all_shown(&found).await
    }

    /// The event that is closest to a time, at or after (or at or before) it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none that the server may see.
    pub async fn event_by_time(&self, at_ms: u64, way: Direction) -> Result<Arc<StoredEvent>> {
        let history = History::new(self.rooms.clone());
        let around = history.around_time(self.room.number, at_ms, way).await?;
        let mut best: Option<(u64, Arc<StoredEvent>)> = None;
        for event in around {
            let sent = event.origin_server_ts_ms()?;
            let distance = match way {
                Direction::Forward => sent.checked_sub(at_ms),
                Direction::Backward => at_ms.checked_sub(sent),
            };
            let Some(distance) = distance else { continue };
            if best.as_ref().is_none_or(|(best, _)| distance < *best)
                && self.visible.may_see(&event).await?
            {
                best = Some((distance, event));
            }
        }
        let none = || Error::not_found("There is no event at that time");
        best.map(|(_, event)| event).ok_or_else(none)
    }

    /// The server that reads.
    #[must_use]
    pub const fn server(&self) -> &OwnedServerName {
        self.visible.server()
    }
}
