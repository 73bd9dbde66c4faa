//! A cache bounded by the size of what it keeps.

use std::{fmt, hash::Hash, sync::Arc};

use lru::LruCache;
use parking_lot::Mutex;

/// Keeps the values used last, up to a total weight. Clones share it.
pub(crate) struct Cache<K: Hash + Eq, V> {
    inner: Arc<Mutex<Inner<K, V>>>,
}

impl<K: Hash + Eq, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache")
    }
}

impl<K: Hash + Eq, V> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

struct Inner<K: Hash + Eq, V> {
    values: LruCache<K, (V, usize)>,
    weight: usize,
    max_weight: usize,
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    /// An empty cache. What a weight is (bytes, entries) is up to the user.
    pub(crate) fn new(max_weight: usize) -> Self {
        let inner = Inner { values: LruCache::unbounded(), weight: 0, max_weight };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// The value under a key, which counts as used now.
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.inner.lock().values.get(key).map(|(value, _)| value.clone())
    }

    /// Keeps a value; the one that was there goes.
    pub(crate) fn put(&self, key: K, value: V, weight: usize) {
        self.inner.lock().put(key, value, weight);
    }

    /// Forgets a value.
    pub(crate) fn remove(&self, key: &K) {
        let mut inner = self.inner.lock();
        if let Some((_, weight)) = inner.values.pop(key) {
            inner.weight = inner.weight.saturating_sub(weight);
        }
    }

    /// Keeps a value that was read from the store, unless a writer has put a newer one meanwhile;
    /// returns what is kept.
    pub(crate) fn put_read(&self, key: K, value: V, weight: usize) -> V {
        let mut inner = self.inner.lock();
        if let Some((kept, _)) = inner.values.get(&key) {
            return kept.clone();
        }
        inner.put(key, value.clone(), weight);
        value
    }
}

impl<K: Hash + Eq, V> Inner<K, V> {
    fn put(&mut self, key: K, value: V, weight: usize) {
        self.weight = self.weight.saturating_add(weight);
        if let Some((_, old)) = self.values.put(key, (value, weight)) {
            self.weight = self.weight.saturating_sub(old);
        }
        while self.weight > self.max_weight {
            let Some((_, (_, old))) = self.values.pop_lru() else { break };
            self.weight = self.weight.saturating_sub(old);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_least_goes_first_and_the_weight_is_bounded() {
        let cache = Cache::new(10);
        cache.put("a", 1, 4);
        cache.put("b", 2, 4);
        assert_eq!(cache.get("a"), Some(1));
        cache.put("c", 3, 4);
        assert_eq!((cache.get("a"), cache.get("b"), cache.get("c")), (Some(1), None, Some(3)));
        cache.put("a", 4, 1);
        assert_eq!(cache.inner.lock().weight, 5);
        cache.put("huge", 5, 11);
        assert_eq!(cache.get("huge"), None);
        assert_eq!(cache.inner.lock().weight, 0);
    }

    #[test]
    fn a_value_read_from_the_store_does_not_replace_a_newer_one() {
        let cache = Cache::new(10);
        assert_eq!(cache.put_read("a", 1, 1), 1);
        cache.put("a", 2, 1);
        assert_eq!(cache.put_read("a", 1, 1), 2);
    }
}
