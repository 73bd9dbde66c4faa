//! An optimistic transaction: what it reads is checked at commit, what it writes is one batch.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use pli_schema::{Key, Position, Record, Topic, key::EncodedKey};

use crate::{Backend, Batch, Expectation, Op, Row, Scan, StoreError, Stored};

/// A transaction in the making. Clones are handles to the same one, so that an `async` closure can own
/// it. See [`crate::Store::write`].
#[derive(Clone, Debug)]
pub struct Tx {
    backend: Backend,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    expect: BTreeMap<Vec<u8>, Option<Position>>,
    /// Own writes by key bytes, so that a transaction reads what it wrote. Stamped keys are kept apart:
    /// they cannot be read before they have a position.
    written: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    stamped: Vec<(EncodedKey, Vec<u8>)>,
    topics: Vec<Topic>,
    newest_read: Position,
}

impl Tx {
    pub(crate) fn new(backend: Backend) -> Self {
        Self { backend, state: Arc::default() }
    }

    /// The record under a key; own writes are seen. The read is checked at commit.
    ///
    /// # Errors
    /// [`StoreError`] if the backend fails or the record is damaged.
    pub async fn get<K: Key>(&self, key: &K) -> Result<Option<K::Record>, StoreError> {
        Ok(self.get_stored(key).await?.map(|stored| stored.record))
    }

    /// What this transaction itself has written under a key. Not a read: nothing is checked at commit.
    pub(crate) fn own<K: Key>(&self, key: &K) -> Option<Result<K::Record, StoreError>> {
        let state = self.state.lock();
        let bytes = state.written.get(&key.encode().bytes)?.as_ref()?;
        Some(K::Record::decode(bytes).map_err(StoreError::from))
    }

    /// As [`Self::get`], with the position of the commit that wrote the record ([`Position::MAX`] for
    /// own writes).
    ///
    /// # Errors
    /// [`StoreError`] if the backend fails or the record is damaged.
    pub async fn get_stored<K: Key>(
        &self,
        key: &K,
    ) -> Result<Option<Stored<K::Record>>, StoreError> {
        let encoded = key.encode();
        if let Some(own) = self.state.lock().written.get(&encoded.bytes) {
            return match own {
                Some(bytes) => {
                    let record = K::Record::decode(bytes)?;
                    Ok(Some(Stored { position: Position::MAX, record }))
                }
                None => Ok(None),
            };
        }
        let found = self.backend.get(&encoded.bytes).await?;
        let written_at = found.as_ref().map(|value| value.position);
        self.state.lock().read(encoded.bytes, written_at);
        match found {
            Some(value) => {
                let record = K::Record::decode(&value.record)?;
                Ok(Some(Stored { position: value.position, record }))
            }
            None => Ok(None),
        }
    }

    /// The rows of a scan, **without** own writes. Each row found is checked at commit; rows that
    /// others add to the range meanwhile are not noticed, so an invariant over a range needs a record
    /// of its own that every writer reads and writes.
    ///
    /// # Errors
    /// [`StoreError`] if the backend fails or a row is damaged.
    pub async fn scan<K: Key>(&self, scan: &Scan<K>) -> Result<Vec<Row<K>>, StoreError> {
        let rows = self.backend.scan(scan.raw()).await?;
        let mut state = self.state.lock();
        rows.into_iter()
            .map(|(key, value)| {
                let row = Row {
                    key: K::decode(&key)?,
                    position: value.position,
                    record: K::Record::decode(&value.record)?,
                };
                state.read(key, Some(value.position));
                Ok(row)
            })
            .collect()
    }

    /// Writes a record. A key with a [`pli_schema::Stamp::Commit`] gets the position of the commit.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the record cannot be encoded.
    pub fn put<K: Key>(&self, key: &K, record: &K::Record) -> Result<(), StoreError> {
        let bytes = record.encode()?;
        let key = key.encode();
        let mut state = self.state.lock();
        if key.stamp.is_some() {
            state.stamped.push((key, bytes));
        } else {
            state.written.insert(key.bytes, Some(bytes));
        }
        Ok(())
    }

    /// Removes a record; nothing happens if there is none.
    pub fn delete<K: Key>(&self, key: &K) {
        self.state.lock().written.insert(key.encode().bytes, None);
    }

    /// Says what the commit is about; waiters on the topic wake once it is durable.
    pub fn wake(&self, topic: Topic) {
        let mut state = self.state.lock();
        if !state.topics.contains(&topic) {
            state.topics.push(topic);
        }
    }

    /// The newest commit that wrote something that was read.
    pub(crate) fn newest_read(&self) -> Position {
        self.state.lock().newest_read
    }

    /// The batch; `None` if nothing is to be written.
    pub(crate) fn take_batch(&self) -> Option<Batch> {
        let mut state = self.state.lock();
        if state.written.is_empty() && state.stamped.is_empty() && state.topics.is_empty() {
            return None;
        }
        let state = std::mem::take(&mut *state);
        let expect = state.expect.into_iter();
        let plain = state.written.into_iter().map(|(bytes, record)| {
            let key = EncodedKey { bytes, stamp: None };
            match record {
                Some(record) => Op::Put { key, record },
                None => Op::Delete { key },
            }
        });
        let stamped = state.stamped.into_iter().map(|(key, record)| Op::Put { key, record });
        Some(Batch {
            expect: expect.map(|(key, written_at)| Expectation { key, written_at }).collect(),
            ops: plain.chain(stamped).collect(),
            topics: state.topics,
        })
    }
}

impl State {
    fn read(&mut self, key: Vec<u8>, written_at: Option<Position>) {
        self.newest_read = self.newest_read.max(written_at.unwrap_or_default());
        self.expect.entry(key).or_insert(written_at);
    }
}
