//! The engines, behind one narrow interface.

use pli_schema::Position;
use tokio::sync::broadcast;

use crate::{Batch, Committed, RawScan, RawValue, StoreError, memory::Memory};

/// An engine that keeps ordered bytes. An enum, so that hot paths have no trait objects.
#[derive(Clone, Debug)]
pub enum Backend {
    /// Everything in memory, nothing on disk: for tests.
    Memory(Memory),
}

impl Backend {
    /// The value under a key.
    pub(crate) async fn get(&self, key: &[u8]) -> Result<Option<RawValue>, StoreError> {
        match self {
            Self::Memory(memory) => memory.get(key),
        }
    }

    /// The rows of a scan.
    pub(crate) async fn scan(
        &self,
        scan: &RawScan,
    ) -> Result<Vec<(Vec<u8>, RawValue)>, StoreError> {
        match self {
            Self::Memory(memory) => memory.scan(scan),
        }
    }

    /// Commits a batch; its position once it is durable.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<Position, StoreError> {
        match self {
            Self::Memory(memory) => memory.commit(batch),
        }
    }

    /// The position of the newest durable commit.
    pub(crate) fn position(&self) -> Position {
        match self {
            Self::Memory(memory) => memory.position(),
        }
    }

    /// The feed of commits from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Committed> {
        match self {
            Self::Memory(memory) => memory.subscribe(),
        }
    }
}
