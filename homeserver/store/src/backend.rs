//! The engines, behind one narrow interface.

use std::sync::Arc;

use pli_schema::Position;
use tokio::sync::broadcast;

use crate::{
    Batch, Committed, Op, RawScan, RawValue, StoreError, encode_value,
    limits::{BATCH_BYTES_MAX, BATCH_OPS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX},
    memory::Memory,
    sled_backend::{RawRow, Sled},
    tap::Tap,
};

/// An engine that keeps ordered bytes. An enum, so that hot paths have no trait objects.
#[derive(Clone, Debug)]
pub enum Backend {
    /// Everything in memory, nothing on disk: for tests.
    Memory(Memory),
    /// sled in a directory.
    Sled(Sled),
}

impl Backend {
    /// The value under a key.
    pub(crate) async fn get(&self, key: &[u8]) -> Result<Option<RawValue>, StoreError> {
        self.get_now(key)
    }

    /// As [`Self::get`], for threads that may block.
    pub(crate) fn get_now(&self, key: &[u8]) -> Result<Option<RawValue>, StoreError> {
        match self {
            Self::Memory(memory) => memory.get(key),
            Self::Sled(sled) => sled.get(key),
        }
    }

    /// The rows of a scan.
    pub(crate) async fn scan(
        &self,
        scan: &RawScan,
    ) -> Result<Vec<(Vec<u8>, RawValue)>, StoreError> {
        self.scan_now(scan)
    }

    /// As [`Self::scan`], for threads that may block.
    pub(crate) fn scan_now(&self, scan: &RawScan) -> Result<Vec<(Vec<u8>, RawValue)>, StoreError> {
        match self {
            Self::Memory(memory) => memory.scan(scan),
            Self::Sled(sled) => sled.scan(scan),
        }
    }

    /// Commits a batch; its position once it is durable.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<Position, StoreError> {
        within_limits(&batch)?;
        match self {
            Self::Memory(memory) => memory.commit(batch),
            Self::Sled(sled) => sled.commit(batch).await,
        }
    }

    /// Waits until the commit at a position is durable.
    pub(crate) async fn durable(&self, position: Position) -> Result<(), StoreError> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Sled(sled) => sled.durable(position).await,
        }
    }

    /// The position of the newest durable commit.
    pub(crate) fn position(&self) -> Position {
        match self {
            Self::Memory(memory) => memory.position(),
            Self::Sled(sled) => sled.position(),
        }
    }

    /// The feed of commits from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Committed> {
        match self {
            Self::Memory(memory) => memory.subscribe(),
            Self::Sled(sled) => sled.subscribe(),
        }
    }

    /// The rows of a scan as they are kept, not yet verified.
    pub(crate) fn scan_raw(&self, scan: &RawScan) -> Result<Vec<RawRow>, StoreError> {
        match self {
            Self::Memory(memory) => {
                let rows = memory.scan(scan)?.into_iter().map(|(key, value)| {
                    let bytes = encode_value(&key, value.position, &value.record);
                    (key, bytes)
                });
                Ok(rows.collect())
            }
            Self::Sled(sled) => sled.scan_raw(scan),
        }
    }

    /// Notes all changes from the next group of commits on.
    pub(crate) fn tap(&self) -> Arc<Tap> {
        match self {
            Self::Memory(memory) => memory.tap(),
            Self::Sled(sled) => sled.tap(),
        }
    }

    /// Bytes on disk.
    pub(crate) fn size_on_disk(&self) -> Result<u64, StoreError> {
        match self {
            Self::Memory(_) => Ok(0),
            Self::Sled(sled) => sled.size_on_disk(),
        }
    }

    /// Flushes and closes. Blocks.
    pub(crate) fn close(&self) {
        match self {
            Self::Memory(_) => {}
            Self::Sled(sled) => sled.close(),
        }
    }
}

/// Is a batch one that every engine can take?
fn within_limits(batch: &Batch) -> Result<(), StoreError> {
    let too_large =
        |what, size_bytes, limit_bytes| Err(StoreError::TooLarge { what, size_bytes, limit_bytes });
    if batch.ops.len() > BATCH_OPS_MAX {
        return too_large("batch", batch.ops.len(), BATCH_OPS_MAX);
    }
    let mut total = 0_usize;
    for op in &batch.ops {
        let (key, record) = match op {
            Op::Put { key, record } => (key.bytes.len(), record.len()),
            Op::Delete { key } => (key.bytes.len(), 0),
        };
        if key > KEY_BYTES_MAX {
            return too_large("key", key, KEY_BYTES_MAX);
        }
        if record > VALUE_BYTES_MAX {
            return too_large("value", record, VALUE_BYTES_MAX);
        }
        total = total.saturating_add(key).saturating_add(record);
    }
    if total > BATCH_BYTES_MAX {
        return too_large("batch", total, BATCH_BYTES_MAX);
    }
    Ok(())
}
