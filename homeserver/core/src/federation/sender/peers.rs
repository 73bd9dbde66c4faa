//! The servers that are sent to: who is at work, who is waited for, and when each is tried again.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use parking_lot::Mutex;
use pli_schema::records::sending::{DestinationKey, SendBehindKey, SendQueueKey};
use pli_store::Scan;
use ruma::{OwnedServerName, ServerName};
use tokio::task::JoinSet;

use super::{Sender, deliver::Outcome, edus::Edus};
use crate::{MilliSeconds, Result};

/// Events that wait for one server; of further ones only the newest of each room are kept.
pub(super) const QUEUE_MAX: usize = 500;
/// Servers kept in memory while nothing waits for them.
const IDLE_MAX: usize = 10_000;
/// A server that is heard of is not tried again sooner than this after the last time.
const RETRY_GAP_MS: u64 = 1_000;
/// The pause after a task broke off.
const BROKEN_PAUSE_MS: u64 = 60_000;
/// The longest time until the clock is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What the sender and the task of a server share.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Events in the server's queue.
    pub(super) queued: AtomicUsize,
    /// Events are missing in the queue: the rooms are noted.
    pub(super) behind: AtomicBool,
    /// What is in no store: it is told now or never.
    pub(super) edus: Mutex<Edus>,
}

#[derive(Debug)]
struct Peer {
    lane: Arc<Lane>,
    busy: bool,
    /// Something came while the task was at work.
    again: bool,
    /// When the task is started, if not before.
    due_ms: Option<MilliSeconds>,
    /// The server did not take the last transaction.
    failing: bool,
    tried_ms: MilliSeconds,
}

/// The servers that are sent to.
pub(super) struct Peers {
    sender: Sender,
    peers: BTreeMap<OwnedServerName, Peer>,
    due: BTreeSet<(MilliSeconds, OwnedServerName)>,
    tasks: JoinSet<(OwnedServerName, Outcome)>,
    /// Nothing is sent.
    #[cfg(test)]
    paused: bool,
}

impl Peers {
    pub(super) fn new(sender: Sender) -> Self {
        Self {
            sender,
            peers: BTreeMap::new(),
            due: BTreeSet::new(),
            tasks: JoinSet::new(),
            #[cfg(test)]
            paused: false,
        }
    }

    /// Peers that are never sent to.
    #[cfg(test)]
    pub(super) fn paused(sender: Sender) -> Self {
        Self { paused: true, ..Self::new(sender) }
    }

    /// The lane of a server, read from the store unless it is in memory.
    pub(super) async fn lane(&mut self, destination: &OwnedServerName) -> Result<Arc<Lane>> {
        if let Some(peer) = self.peers.get(destination) {
            return Ok(Arc::clone(&peer.lane));
        }
        self.bound();
        let store = self.sender.store();
        let queue = Scan::<SendQueueKey>::prefix((destination.clone(),));
        let queued = store.scan(&queue.limit(QUEUE_MAX)).await?.len();
        let behind = self.is_behind(destination).await?;
        let key = DestinationKey { destination: destination.clone() };
        let record = store.get(&key).await?.unwrap_or_default();
        let lane = Arc::new(Lane {
            queued: AtomicUsize::new(queued),
            behind: AtomicBool::new(behind),
            edus: Mutex::default(),
        });
        let failing = record.failures > 0;
        let peer = Peer {
            lane: Arc::clone(&lane),
            busy: false,
            again: false,
            due_ms: None,
            failing,
            tried_ms: 0,
        };
        self.peers.insert(destination.clone(), peer);
        if failing {
            self.wait_until(destination, record.retry_at_ms);
            self.sender.parts.signed.partners().contacts().awaited().wait_for(destination);
        }
        Ok(lane)
    }

    async fn is_behind(&self, destination: &OwnedServerName) -> Result<bool> {
        let behind = Scan::<SendBehindKey>::prefix((destination.clone(),)).limit(1);
        Ok(!self.sender.store().scan(&behind).await?.is_empty())
    }

    /// Forgets servers for which nothing waits, above the limit.
    fn bound(&mut self) {
        if self.peers.len() >= IDLE_MAX {
            self.peers.retain(|_, peer| {
                peer.busy || peer.due_ms.is_some() || !peer.lane.edus.lock().is_empty()
            });
        }
    }

    /// Something waits for a server. One that fails is left alone until it is due.
    pub(super) async fn wake(&mut self, destination: &OwnedServerName) -> Result<()> {
        self.lane(destination).await?;
        let Some(peer) = self.peers.get_mut(destination) else { return Ok(()) };
        if peer.busy {
            peer.again = true;
        } else if !peer.failing {
            self.start(destination);
        }
        Ok(())
    }

    /// As [`Self::wake`], but not at once: what comes until then goes along.
    pub(super) async fn wake_at(
        &mut self,
        destination: &OwnedServerName,
        at_ms: MilliSeconds,
    ) -> Result<()> {
        if at_ms <= self.sender.clock().now_ms() {
            return self.wake(destination).await;
        }
        self.lane(destination).await?;
        let Some(peer) = self.peers.get_mut(destination) else { return Ok(()) };
        if peer.busy {
            peer.again = true;
        } else if !peer.failing && peer.due_ms.is_none_or(|due_ms| due_ms > at_ms) {
            self.wait_until(destination, at_ms);
        }
        Ok(())
    }

    /// Whether a server does not take transactions at the moment.
    pub(super) fn is_failing(&self, destination: &ServerName) -> bool {
        self.peers.get(destination).is_some_and(|peer| peer.failing)
    }

    fn wait_until(&mut self, destination: &OwnedServerName, at_ms: MilliSeconds) {
        let Some(peer) = self.peers.get_mut(destination) else { return };
        if let Some(due_ms) = peer.due_ms.replace(at_ms) {
            self.due.remove(&(due_ms, destination.clone()));
        }
        self.due.insert((at_ms, destination.clone()));
    }

    fn start(&mut self, destination: &OwnedServerName) {
        #[cfg(test)]
        if self.paused {
            return;
        }
        let now_ms = self.sender.clock().now_ms();
        let Some(peer) = self.peers.get_mut(destination).filter(|peer| !peer.busy) else { return };
        if let Some(due_ms) = peer.due_ms.take() {
            self.due.remove(&(due_ms, destination.clone()));
        }
        (peer.busy, peer.again, peer.tried_ms) = (true, false, now_ms);
        let (sender, lane) = (self.sender.clone(), Arc::clone(&peer.lane));
        let destination = destination.clone();
        self.tasks.spawn(async move {
            let sent = AssertUnwindSafe(sender.deliver_all(&destination, &lane)).catch_unwind();
            let outcome = match sent.await {
                Ok(outcome) => outcome,
                Err(_) => {
                    tracing::error!(%destination, "sending to a server has broken off");
                    Outcome::Failed { retry_at_ms: now_ms.saturating_add(BROKEN_PAUSE_MS) }
                }
            };
            (destination, outcome)
        });
    }

    /// Starts those whose time has come.
    pub(super) fn start_due(&mut self) {
        let now_ms = self.sender.clock().now_ms();
        while let Some((due_ms, destination)) = self.due.first().cloned() {
            if due_ms > now_ms {
                break;
            }
            self.due.pop_first();
            if let Some(peer) = self.peers.get_mut(&destination) {
                peer.due_ms = None;
            }
            self.start(&destination);
        }
    }

    /// The time until the next one is due.
    pub(super) fn until_due(&self) -> Duration {
        let now_ms = self.sender.clock().now_ms();
        self.due.first().map_or(LOOK_AGAIN, |(due_ms, _)| {
            Duration::from_millis(due_ms.saturating_sub(now_ms)).min(LOOK_AGAIN)
        })
    }

    /// A task that has ended; `None` if none is at work.
    pub(super) async fn finished(&mut self) -> Option<(OwnedServerName, Outcome)> {
        self.tasks.join_next().await?.ok()
    }

    /// What follows from the end of a server's task.
    pub(super) async fn settle(
        &mut self,
        destination: &OwnedServerName,
        outcome: Outcome,
    ) -> Result<()> {
        let is_behind = self.is_behind(destination).await?;
        let Some(peer) = self.peers.get_mut(destination) else { return Ok(()) };
        peer.busy = false;
        peer.failing = false;
        peer.lane.behind.store(is_behind, Ordering::Release);
        let contacts = self.sender.parts.signed.partners().contacts().awaited().clone();
        match outcome {
            Outcome::Nothing => {
                contacts.no_longer(destination);
                if std::mem::take(&mut peer.again) {
                    self.start(destination);
                }
            }
            Outcome::Failed { retry_at_ms } => {
                peer.failing = true;
                contacts.wait_for(destination);
                self.wait_until(destination, retry_at_ms);
            }
        }
        Ok(())
    }

    /// Servers that failed were heard of: they are tried again soon.
    pub(super) fn are_back(&mut self, back: &BTreeSet<OwnedServerName>) {
        for destination in back {
            let Some(peer) = self.peers.get(destination).filter(|peer| peer.failing) else {
                continue;
            };
            let soon_ms = peer.tried_ms.saturating_add(RETRY_GAP_MS);
            self.wait_until(destination, soon_ms.max(self.sender.clock().now_ms()));
        }
    }
}
