//! Tells other servers what happens here: a consumer of the log with a queue per server.
//!
//! The log is looked at once, in order; what a server is to be told is put into its queue together with
//! the place that was reached, so that nothing is lost or doubled by a restart. Each server has one
//! transaction on its way at a time, which is in the store before it is sent: after a restart the same one
//! is sent again. A server that does not answer is asked less and less often, until it is heard of. Of
//! one that is away for long the newest events of each room are kept, no more.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#transactions>

mod catch_up;
mod deliver;
mod device_lists;
mod edus;
mod outbound;
mod peers;
mod route;
mod status;

use std::{sync::Arc, time::Duration};

use pli_schema::{
    Position, Topic,
    records::sending::{
        DestinationKey, DeviceListOutKey, SendBehindKey, SendQueueKey, SendWatermarkKey,
        ToDeviceOutKey,
    },
};
use pli_store::{Committed, Scan, Store, StoreError};
use ruma::OwnedServerName;
use tokio::sync::{
    Semaphore,
    broadcast::{Receiver, error::RecvError},
};
use tokio_util::sync::CancellationToken;

use self::peers::Peers;
pub use self::status::{DestinationStatus, Totals};
use super::{Devices, Signed};
use crate::{Clock, Encryption, Error, Presence, Random, Receipts, Result, Rooms, Typing};

/// Transactions on their way at once, to all servers.
const REQUESTS_MAX: usize = 64;
/// After so many commits that concern no other server the place in the log is written down.
const PLACE_EVERY: u64 = 10_000;
/// The pause after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What the sender is made of.
#[derive(Clone, Debug)]
pub struct SenderParts {
    /// The rooms.
    pub rooms: Rooms,
    /// Devices and their keys.
    pub encryption: Encryption,
    /// The devices of users of other servers.
    pub devices: Devices,
    /// Receipts.
    pub receipts: Receipts,
    /// Who is typing.
    pub typing: Typing,
    /// Who is there.
    pub presence: Presence,
    /// With whom this server speaks, and how.
    pub signed: Signed,
    /// For pauses of different length.
    pub random: Random,
}

/// Tells other servers what happens here. Clones share everything.
#[derive(Clone, Debug)]
pub struct Sender {
    parts: Arc<SenderParts>,
    requests: Arc<Semaphore>,
}

/// Where the sender is.
struct Run {
    /// Everything up to here is in the queues.
    at: Position,
    /// The place that the store has.
    written: Position,
    peers: Peers,
    told: edus::Told,
}

impl Sender {
    /// A sender of these parts; [`Self::run`] does the work.
    #[must_use]
    pub fn new(parts: SenderParts) -> Self {
        Self { parts: Arc::new(parts), requests: Arc::new(Semaphore::new(REQUESTS_MAX)) }
    }

    #[cfg(test)]
    pub(super) fn devices(&self) -> Devices {
        self.parts.devices.clone()
    }

    fn rooms(&self) -> &Rooms {
        &self.parts.rooms
    }

    fn store(&self) -> &Store {
        self.parts.rooms.store()
    }

    fn clock(&self) -> &Clock {
        self.parts.rooms.clock()
    }

    /// Sends until `stop` is cancelled. What is not sent by then is in the store.
    pub async fn run(self, stop: CancellationToken) {
        if !self.parts.signed.partners().is_enabled() {
            return;
        }
        while !stop.is_cancelled() {
            if let Err(error) = self.run_until(&stop).await {
                tracing::error!(%error, "sending to other servers was interrupted");
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(STORE_PAUSE) => {}
                }
            }
        }
    }

    async fn run_until(&self, stop: &CancellationToken) -> Result<()> {
        // Subscribe, then sample, then wait.
        let mut feed = self.store().subscribe();
        let mut typing = self.parts.typing.changes();
        let at = self.watermark().await?;
        let told = edus::Told::begin(at, &self.parts);
        let mut run = Run { at, written: at, peers: Peers::new(self.clone()), told };
        for destination in self.waiting().await? {
            run.peers.wake(&destination).await?;
        }
        let mut tick = tokio::time::interval(edus::TICK);
        let contacts = self.parts.signed.partners().contacts().awaited().clone();
        loop {
            let is_behind = self.route(&mut run).await?;
            self.tell(&mut run).await?;
            run.peers.start_due();
            if is_behind {
                continue;
            }
            let pause = run.peers.until_due();
            tokio::select! {
                () = stop.cancelled() => return self.put_watermark(&mut run).await,
                received = feed.recv() => self.hear(&mut run, received, &mut feed).await?,
                Some((destination, outcome)) = run.peers.finished() => {
                    run.peers.settle(&destination, outcome).await?;
                }
                () = contacts.news() => {
                    let back = contacts.take_back();
                    run.peers.are_back(&back);
                    for server in &back {
                        self.parts.devices.is_back(server).await?;
                    }
                }
                Ok(()) = typing.changed() => { typing.borrow_and_update(); }
                _ = tick.tick() => run.told.tick(),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Takes in what the feed says, all of it that is there already.
    async fn hear(
        &self,
        run: &mut Run,
        received: Result<Committed, RecvError>,
        feed: &mut Receiver<Committed>,
    ) -> Result<()> {
        let mut next = Some(received);
        while let Some(received) = next {
            match received {
                Ok(committed) => {
                    for topic in committed.topics.iter() {
                        match topic {
                            Topic::Room(room) => run.told.may_have_receipts(*room),
                            Topic::Server(destination) => run.peers.wake(destination).await?,
                            _ => {}
                        }
                    }
                }
                Err(RecvError::Lagged(_)) => {
                    run.told.may_all_have_receipts();
                    for destination in self.waiting().await? {
                        run.peers.wake(&destination).await?;
                    }
                }
                Err(RecvError::Closed) => return Err(StoreError::Closed.into()),
            }
            next = feed.try_recv().ok().map(Ok);
        }
        Ok(())
    }

    /// How far the log was looked at. A server that never sent begins at the end of the log.
    async fn watermark(&self) -> Result<Position> {
        let now = self.store().position();
        self.store()
            .write(|tx| async move {
                if let Some(at) = tx.get(&SendWatermarkKey {}).await? {
                    return Ok(at);
                }
                tx.put(&SendWatermarkKey {}, &now)?;
                Ok::<_, Error>(now)
            })
            .await
    }

    async fn put_watermark(&self, run: &mut Run) -> Result<()> {
        let at = &run.at;
        self.store()
            .write(|tx| async move { Ok::<_, Error>(tx.put(&SendWatermarkKey {}, at)?) })
            .await?;
        run.written = run.at;
        Ok(())
    }

    /// The servers for which something waits.
    async fn waiting(&self) -> Result<Vec<OwnedServerName>> {
        /// The first parts of a table's keys, each once.
        macro_rules! destinations {
            ($found:ident, $($key:ident),+) => {$({
                let mut range = Scan::<$key>::prefix(()).limit(1);
                while let Some(row) = self.store().scan(&range).await?.into_iter().next() {
                    range = range.after((row.key.destination.clone(),));
                    $found.push(row.key.destination);
                }
            })+};
        }
        let mut found = Vec::new();
        destinations!(found, SendQueueKey, SendBehindKey, ToDeviceOutKey, DeviceListOutKey);
        for row in self.store().scan(&Scan::<DestinationKey>::prefix(())).await? {
            if row.record.pending.is_some() {
                found.push(row.key.destination);
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

#[cfg(test)]
pub(super) mod tests;
