//! Hands out the 64-bit numbers that stand for rooms, events and state keys.
//!
//! Blocks of numbers are reserved in the store, so that handing one out costs no write and no conflict;
//! numbers of a block that a crash interrupted are never used again.

use std::sync::Arc;

use pli_schema::records::meta::NumberBlockKey;
use pli_store::Store;
use tokio::sync::Mutex;

use crate::Result;

/// Numbers reserved at once.
const BLOCK: u64 = 4_096;

/// What is numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberKind {
    /// Rooms.
    Room = 0,
    /// Events.
    Event = 1,
    /// Event types in state keys (at most 2^24).
    StateType = 2,
    /// State keys (at most 2^40).
    StateKey = 3,
    /// Anything else that needs a number unique on this server.
    Other = 4,
}

#[derive(Debug, Default)]
struct Block {
    next: u64,
    end: u64,
}

/// Hands out numbers, starting at 1. Clones share the blocks.
#[derive(Clone, Debug)]
pub struct Numbers {
    store: Store,
    blocks: Arc<[Mutex<Block>; 5]>,
}

impl Numbers {
    /// Numbers of a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, blocks: Arc::default() }
    }

    /// A number that was never handed out before, on any process of this store.
    ///
    /// # Errors
    /// Those of the store, when a new block must be reserved.
    pub async fn next(&self, kind: NumberKind) -> Result<u64> {
        let Some(block) = self.blocks.get(kind as usize) else {
            return Err(crate::Error::bug("unknown kind of number"));
        };
        let mut block = block.lock().await;
        if block.next >= block.end {
            *block = self.reserve(kind).await?;
        }
        let number = block.next;
        block.next = block.next.saturating_add(1);
        Ok(number)
    }

    async fn reserve(&self, kind: NumberKind) -> Result<Block> {
        self.store
            .write(|tx| async move {
                let key = NumberBlockKey { kind: kind as u8 };
                let next = tx.get(&key).await?.unwrap_or(1);
                let end = next.saturating_add(BLOCK);
                tx.put(&key, &end)?;
                Ok(Block { next, end })
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn numbers_are_never_handed_out_twice_even_after_a_restart() {
        let store = Store::in_memory();
        let mut seen = std::collections::BTreeSet::new();
        for _restart in 0..3 {
            let numbers = Numbers::new(store.clone());
            for _ in 0..(BLOCK + 10) {
                assert!(seen.insert(numbers.next(NumberKind::Event).await.unwrap()));
            }
        }
        assert_eq!(seen.first(), Some(&1));
    }
}
