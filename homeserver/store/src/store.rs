//! The typed store that the core holds.

use std::{future::Future, sync::Arc};

use pli_schema::{Key, Position, Record};
use tokio::sync::broadcast;

use crate::{Backend, Committed, Row, Scan, StoreError, Stored, Tx, memory::Memory};

/// How often a transaction is run again when others overtake it.
const TRIES: usize = 64;
/// After how many tries a transaction stands in line with the others that were overtaken so often.
const TRIES_AT_ONCE: usize = 4;

/// The store. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) backend: Backend,
    /// A fair line for transactions that were overtaken often, so that none of them starves.
    line: Arc<tokio::sync::Mutex<()>>,
}

impl Store {
    /// A store on a backend.
    #[must_use]
    pub fn new(backend: Backend) -> Self {
        Self { backend, line: Arc::default() }
    }

    /// An empty store in memory, for tests.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(Backend::Memory(Memory::default()))
    }

    /// The record under a key.
    ///
    /// # Errors
    /// [`StoreError`] if the backend fails or the record is damaged.
    pub async fn get<K: Key>(&self, key: &K) -> Result<Option<K::Record>, StoreError> {
        Ok(self.get_stored(key).await?.map(|stored| stored.record))
    }

    /// The record under a key, with the position of the commit that wrote it.
    ///
    /// # Errors
    /// [`StoreError`] if the backend fails or the record is damaged.
    pub async fn get_stored<K: Key>(
        &self,
        key: &K,
    ) -> Result<Option<Stored<K::Record>>, StoreError> {
        let Some(value) = self.backend.get(&key.encode().bytes).await? else {
            return Ok(None);
        };
        let record = K::Record::decode(&value.record)?;
        Ok(Some(Stored { position: value.position, record }))
    }

    /// The records under several keys, in their order.
    ///
    /// # Errors
    /// [`StoreError`] if the backend fails or a record is damaged.
    pub async fn get_many<K: Key>(&self, keys: &[K]) -> Result<Vec<Option<K::Record>>, StoreError> {
        let mut out = Vec::with_capacity(keys.len());
        for key in keys {
            out.push(self.get(key).await?);
        }
        Ok(out)
    }

    /// The rows of a scan.
    ///
    /// # Errors
    /// [`StoreError`] if the backend fails or a row is damaged.
    pub async fn scan<K: Key>(&self, scan: &Scan<K>) -> Result<Vec<Row<K>>, StoreError> {
        let rows = self.backend.scan(scan.raw()).await?;
        rows.into_iter()
            .map(|(key, value)| {
                Ok(Row {
                    key: K::decode(&key)?,
                    position: value.position,
                    record: K::Record::decode(&value.record)?,
                })
            })
            .collect()
    }

    /// Runs a transaction: the closure reads and writes through its [`Tx`]; then everything it wrote
    /// becomes durable as one batch, provided that nothing it read has changed, else the closure runs
    /// again. So the closure must have no effect but through its `Tx`. Returns once the batch is on
    /// disk.
    ///
    /// # Errors
    /// Those of the closure (nothing is written then), and [`StoreError`] as `E`.
    pub async fn write<T, E, F, Fut>(&self, f: F) -> Result<T, E>
    where
        F: Fn(Tx) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: From<StoreError>,
    {
        self.write_at(f).await.map(|(value, _)| value)
    }

    /// As [`Self::write`], also with the position of the commit (the current one if nothing was
    /// written).
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn write_at<T, E, F, Fut>(&self, f: F) -> Result<(T, Position), E>
    where
        F: Fn(Tx) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: From<StoreError>,
    {
        let mut turn = None;
        for tries in 0..TRIES {
            if tries >= TRIES_AT_ONCE && turn.is_none() {
                turn = Some(self.line.lock().await);
            }
            let tx = Tx::new(self.backend.clone());
            let value = f(tx.clone()).await?;
            let Some(batch) = tx.take_batch() else {
                // An answer that rests on a commit must not be given before that commit is durable.
                self.backend.durable(tx.newest_read()).await?;
                return Ok((value, self.position()));
            };
            match self.backend.commit(batch).await {
                Ok(position) => return Ok((value, position)),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// The position of the newest durable commit. A stream read up to here misses nothing older.
    #[must_use]
    pub fn position(&self) -> Position {
        self.backend.position()
    }

    /// Bytes that the store takes on disk; 0 in memory.
    ///
    /// # Errors
    /// [`StoreError`] if the engine fails.
    pub fn size_on_disk_bytes(&self) -> Result<u64, StoreError> {
        self.backend.size_on_disk()
    }

    /// The feed of commits from now on, in order. A subscriber that lags is told so
    /// ([`broadcast::error::RecvError::Lagged`]) and must then look at everything: the feed wakes, the
    /// store tells. Subscribe first, then sample, then wait.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Committed> {
        self.backend.subscribe()
    }
}
