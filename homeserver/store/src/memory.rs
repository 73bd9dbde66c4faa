//! A backend in memory, for tests: the same semantics, nothing on disk.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use parking_lot::RwLock;
use pli_schema::Position;
use tokio::sync::broadcast;

use crate::{
    Batch, Committed, Direction, Expectation, Op, RawScan, RawValue, StoreError, encode_value,
    tap::{Change, Tap, Taps},
};

/// The backend. Clones share the data.
#[derive(Clone, Debug)]
pub struct Memory {
    inner: Arc<RwLock<Inner>>,
    feed: broadcast::Sender<Committed>,
    taps: Taps,
}

#[derive(Debug, Default)]
struct Inner {
    rows: BTreeMap<Vec<u8>, RawValue>,
    position: Position,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            inner: Arc::default(),
            feed: broadcast::Sender::new(crate::limits::FEED_MAX),
            taps: Taps::default(),
        }
    }
}

impl Memory {
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<RawValue>, StoreError> {
        Ok(self.inner.read().rows.get(key).cloned())
    }

    pub(crate) fn scan(&self, scan: &RawScan) -> Result<Vec<(Vec<u8>, RawValue)>, StoreError> {
        if scan.start >= scan.end {
            return Ok(Vec::new());
        }
        let inner = self.inner.read();
        let bounds = (Bound::Included(scan.start.clone()), Bound::Excluded(scan.end.clone()));
        let rows = inner.rows.range::<Vec<u8>, _>(bounds);
        let owned = |(key, value): (&Vec<u8>, &RawValue)| (key.clone(), value.clone());
        Ok(match scan.direction {
            Direction::Forward => rows.take(scan.limit).map(owned).collect(),
            Direction::Backward => rows.rev().take(scan.limit).map(owned).collect(),
        })
    }

    pub(crate) fn commit(&self, batch: Batch) -> Result<Position, StoreError> {
        let mut inner = self.inner.write();
        let holds = |e: &Expectation| inner.rows.get(&e.key).map(|v| v.position) == e.written_at;
        if !batch.expect.iter().all(holds) {
            return Err(StoreError::Conflict);
        }
        let position = inner.position.next();
        let taps = self.taps.active();
        let mut changes: Vec<Change> = Vec::new();
        for op in batch.ops {
            match op {
                Op::Put { key, record } => {
                    let key = crate::batch::stamped(key, position);
                    if !taps.is_empty() {
                        changes.push((key.clone(), Some(encode_value(&key, position, &record))));
                    }
                    inner.rows.insert(key, RawValue { position, record });
                }
                Op::Delete { key } => {
                    inner.rows.remove(&key.bytes);
                    changes.push((key.bytes, None));
                }
            }
        }
        for tap in taps {
            tap.push(&changes, position);
        }
        inner.position = position;
        // Nobody listening is not an error.
        let _ = self.feed.send(Committed { position, topics: batch.topics.into() });
        Ok(position)
    }

    pub(crate) fn tap(&self) -> Arc<Tap> {
        self.taps.open()
    }

    pub(crate) fn position(&self) -> Position {
        self.inner.read().position
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Committed> {
        self.feed.subscribe()
    }
}
