//! Events that wait in the store for what is missing before them.

use std::sync::Arc;

use pli_federation::event_format::Pdu;
use pli_schema::{
    RoomNumber,
    records::inbound::{WaitingEventKey, WaitingEventRecord},
};
use pli_store::Scan;
use ruma::{EventId, OwnedEventId, OwnedServerName, ServerName};

use super::Inbound;
use crate::{Error, Result, rooms::Room};

/// Events that may wait for one room.
pub(super) const WAITING_MAX: usize = 500;
/// An event waits no longer than this.
pub(super) const WAIT_MAX_MS: u64 = 24 * 3_600_000;
/// After this it is asked for what is missing again, twice as long each time.
const RETRY_AFTER_MS: u64 = 60_000;
/// The longest time until then.
const RETRY_AFTER_MAX_MS: u64 = 3_600_000;

/// An event that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) pdu: Arc<Pdu>,
    pub(super) origin: OwnedServerName,
    pub(super) record: WaitingEventRecord,
}

impl Inbound {
    /// Writes events down that cannot be judged yet, up to the bound of the room.
    pub(super) async fn put_waiting(
        &self,
        room: &Room,
        origin: &ServerName,
        pdus: &[Arc<Pdu>],
    ) -> Result<Vec<(OwnedEventId, Result<(), String>)>> {
        if pdus.is_empty() {
            return Ok(Vec::new());
        }
        let since_ms = self.clock().now_ms();
        let taken = self.rooms.store().write(|tx| async move {
            let scan = Scan::<WaitingEventKey>::prefix((room.number,)).limit(WAITING_MAX);
            let mut free = WAITING_MAX.saturating_sub(tx.scan(&scan).await?.len());
            let mut outcomes = Vec::with_capacity(pdus.len());
            for pdu in pdus {
                let event_id = pdu.event_id.clone();
                let key = WaitingEventKey { room: room.number, event_id: event_id.clone() };
                let known = tx.get(&key).await?.is_some();
                if !known && free == 0 {
                    let text = "Too many events of the room wait for others already";
                    outcomes.push((event_id, Err(text.to_owned())));
                    continue;
                }
                if !known {
                    free = free.saturating_sub(1);
                    let record = WaitingEventRecord {
                        origin: origin.to_owned(),
                        json: pdu.json.to_string(),
                        since_ms,
                        attempts: 0,
                        retry_at_ms: since_ms,
                    };
                    tx.put(&key, &record)?;
                }
                outcomes.push((event_id, Ok(())));
            }
            Ok::<_, Error>(outcomes)
        });
        taken.await
    }

    /// Whether events wait for a room.
    pub(super) async fn has_waiting(&self, room: RoomNumber) -> Result<bool> {
        let scan = Scan::<WaitingEventKey>::prefix((room,)).limit(1);
        Ok(!self.rooms.store().scan(&scan).await?.is_empty())
    }

    /// The events that wait for a room, those of the smallest depth first.
    pub(super) async fn waiting(&self, room: &Room) -> Result<Vec<Waiting>> {
        let scan = Scan::<WaitingEventKey>::prefix((room.number,)).limit(WAITING_MAX);
        let mut waiting = Vec::new();
        for row in self.rooms.store().scan(&scan).await? {
            match Pdu::parse(Some(row.key.event_id.clone()), &row.record.json, &room.version) {
                Ok(pdu) => waiting.push(Waiting {
                    pdu: Arc::new(pdu),
                    origin: row.record.origin.clone(),
                    record: row.record,
                }),
                Err(error) => {
                    tracing::error!(event = %row.key.event_id, %error, "a waiting event");
                    self.forget_waiting(room.number, &[row.key.event_id]).await?;
                }
            }
        }
        waiting.sort_by(|a, b| (a.pdu.depth, &a.pdu.event_id).cmp(&(b.pdu.depth, &b.pdu.event_id)));
        Ok(waiting)
    }

    /// Events that wait no longer.
    pub(super) async fn forget_waiting(
        &self,
        room: RoomNumber,
        events: &[OwnedEventId],
    ) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let write = self.rooms.store().write(|tx| async move {
            for event_id in events {
                tx.delete(&WaitingEventKey { room, event_id: event_id.clone() });
            }
            Ok::<_, Error>(())
        });
        write.await
    }

    /// Nobody had what is missing before an event: later again.
    pub(super) async fn put_off(&self, room: RoomNumber, event_id: &EventId) -> Result<()> {
        let now_ms = self.clock().now_ms();
        let key = &WaitingEventKey { room, event_id: event_id.to_owned() };
        let write = self.rooms.store().write(|tx| async move {
            let Some(mut record) = tx.get(key).await? else { return Ok(()) };
            let doubled = RETRY_AFTER_MS.checked_shl(record.attempts).unwrap_or(u64::MAX);
            record.attempts = record.attempts.saturating_add(1).min(32);
            record.retry_at_ms = now_ms.saturating_add(doubled.min(RETRY_AFTER_MAX_MS));
            Ok::<_, Error>(tx.put(key, &record)?)
        });
        write.await
    }
}
