//! The backend on sled 0.34: one tree, one writing thread, acknowledged means on disk.
//!
//! * All writes go through the committer: see its module. [`Sled::position`] is the newest *durable*
//!   commit. A point read may see a commit a moment before it is durable; streams that are bounded by
//!   the position never do, and a transaction that only read waits until what it read is durable.
//! * Every value carries a checksum over key and value, verified by every read.
//! * Panics of sled end at a boundary and become [`StoreError::Corrupt`].

pub(crate) mod boundary;
mod committer;
mod engine;
pub(crate) mod files;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};

use parking_lot::Mutex;
use pli_schema::Position;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use self::{
    boundary::of_io,
    committer::{Committer, Durable, Published, Request, last_position},
    engine::Engine,
    files::Mark,
};
use crate::{
    Batch, Committed, Durability, OpenOptions, RawScan, RawValue, StoreError, limits,
    tap::{Change, Tap, Taps},
};

/// A key and the bytes kept under it.
pub(crate) type RawRow = (Vec<u8>, Vec<u8>);

/// The backend. Clones share it; the last one that goes away closes it.
#[derive(Clone, Debug)]
pub struct Sled {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    engine: Arc<Engine>,
    queue: Mutex<Option<mpsc::Sender<Request>>>,
    published: Published,
    committer: Mutex<Option<JoinHandle<()>>>,
    /// Held until the committer has ended.
    lock: Mutex<Option<File>>,
}

impl Sled {
    /// Opens the store's directory. Blocks: call it where that is allowed.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if another process has it; [`StoreError::Corrupt`] if it is damaged or
    /// if acknowledged commits are missing.
    pub(crate) fn open(options: &OpenOptions) -> Result<Self, StoreError> {
        let dir: &Path = &options.dir;
        files::make_dir(dir)?;
        let lock = files::lock(dir)?;
        let mut mark = Mark::open(dir)?;
        let engine_dir = files::engine_dir(dir);
        let engine = Arc::new(Engine::open(&engine_dir, options.cache_bytes, options.durability)?);
        if let Err(error) = files::keep_reserve(dir, 0) {
            tracing::warn!(%error, "there is little space for the store");
        }
        files::sync_dir(dir)?;
        let position = last_position(&engine)?;
        if let Some(noted) = mark.read().filter(|noted| *noted > position) {
            return Err(StoreError::Corrupt(format!(
                "the store ends at commit {position} but commit {noted} was acknowledged: its end is \
                 missing; {}",
                boundary::WHAT_TO_DO
            )));
        }
        let published = Published {
            taps: Taps::default(),
            durable: watch::Sender::new(Durable { position, trouble: None }),
            feed: broadcast::Sender::new(limits::FEED_MAX),
        };
        let (queue, requests) = mpsc::channel(limits::QUEUE_MAX);
        let committer = Committer::new(
            Arc::clone(&engine),
            requests,
            published.clone(),
            mark,
            options.dir.clone(),
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|e| of_io("starting the committer", &e))?;
        let thread = std::thread::Builder::new()
            .name("store committer".to_owned())
            .spawn(move || committer.run(&runtime))
            .map_err(|e| of_io("starting the committer", &e))?;
        let shared = Shared {
            engine,
            queue: Mutex::new(Some(queue)),
            published,
            committer: Mutex::new(Some(thread)),
            lock: Mutex::new(Some(lock)),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<RawValue>, StoreError> {
        self.shared.engine.get(key)
    }

    pub(crate) fn scan(&self, scan: &RawScan) -> Result<Vec<(Vec<u8>, RawValue)>, StoreError> {
        self.shared.engine.scan(scan)
    }

    pub(crate) async fn commit(&self, batch: Batch) -> Result<Position, StoreError> {
        let queue = self.shared.queue.lock().clone().ok_or(StoreError::Closed)?;
        let (answer, answered) = oneshot::channel();
        queue.send(Request { batch, answer }).await.map_err(|_| StoreError::Closed)?;
        drop(queue);
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Waits until a commit is durable.
    pub(crate) async fn durable(&self, position: Position) -> Result<(), StoreError> {
        let mut published = self.shared.published.durable.subscribe();
        let reached = published
            .wait_for(|durable| durable.position >= position || durable.trouble.is_some())
            .await
            .map_err(|_| StoreError::Closed)?;
        match &reached.trouble {
            Some(trouble) if reached.position < position => Err(trouble.clone()),
            _ => Ok(()),
        }
    }

    pub(crate) fn position(&self) -> Position {
        self.shared.published.durable.borrow().position
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Committed> {
        self.shared.published.feed.subscribe()
    }

    /// The rows of a scan as they are on disk, not yet verified.
    pub(crate) fn scan_raw(&self, scan: &RawScan) -> Result<Vec<RawRow>, StoreError> {
        let rows = self.shared.engine.scan_raw(scan)?;
        Ok(rows.into_iter().map(|(key, bytes)| (key.to_vec(), bytes.to_vec())).collect())
    }

    /// Notes all changes from the next group on.
    pub(crate) fn tap(&self) -> Arc<Tap> {
        self.shared.published.taps.open()
    }

    /// Bytes on disk.
    pub(crate) fn size_on_disk(&self) -> Result<u64, StoreError> {
        self.shared.engine.size_on_disk()
    }

    /// Flushes and closes; waits until the directory is free for another. Blocks.
    pub(crate) fn close(&self) {
        self.shared.close();
    }
}

/// Fills a fresh store, without transactions; for `restore`.
pub(crate) struct Loader {
    engine: Engine,
    dir: PathBuf,
}

impl Loader {
    /// Begins a store in a directory that is not there.
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        files::make_dir(dir)?;
        // Each piece need not be durable: a restore that is interrupted begins anew.
        let engine = Engine::open(&files::engine_dir(dir), cache_bytes, Durability::Relaxed)?;
        Ok(Self { engine, dir: dir.to_owned() })
    }

    /// Applies rows in order.
    pub(crate) fn apply(&self, rows: Vec<Change>) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for (key, value) in rows {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.engine.apply(batch)
    }

    /// Makes all of it durable and closes it.
    pub(crate) fn finish(self) -> Result<(), StoreError> {
        self.engine.flush()?;
        self.engine.close();
        // The next opening syncs the small files; the big one is synced here.
        let db = files::engine_dir(&self.dir).join("db");
        File::open(db).and_then(|db| db.sync_all()).map_err(|e| of_io("syncing the file db", &e))
    }
}

impl Shared {
    fn close(&self) {
        drop(self.queue.lock().take());
        let committer = self.committer.lock().take();
        if let Some(thread) = committer
            && thread.join().is_err()
        {
            tracing::error!("the committer of the store had panicked");
        }
        drop(self.lock.lock().take());
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}
