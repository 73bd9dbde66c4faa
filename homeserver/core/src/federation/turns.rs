//! One at a time for each of many: transactions of a server, events of a room.

use std::{collections::BTreeMap, fmt, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

type Taken<K> = Arc<Mutex<BTreeMap<K, Arc<tokio::sync::Mutex<()>>>>>;

/// Turns by key, in the order in which they are asked for. Clones share them.
pub(super) struct Turns<K> {
    taken: Taken<K>,
    waiting_max: usize,
}

impl<K> Clone for Turns<K> {
    fn clone(&self) -> Self {
        Self { taken: Arc::clone(&self.taken), waiting_max: self.waiting_max }
    }
}

impl<K> fmt::Debug for Turns<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turns")
    }
}

/// Somebody's turn, until it is dropped.
pub(super) struct Turn<K: Ord> {
    taken: Taken<K>,
    key: K,
    guard: Option<OwnedMutexGuard<()>>,
}

impl<K: Ord + Clone> Turns<K> {
    /// Nobody has a turn. Per key, so many may wait at most.
    pub(super) fn new(waiting_max: usize) -> Self {
        Self { taken: Arc::default(), waiting_max }
    }

    /// Waits for the turn of a key; `None` if too many wait already.
    pub(super) async fn take(&self, key: K) -> Option<Turn<K>> {
        let mutex = {
            let mut taken = self.taken.lock();
            let mutex = taken.entry(key.clone()).or_default();
            // The map's, and that of each who has it or waits.
            if Arc::strong_count(mutex) > self.waiting_max.saturating_add(1) {
                return None;
            }
            Arc::clone(mutex)
        };
        // Made first: whoever stops waiting cleans up as well.
        let mut turn = Turn { taken: Arc::clone(&self.taken), key, guard: None };
        turn.guard = Some(mutex.lock_owned().await);
        Some(turn)
    }
}

impl<K: Ord> Drop for Turn<K> {
    fn drop(&mut self) {
        self.guard = None;
        let mut taken = self.taken.lock();
        if taken.get(&self.key).is_some_and(|mutex| Arc::strong_count(mutex) == 1) {
            taken.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_some_wait_and_nothing_is_left() {
        let turns = Turns::new(1);
        let first = turns.take("a").await.unwrap();
        let other = turns.take("b").await.unwrap();
        let waiting = tokio::spawn({
            let turns = turns.clone();
            async move { turns.take("a").await.is_some() }
        });
        while Arc::strong_count(&turns.taken.lock()["a"]) < 3 {
            tokio::task::yield_now().await;
        }
        assert!(turns.take("a").await.is_none());
        drop(first);
        assert!(waiting.await.unwrap());
        drop(other);
        assert!(turns.taken.lock().is_empty());
    }
}
