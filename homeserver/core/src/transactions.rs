//! What happens on this server, told to application services in transactions: in the order of the log,
//! one at a time, each until the service has taken it.
//!
//! A transaction is in the store before it is sent, together with the place in the log that it reaches:
//! after a restart the same transaction is sent again, and what comes after it is found in the log.
//!
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/#pushing-events>

mod batch;
mod deliver;
mod devices;
mod ephemeral;
mod interest;

use std::{collections::BTreeSet, collections::HashSet, sync::Arc, time::Duration};

use pli_schema::{
    Position, RoomNumber, Topic,
    records::appservices::{AppservicePlace, AppserviceProgressKey, AppserviceProgressRecord},
};
use pli_store::{Committed, Store, StoreError};
use ruma::{OwnedDeviceId, OwnedUserId};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use self::{batch::Batch, interest::Interest};
use crate::{
    Encryption, Error, History, Random, Receipts, Result, Rooms, Typing,
    appservices::{Appservice, Appservices},
};

/// After so many commits that do not concern a service its place in the log is written down.
const PLACE_EVERY: u64 = 10_000;
/// The pause after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What transactions are made from.
#[derive(Clone, Debug)]
pub struct TransactionsParts {
    /// The services.
    pub appservices: Appservices,
    /// The rooms.
    pub rooms: Rooms,
    /// To-device messages and device lists.
    pub encryption: Encryption,
    /// Receipts.
    pub receipts: Receipts,
    /// Who is typing.
    pub typing: Typing,
    /// For pauses of different length.
    pub random: Random,
}

/// The transactions of all application services. Clones share everything.
#[derive(Clone, Debug)]
pub struct Transactions {
    parts: Arc<TransactionsParts>,
    history: History,
    /// Where the log and the typing were when the server started: a service that is new is told what
    /// comes after.
    started: (Position, u64),
}

impl Transactions {
    /// Transactions for these services.
    #[must_use]
    pub fn new(parts: TransactionsParts) -> Self {
        let started = (parts.rooms.store().position(), parts.typing.serial());
        Self { history: History::new(parts.rooms.clone()), parts: Arc::new(parts), started }
    }

    fn store(&self) -> &Store {
        self.parts.rooms.store()
    }

    /// Tells every service what concerns it until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        for service in self.parts.appservices.iter().filter(|service| service.url.is_some()) {
            let follower = Follower::new(self.clone(), Arc::clone(service));
            tasks.spawn(follower.run(stop.clone()));
        }
        while tasks.join_next().await.is_some() {}
    }
}

/// Follows the log for one service.
struct Follower {
    all: Transactions,
    service: Arc<Appservice>,
    interest: Interest,
    progress: AppserviceProgressRecord,
    /// The position that the store has as the place of the service.
    written: Position,
    hints: Hints,
    receipts: ephemeral::ReceiptsTold,
}

/// What the feed says may have changed; what did is read from the store.
#[derive(Debug, Default)]
struct Hints {
    /// Nothing is known: the service looks at everything.
    all: bool,
    rooms: HashSet<RoomNumber>,
    users: BTreeSet<OwnedUserId>,
    devices: BTreeSet<(OwnedUserId, OwnedDeviceId)>,
    /// The newest change of typing that was told.
    typing: u64,
}

impl Follower {
    fn new(all: Transactions, service: Arc<Appservice>) -> Self {
        let typing = all.started.1;
        Self {
            interest: Interest::new(all.parts.rooms.clone(), Arc::clone(&service)),
            all,
            service,
            progress: AppserviceProgressRecord::default(),
            written: Position::ZERO,
            hints: Hints { typing, ..Hints::default() },
            receipts: ephemeral::ReceiptsTold::default(),
        }
    }

    async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.follow(&stop).await {
                tracing::error!(service = &*self.service.id, %error, "transactions were interrupted");
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(STORE_PAUSE) => {}
                }
            }
        }
    }

    async fn follow(&mut self, stop: &CancellationToken) -> Result<()> {
        // Subscribe, then sample, then wait.
        let mut feed = self.all.store().subscribe();
        let mut typing = self.all.parts.typing.changes();
        self.interest.forget_all();
        self.progress = self.load().await?;
        self.written = self.progress.place.position;
        let then = self.progress.pending.as_ref().map(|pending| pending.then);
        self.receipts.begin_at(then.unwrap_or(self.progress.place).position);
        typing.borrow_and_update();
        self.hints = Hints { all: true, typing: self.hints.typing, ..Hints::default() };
        loop {
            if self.progress.pending.is_some() {
                if !self.deliver(stop).await? {
                    return Ok(());
                }
                continue;
            }
            let batch = self.gather().await?;
            let (then, is_behind) = (batch.then, batch.is_behind);
            if !batch.is_empty() {
                self.put_pending(batch).await?;
                continue;
            }
            self.progress.place = then;
            if then.position.0.saturating_sub(self.written.0) >= PLACE_EVERY {
                self.put_progress().await?;
            }
            if is_behind {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => return self.put_progress().await,
                received = feed.recv() => self.hear(received, &mut feed)?,
                Ok(()) = typing.changed() => { typing.borrow_and_update(); }
            }
        }
    }

    fn key(&self) -> AppserviceProgressKey {
        AppserviceProgressKey { service: self.service.id.to_string() }
    }

    /// Where the service is. One that is new begins at the end of the log.
    async fn load(&self) -> Result<AppserviceProgressRecord> {
        let key = &self.key();
        let (position, _) = self.all.started;
        self.all
            .store()
            .write(|tx| async move {
                if let Some(record) = tx.get(key).await? {
                    return Ok(record);
                }
                let place = AppservicePlace { position, skip: 0 };
                let record = AppserviceProgressRecord { place, next_txn: 1, pending: None };
                tx.put(key, &record)?;
                Ok::<_, Error>(record)
            })
            .await
    }

    async fn put_progress(&mut self) -> Result<()> {
        let (key, progress) = (&self.key(), &self.progress);
        self.all
            .store()
            .write(|tx| async move {
                tx.put(key, progress)?;
                Ok::<_, Error>(())
            })
            .await?;
        self.written = self.progress.place.position;
        Ok(())
    }

    /// Takes in what the feed says, all of it that is there already.
    fn hear(
        &mut self,
        received: Result<Committed, RecvError>,
        feed: &mut Receiver<Committed>,
    ) -> Result<()> {
        let mut next = Some(received);
        while let Some(received) = next {
            match received {
                Ok(committed) => {
                    for topic in committed.topics.iter() {
                        self.note(topic);
                    }
                }
                Err(RecvError::Lagged(_)) => self.hints.all = true,
                Err(RecvError::Closed) => return Err(StoreError::Closed.into()),
            }
            next = feed.try_recv().ok().map(Ok);
        }
        Ok(())
    }

    fn note(&mut self, topic: &Topic) {
        match topic {
            Topic::Room(room) if self.service.wants_ephemeral => {
                self.hints.rooms.insert(*room);
            }
            Topic::User(user_id)
                if self.service.wants_ephemeral && self.service.covers_user(user_id) =>
            {
                self.hints.users.insert(user_id.clone());
            }
            Topic::Device(user_id, device_id) if self.service.owns_user(user_id) => {
                self.hints.devices.insert((user_id.clone(), device_id.clone()));
            }
            _ => {}
        }
    }

    /// What the service is to be told next.
    async fn gather(&mut self) -> Result<Batch> {
        let mut batch = self.events().await?;
        // Up to here everything is told; what came later waits for the next transaction.
        let (from, to) = (self.progress.place.position, batch.then.position);
        let now = self.all.store().position();
        if self.service.wants_ephemeral {
            self.add_receipts(&mut batch, to).await?;
            self.add_typing(&mut batch).await?;
        }
        self.add_devices(&mut batch, now).await?;
        if self.service.wants_device_lists {
            self.add_device_lists(&mut batch, from, to).await?;
        }
        self.hints.all = false;
        Ok(batch)
    }
}
