//! Asking other servers in a room for its events. Whatever they answer has passed
//! [`Signed::check_pdus`] when it leaves here: what did not is left out.

use std::{collections::HashSet, sync::Arc};

use futures_util::{StreamExt, stream};
use pli_federation::event_format::Pdu;
use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedServerName, ServerName, UInt,
    api::federation::{
        authorization::get_event_authorization,
        backfill::get_backfill,
        event::{
            get_event, get_event_by_timestamp, get_missing_events, get_room_state,
            get_room_state_ids,
        },
    },
};
use serde_json::value::RawValue;

use super::{Bounds, RemoteError, Signed};
use crate::{
    Result, Rooms,
    history::Direction,
    rooms::{Room, Snapshot},
};

/// Servers of a room that are asked for the same thing, one after the other.
const SERVERS_MAX: usize = 4;
/// Events that are asked for one by one, at the same time.
const EVENTS_AT_ONCE: usize = 8;
/// Events of a state that are asked for one by one; if more are missing, the whole state is.
const SINGLE_MAX: usize = 40;
/// Events of a state with its auth chain at most.
const STATE_MAX: usize = 500_000;

/// The other servers in the rooms. Clones share everything.
#[derive(Clone, Debug)]
pub(super) struct Peers {
    rooms: Rooms,
    signed: Signed,
}

impl Peers {
    pub(super) const fn new(rooms: Rooms, signed: Signed) -> Self {
        Self { rooms, signed }
    }

    /// The servers of a room to ask, `first` before the others, of which those with the most members
    /// come first.
    pub(super) async fn of(
        &self,
        room: &Room,
        first: Option<&ServerName>,
    ) -> Result<Vec<OwnedServerName>> {
        let residents = self.rooms.residents(room.number).await?;
        let mut others: Vec<(u64, &OwnedServerName)> = residents
            .with_members()
            .filter(|(server, _)| *server != self.rooms.server_name())
            .map(|(server, members)| (members, server))
            .collect();
        others.sort_by(|a, b| b.cmp(a));
        let mut servers: Vec<OwnedServerName> = first.map(ToOwned::to_owned).into_iter().collect();
        servers.extend(others.into_iter().map(|(_, server)| server.clone()));
        let mut seen = HashSet::new();
        servers.retain(|server| seen.insert(server.clone()));
        servers.truncate(SERVERS_MAX);
        Ok(servers)
    }

    /// The events of a room among those that a server gave.
    async fn checked(
        &self,
        room: &Room,
        server: &ServerName,
        events: Vec<Box<RawValue>>,
    ) -> Result<Vec<Arc<Pdu>>> {
        let events = events.into_iter().map(|event| event.get().to_owned()).collect();
        let checked = self.signed.check_pdus(&room.id, &room.version, events).await?;
        let good = checked.into_iter().filter_map(|checked| {
            let told = |reason: &_| tracing::info!(%server, %reason, "an event is dropped");
            checked.inspect_err(told).ok()
        });
        Ok(good.collect())
    }

    /// Up to `limit` events before `latest` that are not before `earliest`.
    pub(super) async fn missing_events(
        &self,
        room: &Room,
        server: &ServerName,
        (earliest, latest): (Vec<OwnedEventId>, Vec<OwnedEventId>),
        limit: u32,
    ) -> Result<Vec<Arc<Pdu>>> {
        let id = room.id.clone();
        let mut request = get_missing_events::v1::Request::new(id, earliest, latest);
        request.limit = limit.into();
        let answer = self.signed.remote().request(server, request, Bounds::EVENTS).await;
        let Some(answer) = answered(server, answer) else { return Ok(Vec::new()) };
        let events = answer.events.into_iter().take(limit.try_into().unwrap_or(usize::MAX));
        self.checked(room, server, events.collect()).await
    }

    /// Up to `limit` events: those of `from` and what is before them.
    pub(super) async fn backfill(
        &self,
        room: &Room,
        server: &ServerName,
        from: Vec<OwnedEventId>,
        limit: u32,
    ) -> Result<Vec<Arc<Pdu>>> {
        let request = get_backfill::v1::Request::new(room.id.clone(), from, UInt::from(limit));
        let answer = self.signed.remote().request(server, request, Bounds::EVENTS).await;
        let Some(answer) = answered(server, answer) else { return Ok(Vec::new()) };
        let events = answer.pdus.into_iter().take(limit.try_into().unwrap_or(usize::MAX));
        self.checked(room, server, events.collect()).await
    }

    /// The event closest to a time, of those that some servers name.
    pub(super) async fn event_by_time(
        &self,
        room: &Room,
        servers: &[OwnedServerName],
        at_ms: u64,
        way: Direction,
    ) -> Result<Option<OwnedEventId>> {
        let at = MilliSecondsSinceUnixEpoch(UInt::new_saturating(at_ms));
        let way = match way {
            Direction::Forward => ruma::api::Direction::Forward,
            Direction::Backward => ruma::api::Direction::Backward,
        };
        let mut closest: Option<(u64, OwnedEventId)> = None;
        for server in servers {
            let id = room.id.clone();
            let request = get_event_by_timestamp::v1::Request::new(id, at, way);
            let answer = self.signed.remote().request(server, request, Bounds::SMALL).await;
            let Some(answer) = answered(server, answer) else { continue };
            let distance = u64::from(answer.origin_server_ts.0).abs_diff(at_ms);
            if closest.as_ref().is_none_or(|(closest, _)| distance < *closest) {
                closest = Some((distance, answer.event_id));
            }
        }
        Ok(closest.map(|(_, event_id)| event_id))
    }

    /// What authorizes an event.
    pub(super) async fn event_auth(
        &self,
        room: &Room,
        server: &ServerName,
        event_id: &EventId,
    ) -> Result<Vec<Arc<Pdu>>> {
        let (id, event_id) = (room.id.clone(), event_id.to_owned());
        let request = get_event_authorization::v1::Request::new(id, event_id);
        let answer = self.signed.remote().request(server, request, Bounds::EVENTS).await;
        let Some(answer) = answered(server, answer) else { return Ok(Vec::new()) };
        let events = answer.auth_chain.into_iter().take(STATE_MAX).collect();
        self.checked(room, server, events).await
    }

    /// One event.
    async fn event(
        &self,
        room: &Room,
        server: &ServerName,
        event_id: OwnedEventId,
    ) -> Result<Option<Arc<Pdu>>> {
        let request = get_event::v1::Request::new(event_id.clone());
        let answer = self.signed.remote().request(server, request, Bounds::SMALL).await;
        let Some(answer) = answered(server, answer) else { return Ok(None) };
        let mut events = self.checked(room, server, vec![answer.pdu]).await?;
        Ok(events.pop().filter(|pdu| pdu.event_id == event_id))
    }

    /// Some events, one by one.
    pub(super) async fn events(
        &self,
        room: &Room,
        server: &ServerName,
        event_ids: Vec<OwnedEventId>,
    ) -> Result<Vec<Arc<Pdu>>> {
        let asked = event_ids.into_iter().map(|event_id| self.event(room, server, event_id));
        let asked: Vec<_> = asked.collect();
        let mut answers = stream::iter(asked).buffer_unordered(EVENTS_AT_ONCE);
        let mut events = Vec::new();
        while let Some(answer) = answers.next().await {
            events.extend(answer?);
        }
        Ok(events)
    }

    /// The state before an event, with all that authorizes it: only what is not known here is asked for.
    /// `None` if the server does not give it.
    pub(super) async fn state_before(
        &self,
        room: &Room,
        server: &ServerName,
        event_id: &EventId,
    ) -> Result<Option<Snapshot>> {
        let request = get_room_state_ids::v1::Request::new(event_id.to_owned(), room.id.clone());
        let answer = self.signed.remote().request(server, request, Bounds::EVENTS).await;
        let Some(ids) = answered(server, answer) else { return Ok(None) };
        if ids.pdu_ids.len().saturating_add(ids.auth_chain_ids.len()) > STATE_MAX {
            tracing::warn!(%server, room = %room.id, "a state that is too large");
            return Ok(None);
        }
        let (mut snapshot, mut missing) = (Snapshot::default(), Vec::new());
        let all = [(ids.pdu_ids, true), (ids.auth_chain_ids, false)];
        let mut states = HashSet::new();
        for (ids, is_state) in all {
            for event_id in ids {
                if is_state {
                    states.insert(event_id.clone());
                } else if states.contains(&event_id) {
                    continue;
                }
                match self.rooms.known_pdu(room.number, &event_id).await? {
                    Some(pdu) if is_state => snapshot.state.push(pdu),
                    Some(pdu) => snapshot.auth_chain.push(pdu),
                    None => missing.push(event_id),
                }
            }
        }
        if missing.len() > SINGLE_MAX {
            return self.whole_state(room, server, event_id).await;
        }
        for pdu in self.events(room, server, missing).await? {
            let part = if states.contains(&pdu.event_id) {
                &mut snapshot.state
            } else {
                &mut snapshot.auth_chain
            };
            part.push(pdu);
        }
        Ok(Some(snapshot))
    }

    async fn whole_state(
        &self,
        room: &Room,
        server: &ServerName,
        event_id: &EventId,
    ) -> Result<Option<Snapshot>> {
        let request = get_room_state::v1::Request::new(event_id.to_owned(), room.id.clone());
        let answer = self.signed.remote().request(server, request, Bounds::ROOM).await;
        let Some(answer) = answered(server, answer) else { return Ok(None) };
        if answer.pdus.len().saturating_add(answer.auth_chain.len()) > STATE_MAX {
            tracing::warn!(%server, room = %room.id, "a state that is too large");
            return Ok(None);
        }
        Ok(Some(Snapshot {
            state: self.checked(room, server, answer.pdus).await?,
            auth_chain: self.checked(room, server, answer.auth_chain).await?,
        }))
    }
}

fn answered<T>(server: &ServerName, answer: Result<T, RemoteError>) -> Option<T> {
    let told = |error: &RemoteError| tracing::info!(%server, %error, "a server gave no events");
    answer.inspect_err(told).ok()
}
