//! The state of a room as an immutable tree.
//!
//! A [`StateRoot`] names a whole state: a map from [`StateKeyNumber`] (event type and state key) to
//! [`EventNumber`]. Nodes are named by the hash of their content and shared between versions: a change
//! writes the nodes of its path, O(log n); the difference of two states costs O(differences), because
//! equal sub-trees have equal hashes. Equal states have equal roots, whatever led to them.

mod change;
mod diff;
mod node;
#[cfg(test)]
mod tests;

use std::{future::Future, num::NonZeroUsize, pin::Pin, sync::Arc};

use lru::LruCache;
use parking_lot::Mutex;
use pli_schema::{
    EventNumber, StateKeyNumber, StateRoot,
    records::meta::{StateNodeKey, StateNodeRecord},
};

pub use diff::StateChange;
pub(crate) use node::verify as verify_node;
use node::{Entry, Hash, Node, digit};

use crate::{Store, StoreError, Tx};

/// Decoded nodes kept in memory at most (about 20 MiB).
const CACHED_NODES_MAX: NonZeroUsize = match NonZeroUsize::new(32_768) {
    Some(nodes) => nodes,
    None => NonZeroUsize::MIN,
};

/// A future that may recur.
type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Reads and makes states. Clones share the store and the cache.
///
/// Only nodes that were read from the store are cached, and every node that a change makes is put by
/// the transaction of that change; so a transaction that is dropped leaves no node that only seems to
/// be stored.
#[derive(Clone, Debug)]
pub struct StateTree {
    store: Store,
    cache: Arc<Mutex<LruCache<Hash, Arc<Node>>>>,
    tx: Option<Tx>,
}

impl StateTree {
    /// The states of a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        let cache = Arc::new(Mutex::new(LruCache::new(CACHED_NODES_MAX)));
        Self { store, cache, tx: None }
    }

    /// The same states and those that `tx` has made but not yet committed.
    #[must_use]
    pub fn within(&self, tx: &Tx) -> Self {
        Self { tx: Some(tx.clone()), ..self.clone() }
    }

    /// The event that sets a state key.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails; [`StoreError::Corrupt`] if a node is missing.
    pub async fn get(
        &self,
        root: StateRoot,
        key: StateKeyNumber,
    ) -> Result<Option<EventNumber>, StoreError> {
        let mut at = root.0;
        if root == StateRoot::EMPTY {
            return Ok(None);
        }
        loop {
            match &*self.node(at).await? {
                Node::Leaf(entries) => {
                    let found = entries.binary_search_by_key(&key, |(key, _)| *key).ok();
                    return Ok(found.and_then(|i| entries.get(i)).map(|(_, event)| *event));
                }
                Node::Branch(branch) => {
                    let child = branch.child(digit(key.0, branch.shift));
                    match child.filter(|_| branch.covers(key.0)) {
                        Some(child) => at = child,
                        None => return Ok(None),
                    }
                }
            }
        }
    }

    /// The events that set several state keys, in the order of `keys`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_many(
        &self,
        root: StateRoot,
        keys: &[StateKeyNumber],
    ) -> Result<Vec<Option<EventNumber>>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            found.push(self.get(root, *key).await?);
        }
        Ok(found)
    }

    /// The whole state, by ascending key.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn entries(
        &self,
        root: StateRoot,
    ) -> Result<Vec<(StateKeyNumber, EventNumber)>, StoreError> {
        self.range(root, 0, u64::MAX).await
    }

    /// The state keys of one event type with their events, by ascending key. `type_number` as in
    /// [`StateKeyNumber::type_number`].
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn entries_of_type(
        &self,
        root: StateRoot,
        type_number: u64,
    ) -> Result<Vec<(StateKeyNumber, EventNumber)>, StoreError> {
        let first = StateKeyNumber::new(type_number, 0).0;
        let last = StateKeyNumber::new(type_number, u64::MAX).0;
        self.range(root, first, last).await
    }

    /// The number of entries of a state.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn len(&self, root: StateRoot) -> Result<u64, StoreError> {
        if root == StateRoot::EMPTY {
            return Ok(0);
        }
        Ok(self.node(root.0).await?.count())
    }

    async fn range(
        &self,
        root: StateRoot,
        first: u64,
        last: u64,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut found = Vec::new();
        let mut todo = Vec::new();
        if root != StateRoot::EMPTY {
            todo.push(root.0);
        }
        while let Some(at) = todo.pop() {
            match &*self.node(at).await? {
                Node::Leaf(entries) => {
                    let wanted = |(key, _): &&Entry| (first..=last).contains(&key.0);
                    found.extend(entries.iter().filter(wanted).copied());
                }
                Node::Branch(branch) => {
                    // The last child first, so that the first one is taken first.
                    for (digit, child) in branch.children.iter().rev() {
                        let (least, greatest) = branch.bounds(*digit);
                        if least <= last && greatest >= first {
                            todo.push(*child);
                        }
                    }
                }
            }
        }
        Ok(found)
    }

    /// A node: made by this transaction, cached, or stored.
    async fn node(&self, hash: Hash) -> Result<Arc<Node>, StoreError> {
        let key = StateNodeKey { hash };
        if let Some(own) = self.tx.as_ref().and_then(|tx| tx.own(&key)) {
            return decode(&hash, &own?);
        }
        if let Some(node) = self.cache.lock().get(&hash) {
            return Ok(Arc::clone(node));
        }
        let Some(record) = self.store.get(&key).await? else {
            return Err(damaged(&hash, "is missing"));
        };
        let node = decode(&hash, &record)?;
        self.cache.lock().put(hash, Arc::clone(&node));
        Ok(node)
    }
}

fn decode(hash: &Hash, record: &StateNodeRecord) -> Result<Arc<Node>, StoreError> {
    if node::hash(&record.bytes) != *hash {
        return Err(damaged(hash, "does not hash to its key"));
    }
    Node::decode(&record.bytes).map(Arc::new).ok_or_else(|| damaged(hash, "cannot be read"))
}

fn damaged(hash: &Hash, what: &str) -> StoreError {
    let name: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    StoreError::Corrupt(format!("state node {name} {what}; run `pli-homeserver check`"))
}
