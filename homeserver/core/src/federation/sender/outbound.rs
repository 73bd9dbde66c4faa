//! What one transaction says, put together from the queues of a server.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use pli_schema::{
    EventNumber, Position,
    records::sending::{
        DestinationKey, DestinationRecord, DeviceListOutKey, PendingDevices, PendingSend,
        SendBehindKey, SendQueueKey, ToDeviceOutKey,
    },
};
use pli_store::{Scan, Tx};
use ruma::{OwnedServerName, ServerName};

use super::{Sender, device_lists, edus::Taken, peers::Lane};
use crate::{Error, Result};

/// Events of one transaction at most.
const PDUS_MAX: usize = 50;
/// EDUs of one transaction at most.
const EDUS_MAX: usize = 100;
/// Messages to devices of one transaction at most …
const TO_DEVICE_MAX: usize = 50;
/// … and bytes of them after which it takes no more.
const TO_DEVICE_BYTES_MAX: usize = 1024 * 1024;
/// Users of whose devices one transaction tells at most.
const USERS_MAX: usize = 20;

/// A transaction.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    /// What of it is in the store.
    pub(super) pending: PendingSend,
    pub(super) pdus: Vec<String>,
    pub(super) edus: Vec<String>,
    /// EDUs that are in the store.
    stored_edus: usize,
    /// What of it is in no store.
    pub(super) taken: Taken,
}

impl Outbound {
    /// How much of it is in the store.
    pub(super) fn stored_items(&self) -> usize {
        self.pending.events.len().saturating_add(self.stored_edus)
    }

    /// Whether anything of it is in the store.
    pub(super) fn is_stored(&self) -> bool {
        let PendingSend { caught_up, device_lists, .. } = &self.pending;
        self.stored_items() > 0 || caught_up.is_some() || !device_lists.is_empty()
    }

    fn is_empty(&self) -> bool {
        !self.is_stored() && self.edus.is_empty()
    }
}

impl Sender {
    /// The next transaction of a server after one that it has answered, which leaves the queues. What is
    /// in the store is noted there before this returns.
    pub(super) async fn next(
        &self,
        (destination, lane): (&OwnedServerName, &Lane),
        record: &mut DestinationRecord,
        acked: Option<PendingSend>,
    ) -> Result<Option<Outbound>> {
        let acked = acked.unwrap_or_default();
        let mut next = self.gather(destination, record, &acked).await?;
        next.stored_edus = next.edus.len();
        let left = EDUS_MAX.saturating_sub(next.edus.len());
        next.taken = lane.edus.lock().take(left);
        next.edus.append(&mut next.taken.edus);
        if !next.is_empty() {
            let now_ms = self.clock().now_ms();
            let mut nonce = [0_u8; 4];
            self.parts.random.fill(&mut nonce);
            next.pending.txn_id = format!("{now_ms}.{:08x}", u32::from_be_bytes(nonce));
        }
        record.pending = next.is_stored().then(|| next.pending.clone());
        if record.pending.is_some() || acked != PendingSend::default() {
            let removed = self.put(destination, record, &acked).await?;
            let less = |queued: usize| Some(queued.saturating_sub(removed));
            let _ = lane.queued.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        }
        Ok((!next.is_empty()).then_some(next))
    }

    /// What waits for a server after `acked`, up to one transaction.
    async fn gather(
        &self,
        destination: &OwnedServerName,
        record: &DestinationRecord,
        acked: &PendingSend,
    ) -> Result<Outbound> {
        let mut next = Outbound::default();
        let singly = record.singly > 0;
        let mut queue = Scan::<SendQueueKey>::prefix((destination.clone(),));
        if let Some((at, event)) = acked.queue_to {
            queue = queue.after((destination.clone(), at, event));
        }
        let queue = queue.limit(if singly { 1 } else { PDUS_MAX });
        for row in self.store().scan(&queue).await? {
            next.pending.events.push(row.key.event);
            next.pending.queue_to = Some((row.key.at, row.key.event));
        }
        if next.pending.events.is_empty() {
            self.catch_up(destination, (acked, singly), &mut next.pending).await?;
        }
        next.pdus = self.pdus(&next.pending.events).await?;
        if singly && !next.pending.events.is_empty() {
            return Ok(next);
        }
        let limit = if singly { 1 } else { TO_DEVICE_MAX };
        self.add_messages(destination, acked.to_device_to, limit, &mut next).await?;
        if !(singly && next.pending.to_device_to.is_some()) {
            let limit = if singly { 1 } else { USERS_MAX };
            self.add_device_lists(destination, acked, limit, &mut next).await?;
        }
        Ok(next)
    }

    async fn pdus(&self, events: &[EventNumber]) -> Result<Vec<String>> {
        let mut pdus = Vec::with_capacity(events.len());
        for number in events {
            // What was deleted meanwhile is not sent.
            if let Some(event) = self.rooms().event(*number).await? {
                pdus.push(event.record.json.clone());
            }
        }
        Ok(pdus)
    }

    async fn add_messages(
        &self,
        destination: &OwnedServerName,
        after: Option<(Position, u32)>,
        limit: usize,
        next: &mut Outbound,
    ) -> Result<()> {
        let mut waiting = Scan::<ToDeviceOutKey>::prefix((destination.clone(),));
        if let Some((at, index)) = after {
            waiting = waiting.after((destination.clone(), at, index));
        }
        let mut bytes = 0_usize;
        for row in self.store().scan(&waiting.limit(limit)).await? {
            if bytes > TO_DEVICE_BYTES_MAX {
                break;
            }
            bytes = bytes.saturating_add(row.record.len());
            next.pending.to_device_to = row.key.at.position().map(|at| (at, row.key.index));
            next.edus.push(row.record);
        }
        Ok(())
    }

    async fn add_device_lists(
        &self,
        destination: &OwnedServerName,
        acked: &PendingSend,
        limit: usize,
        next: &mut Outbound,
    ) -> Result<()> {
        let done: BTreeSet<_> = acked.device_lists.iter().map(|done| &done.user_id).collect();
        let waiting = Scan::<DeviceListOutKey>::prefix((destination.clone(),));
        let waiting = waiting.limit(limit.saturating_add(done.len()));
        for row in self.store().scan(&waiting).await? {
            if done.contains(&row.key.user_id) || next.edus.len() >= EDUS_MAX / 2 {
                continue;
            }
            let (user_id, left) = (row.key.user_id, EDUS_MAX.saturating_sub(next.edus.len()));
            let to = self.stream_of(&user_id).await?;
            self.add_changes(&user_id, (row.record, to), left, &mut next.edus).await?;
            let changes = row.record.changes;
            next.pending.device_lists.push(PendingDevices { user_id, to, changes });
        }
        Ok(())
    }

    /// The transaction that a server has not answered: as it was, but for what was in no store.
    pub(super) async fn again(
        &self,
        destination: &OwnedServerName,
        pending: PendingSend,
    ) -> Result<Outbound> {
        let mut again = Outbound { pdus: self.pdus(&pending.events).await?, ..Outbound::default() };
        if let Some((at, index)) = pending.to_device_to {
            let waiting = Scan::<ToDeviceOutKey>::prefix((destination.clone(),));
            let waiting = waiting.up_to((destination.clone(), at, index));
            for row in self.store().scan(&waiting.limit(TO_DEVICE_MAX)).await? {
                again.edus.push(row.record);
            }
        }
        for PendingDevices { user_id, to, .. } in &pending.device_lists {
            let (destination, user_id) = (destination.clone(), user_id.clone());
            let key = DeviceListOutKey { destination, user_id };
            if let Some(record) = self.store().get(&key).await? {
                let left = EDUS_MAX.saturating_sub(again.edus.len());
                self.add_changes(&key.user_id, (record, *to), left, &mut again.edus).await?;
            }
        }
        again.stored_edus = again.edus.len();
        again.pending = pending;
        Ok(again)
    }

    /// Takes a transaction that was answered out of the queues, and notes how it stands with the server.
    /// How many events left its queue.
    pub(super) async fn put(
        &self,
        destination: &OwnedServerName,
        record: &DestinationRecord,
        acked: &PendingSend,
    ) -> Result<usize> {
        self.store()
            .write(|tx| async move {
                let removed = remove(&tx, destination, acked).await?;
                tx.put(&DestinationKey { destination: destination.clone() }, record)?;
                Ok::<_, Error>(removed)
            })
            .await
    }

    /// Forgets everything that waits for a server with which this one speaks no more.
    pub(super) async fn forget(&self, destination: &ServerName) -> Result<()> {
        /// The rows of tables whose keys begin with the server, part by part.
        macro_rules! forget {
            ($($key:ident),+) => {$(
                loop {
                    let rows = Scan::<$key>::prefix((destination.to_owned(),)).limit(1_000);
                    let rows = &self.store().scan(&rows).await?;
                    if rows.is_empty() {
                        break;
                    }
                    self.store()
                        .write(|tx| async move {
                            rows.iter().for_each(|row| tx.delete(&row.key));
                            Ok::<_, Error>(())
                        })
                        .await?;
                }
            )+};
        }
        forget!(SendQueueKey, SendBehindKey, ToDeviceOutKey, DeviceListOutKey, DestinationKey);
        Ok(())
    }
}

/// Takes what was answered out of the queues. What came since stays there.
async fn remove(tx: &Tx, destination: &OwnedServerName, acked: &PendingSend) -> Result<usize> {
    let mut removed = 0_usize;
    if let Some((at, event)) = acked.queue_to {
        let rows = Scan::<SendQueueKey>::prefix((destination.clone(),));
        let rows = rows.up_to((destination.clone(), at, event)).limit(PDUS_MAX);
        for row in tx.scan(&rows).await? {
            tx.delete(&row.key);
            removed = removed.saturating_add(1);
        }
    }
    if let Some((room, to)) = acked.caught_up {
        let key = SendBehindKey { destination: destination.clone(), room };
        if let Some(mut behind) = tx.get(&key).await? {
            if behind.to > to {
                behind.from = to.next();
                tx.put(&key, &behind)?;
            } else {
                tx.delete(&key);
            }
        }
    }
    if let Some((at, index)) = acked.to_device_to {
        let rows = Scan::<ToDeviceOutKey>::prefix((destination.clone(),));
        let rows = rows.up_to((destination.clone(), at, index)).limit(TO_DEVICE_MAX);
        for row in tx.scan(&rows).await? {
            tx.delete(&row.key);
        }
    }
    for told in &acked.device_lists {
        device_lists::settle(tx, destination, told).await?;
    }
    Ok(removed)
}
