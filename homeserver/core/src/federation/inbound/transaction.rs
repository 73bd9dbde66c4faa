//! One transaction: bounded, taken once, each event on its own.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt, stream};
use pli_federation::event_format::Pdu;
use ruma::{
    OwnedEventId, OwnedRoomId, OwnedServerName, OwnedTransactionId, RoomVersionId, ServerName,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Inbound, Outcomes};
use crate::{Error, Result, federation::RemoteRooms};

/// Events of a transaction at most.
const PDUS_MAX: usize = 50;
/// EDUs of a transaction at most.
const EDUS_MAX: usize = 100;
/// Bytes of a transaction's id at most.
const ID_BYTES_MAX: usize = 255;
/// Rooms of one transaction that are worked on at the same time.
const ROOMS_AT_ONCE: usize = 8;
/// When a server is to come back that sends several transactions at once.
const RETRY_AFTER_MS: u64 = 5_000;

/// What a server sends.
#[derive(Debug)]
pub struct Transaction {
    /// The server.
    pub origin: OwnedServerName,
    /// The id that the server gave it.
    pub id: OwnedTransactionId,
    /// Events, as JSON.
    pub pdus: Vec<Box<RawValue>>,
    /// EDUs, as JSON.
    pub edus: Vec<Box<RawValue>>,
}

/// The room of an event, and its id where it says one.
#[derive(Deserialize)]
struct Addressed {
    room_id: OwnedRoomId,
    #[serde(default)]
    event_id: Option<OwnedEventId>,
}

/// Events of one room, with the ids that they say they have.
type OfRoom = Vec<(Option<OwnedEventId>, String)>;

impl Inbound {
    /// Takes a transaction: what became of each of its events. When this returns, all that was taken is
    /// on disk. The same transaction gets the same answer again. The work goes on if the caller goes
    /// away.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for one beyond the bounds; [`Error::LimitExceeded`] if the server sends
    /// too many at once; those of the store.
    pub async fn transaction(&self, transaction: Transaction) -> Result<Arc<Outcomes>> {
        if transaction.pdus.len() > PDUS_MAX || transaction.edus.len() > EDUS_MAX {
            return Err(Error::invalid_param("Too much for one transaction"));
        }
        if transaction.id.as_str().len() > ID_BYTES_MAX {
            return Err(Error::invalid_param("The transaction id is too long"));
        }
        let this = self.clone();
        let work = tokio::spawn(async move { this.work_off(transaction).await });
        work.await.map_err(|error| Error::bug(format!("a transaction: {error}")))?
    }

    async fn work_off(&self, transaction: Transaction) -> Result<Arc<Outcomes>> {
        let Transaction { origin, id, pdus, edus } = transaction;
        let turn = self.servers.take(origin.clone()).await;
        let _turn = turn.ok_or(Error::LimitExceeded { retry_after_ms: RETRY_AFTER_MS })?;
        let key = (origin.clone(), id);
        if let Some(outcomes) = self.answers.get(&key) {
            return Ok(outcomes);
        }
        // Before the events: the key of a message may be among them.
        for edu in &edus {
            self.edus.take(&origin, edu).await?;
        }
        let outcomes = Arc::new(self.pdus(&origin, pdus).await?);
        let weight = outcomes.iter().map(|(id, outcome)| {
            let error = outcome.as_ref().err().map_or(0, String::len);
            id.as_str().len().saturating_add(error).saturating_add(64)
        });
        let weight = weight.sum::<usize>().saturating_add(512);
        self.answers.put(key, Arc::clone(&outcomes), weight);
        Ok(outcomes)
    }

    async fn pdus(&self, origin: &ServerName, pdus: Vec<Box<RawValue>>) -> Result<Outcomes> {
        let mut by_room: BTreeMap<OwnedRoomId, OfRoom> = BTreeMap::new();
        for pdu in pdus {
            match serde_json::from_str::<Addressed>(pdu.get()) {
                Ok(Addressed { room_id, event_id }) => {
                    by_room.entry(room_id).or_default().push((event_id, pdu.get().to_owned()));
                }
                // It has no id under which the answer could name it.
                Err(_) => tracing::info!(%origin, "an event that cannot be read"),
            }
        }
        let rooms = by_room
            .into_iter()
            .map(|(room_id, events)| async move { self.of_room(origin, room_id, events).await });
        let rooms: Vec<_> = rooms.collect();
        let mut rooms = stream::iter(rooms).buffer_unordered(ROOMS_AT_ONCE);
        let mut outcomes = Outcomes::new();
        while let Some(of_room) = rooms.next().await {
            outcomes.extend(of_room?);
        }
        Ok(outcomes)
    }

    async fn of_room(
        &self,
        origin: &ServerName,
        room_id: OwnedRoomId,
        events: OfRoom,
    ) -> Result<Vec<(OwnedEventId, Result<(), String>)>> {
        let Some(room) = self.rooms.room_by_id(&room_id).await? else {
            // Without the room's version the id is only known where the event says it.
            let named = events.into_iter().filter_map(|(event_id, _)| event_id);
            let unknown = || Err("This server does not know the room".to_owned());
            return Ok(named.map(|event_id| (event_id, unknown())).collect());
        };
        if !self.rooms.is_resident(room.number).await? {
            return self.outside(origin, &room.version, events).await;
        }
        let refusal = if !self.rooms.acl_admits(room.number, origin).await? {
            Some("The room's access list keeps the server out")
        } else {
            None
        };
        let events: Vec<String> = events.into_iter().map(|(_, event)| event).collect();
        if let Some(refusal) = refusal {
            let ids = events.iter().filter_map(|event| id_of(event, &room.version));
            return Ok(ids.map(|id| (id, Err(refusal.to_owned()))).collect());
        }
        let checked = self.signed.check_pdus(&room_id, &room.version, events.clone()).await?;
        let (mut outcomes, mut good) = (Vec::new(), Vec::new());
        for (checked, event) in checked.into_iter().zip(events) {
            match checked {
                Ok(pdu) => good.push(pdu),
                Err(reason) => {
                    tracing::info!(%origin, room = %room_id, %reason, "an event is dropped");
                    let id = id_of(&event, &room.version);
                    outcomes.extend(id.map(|id| (id, Err(reason.to_string()))));
                }
            }
        }
        outcomes.extend(self.deliver(&room, origin, good).await?);
        Ok(outcomes)
    }
}

impl Inbound {
    /// Events of a room in which this server is not: only those are taken that end an invite or a knock
    /// of a user of this server.
    async fn outside(
        &self,
        origin: &ServerName,
        version: &RoomVersionId,
        events: OfRoom,
    ) -> Result<Vec<(OwnedEventId, Result<(), String>)>> {
        let rooms = RemoteRooms::new(self.rooms.clone(), self.signed.clone());
        let mut outcomes = Vec::new();
        for (_, event) in events {
            let taken = rooms.turned_away(origin, &event).await?;
            let outcome =
                if taken { Ok(()) } else { Err("This server is not in the room".to_owned()) };
            outcomes.extend(id_of(&event, version).map(|id| (id, outcome)));
        }
        Ok(outcomes)
    }
}

/// The id of an event that is not taken, if it has one.
fn id_of(event: &str, version: &RoomVersionId) -> Option<OwnedEventId> {
    Pdu::parse(None, event, version).ok().map(|pdu| pdu.event_id)
}
