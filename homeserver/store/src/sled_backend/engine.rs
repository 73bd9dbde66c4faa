//! sled, opened and used so that it keeps its promise.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use parking_lot::RwLock;

use super::{
    boundary::{guarded, of_io},
    files,
};
use crate::{Direction, Durability, RawScan, RawValue, StoreError, decode_value, limits};

/// An open sled, which may be closed and opened again under its users.
#[derive(Debug)]
pub(super) struct Engine {
    dir: PathBuf,
    cache_bytes: u64,
    durability: Durability,
    /// Or why it is not open.
    open: RwLock<Result<Open, StoreError>>,
    /// Bytes that went to the log since it was opened.
    log_bytes: AtomicU64,
}

#[derive(Debug)]
struct Open {
    db: sled::Db,
    /// The file `db` of sled, for the sync that sled does not do.
    file: File,
}

impl Engine {
    /// Opens sled in `dir`, repairing what can be repaired without loss.
    pub(super) fn open(
        dir: &Path,
        cache_bytes: u64,
        durability: Durability,
    ) -> Result<Self, StoreError> {
        files::make_dir(dir)?;
        let engine = Self {
            dir: dir.to_owned(),
            cache_bytes,
            durability,
            open: RwLock::new(Err(StoreError::Closed)),
            log_bytes: AtomicU64::new(0),
        };
        *engine.open.write() = Ok(engine.started()?);
        Ok(engine)
    }

    fn started(&self) -> Result<Open, StoreError> {
        files::tidy(&self.dir)?;
        let db = match self.sled() {
            Err(StoreError::Corrupt(text)) => {
                // A snapshot only spares reading the log, so a damaged one can go.
                if !files::set_snapshots_aside(&self.dir)? {
                    return Err(StoreError::Corrupt(text));
                }
                self.sled()?
            }
            other => other?,
        };
        if self.durability == Durability::Sync {
            files::sync_once(&self.dir)?;
        }
        let file = File::options()
            .read(true)
            .write(true)
            .open(self.dir.join("db"))
            .map_err(|e| of_io("opening the file db", &e))?;
        self.log_bytes.store(0, Ordering::Relaxed);
        Ok(Open { db, file })
    }

    /// Opens sled itself. Its lock may still be held for a moment by an instance that is going away.
    fn sled(&self) -> Result<sled::Db, StoreError> {
        let config = sled::Config::new()
            .path(&self.dir)
            .cache_capacity(self.cache_bytes)
            .mode(sled::Mode::LowSpace)
            .flush_every_ms(Some(500));
        let until = Instant::now() + limits::RELEASE_MAX;
        loop {
            match guarded("opening the store", || config.open()) {
                Err(StoreError::Io(text)) if text.contains("could not acquire lock") => {
                    if Instant::now() >= until {
                        return Err(StoreError::Unusable(format!(
                            "{text}: another process has the store open"
                        )));
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
                other => return other,
            }
        }
    }

    /// Closes sled and opens it again: from the disk, with a new snapshot. Readers wait.
    pub(super) fn reopen(&self) -> Result<(), StoreError> {
        let mut open = self.open.write();
        release(std::mem::replace(&mut *open, Err(StoreError::Closed)).ok());
        *open = self.started();
        open.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.read().is_ok()
    }

    /// Closes sled; everything after this is [`StoreError::Closed`].
    pub(super) fn close(&self) {
        release(std::mem::replace(&mut *self.open.write(), Err(StoreError::Closed)).ok());
    }

    /// Bytes that went to the log since sled was opened: what the next start has to read.
    pub(super) fn log_bytes(&self) -> u64 {
        self.log_bytes.load(Ordering::Relaxed)
    }

    fn with<T>(&self, f: impl FnOnce(&Open) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let open = self.open.read();
        f(open.as_ref().map_err(Clone::clone)?)
    }

    /// The bytes under a key, not yet verified.
    pub(super) fn raw(&self, key: &[u8]) -> Result<Option<sled::IVec>, StoreError> {
        self.with(|open| guarded("reading", || open.db.get(key)))
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<RawValue>, StoreError> {
        self.raw(key)?.map(|bytes| decode_value(key, &bytes)).transpose()
    }

    pub(super) fn scan(&self, scan: &RawScan) -> Result<Vec<(Vec<u8>, RawValue)>, StoreError> {
        let rows = self.scan_raw(scan)?;
        rows.into_iter()
            .map(|(key, bytes)| {
                let value = decode_value(&key, &bytes)?;
                Ok((key.to_vec(), value))
            })
            .collect()
    }

    /// The rows of a scan, not yet verified.
    pub(super) fn scan_raw(
        &self,
        scan: &RawScan,
    ) -> Result<Vec<(sled::IVec, sled::IVec)>, StoreError> {
        if scan.start >= scan.end {
            return Ok(Vec::new());
        }
        self.with(|open| {
            guarded("scanning", || {
                let range = open.db.range(scan.start.as_slice()..scan.end.as_slice());
                match scan.direction {
                    Direction::Forward => range.take(scan.limit).collect(),
                    Direction::Backward => range.rev().take(scan.limit).collect(),
                }
            })
        })
    }

    /// Applies a batch, all or nothing; not yet durable.
    pub(super) fn apply(&self, batch: sled::Batch) -> Result<(), StoreError> {
        self.with(|open| guarded("writing", || open.db.apply_batch(batch)))
    }

    /// Makes everything that was applied durable.
    ///
    /// `flush` of sled writes and then only calls `sync_file_range`, which promises nothing about
    /// metadata or the disk's cache; so the file is synced by us.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        self.with(|open| {
            let bytes = guarded("flushing", || open.db.flush())?;
            self.log_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            if self.durability == Durability::Sync {
                open.file.sync_data().map_err(|e| of_io("syncing the file db", &e))?;
            }
            Ok(())
        })
    }

    /// Bytes on disk.
    pub(super) fn size_on_disk(&self) -> Result<u64, StoreError> {
        self.with(|open| guarded("measuring", || open.db.size_on_disk()))
    }
}

/// Drops sled. It joins its own threads there, which after damage may never end; so that happens
/// elsewhere and is waited for only so long.
fn release(open: Option<Open>) {
    let Some(open) = open else { return };
    let (done, is_done) = std::sync::mpsc::channel();
    let dropping = std::thread::Builder::new().name("store release".to_owned()).spawn(move || {
        let _ = guarded("closing", || {
            drop(open);
            Ok(())
        });
        let _ = done.send(());
    });
    if dropping.is_err() || is_done.recv_timeout(limits::RELEASE_MAX).is_err() {
        tracing::warn!("the engine did not let go of its files in time");
    }
}
