//! Making a state from another.

use pli_schema::{
    EventNumber, StateKeyNumber, StateRoot,
    records::meta::{StateNodeKey, StateNodeRecord},
};

use super::{
    Boxed, StateTree,
    node::{self, Branch, Entry, Hash, LEAF_ENTRIES_MAX, Node, differing_shift, digit, prefix},
};
use crate::{StoreError, Tx};

/// What becomes of a key: its new event, or nothing.
type Edit = (u64, Option<EventNumber>);

/// A sub-tree with its number of entries; `None` where nothing is left.
type SubTree = Option<(Hash, u64)>;

impl StateTree {
    /// The state `root` with these entries set; a later entry of the same key wins. The new nodes are
    /// written by `tx`; states made earlier by the same `tx` may be built upon.
    ///
    /// # Errors
    /// As [`StateTree::get`].
    pub async fn insert(
        &self,
        tx: &Tx,
        root: StateRoot,
        entries: &[(StateKeyNumber, EventNumber)],
    ) -> Result<StateRoot, StoreError> {
        let edits = entries.iter().map(|(key, event)| (key.0, Some(*event))).collect();
        self.within(tx).edit(root, edits).await
    }

    /// The state `root` without these keys; keys that are not set are no error.
    ///
    /// # Errors
    /// As [`StateTree::get`].
    pub async fn remove(
        &self,
        tx: &Tx,
        root: StateRoot,
        keys: &[StateKeyNumber],
    ) -> Result<StateRoot, StoreError> {
        let edits = keys.iter().map(|key| (key.0, None)).collect();
        self.within(tx).edit(root, edits).await
    }

    async fn edit(&self, root: StateRoot, mut edits: Vec<Edit>) -> Result<StateRoot, StoreError> {
        // The sort is stable, so the last of equal keys is the last that was given.
        edits.sort_by_key(|(key, _)| *key);
        edits.reverse();
        edits.dedup_by_key(|(key, _)| *key);
        edits.reverse();
        if edits.is_empty() {
            return Ok(root);
        }
        let new = if root == StateRoot::EMPTY {
            self.build(&applied(&[], &edits)).await?
        } else {
            self.edited(root.0, &edits).await?
        };
        Ok(new.map_or(StateRoot::EMPTY, |(hash, _)| StateRoot(hash)))
    }

    /// The sub-tree at `at` with the edits applied.
    fn edited<'a>(&'a self, at: Hash, edits: &'a [Edit]) -> Boxed<'a, SubTree> {
        Box::pin(async move {
            let node = self.node(at).await?;
            let branch = match &*node {
                Node::Leaf(entries) => return self.build(&applied(entries, edits)).await,
                Node::Branch(branch) => branch,
            };
            if edits.iter().any(|(key, event)| event.is_some() && !branch.covers(*key)) {
                return self.widened(at, branch, edits).await;
            }
            let mut children = Vec::with_capacity(branch.children.len());
            let mut count = branch.count;
            for slot in branch.slots() {
                let child = branch.child(slot);
                let (first, last) = branch.bounds(slot);
                let mine = within(edits, first, last);
                if mine.is_empty() {
                    children.extend(child.map(|hash| (slot, hash)));
                    continue;
                }
                let new = match child {
                    Some(hash) => {
                        count = count.saturating_sub(self.node(hash).await?.count());
                        self.edited(hash, mine).await?
                    }
                    None => self.build(&applied(&[], mine)).await?,
                };
                if let Some((hash, entries)) = new {
                    children.push((slot, hash));
                    count = count.saturating_add(entries);
                }
            }
            self.joined(branch.shift, branch.prefix, count, children).await
        })
    }

    /// Some of the edits are outside of what the branch covers: a new branch goes above it.
    fn widened<'a>(
        &'a self,
        at: Hash,
        branch: &'a Branch,
        edits: &'a [Edit],
    ) -> Boxed<'a, SubTree> {
        Box::pin(async move {
            let some_key = branch.any_key();
            let shifts = edits
                .iter()
                .filter(|(key, event)| event.is_some() && !branch.covers(*key))
                .map(|(key, _)| differing_shift(*key, some_key));
            let shift = shifts.max().unwrap_or(branch.shift);
            let above =
                Branch { shift, prefix: prefix(some_key, shift), count: 0, children: Vec::new() };
            let mut children = Vec::new();
            let mut count = 0_u64;
            for slot in above.slots() {
                let (first, last) = above.bounds(slot);
                let mine = within(edits, first, last);
                let new = if slot != digit(some_key, shift) {
                    self.build(&applied(&[], mine)).await?
                } else if mine.is_empty() {
                    Some((at, branch.count))
                } else {
                    self.edited(at, mine).await?
                };
                if let Some((hash, entries)) = new {
                    children.push((slot, hash));
                    count = count.saturating_add(entries);
                }
            }
            self.joined(shift, above.prefix, count, children).await
        })
    }

    /// The sub-tree of these children, in the one shape that its content has.
    async fn joined(
        &self,
        shift: u32,
        prefix: u64,
        count: u64,
        children: Vec<(u32, Hash)>,
    ) -> Result<SubTree, StoreError> {
        if count == 0 {
            return Ok(None);
        }
        if count <= LEAF_ENTRIES_MAX as u64 {
            let mut entries = Vec::with_capacity(LEAF_ENTRIES_MAX);
            for (_, hash) in &children {
                entries.extend(self.range(StateRoot(*hash), 0, u64::MAX).await?);
            }
            return self.build(&entries).await;
        }
        if let [(_, only)] = children.as_slice() {
            return Ok(Some((*only, count)));
        }
        let node = Node::Branch(Branch { shift, prefix, count, children });
        Ok(Some((self.put(&node)?, count)))
    }

    /// The sub-tree of these entries, by ascending key.
    fn build<'a>(&'a self, entries: &'a [Entry]) -> Boxed<'a, SubTree> {
        Box::pin(async move {
            let (Some((first, _)), Some((last, _))) = (entries.first(), entries.last()) else {
                return Ok(None);
            };
            let count = entries.len() as u64;
            if entries.len() <= LEAF_ENTRIES_MAX {
                return Ok(Some((self.put(&Node::Leaf(entries.to_vec()))?, count)));
            }
            let shift = differing_shift(first.0, last.0);
            let mut children = Vec::new();
            for chunk in entries.chunk_by(|a, b| digit(a.0.0, shift) == digit(b.0.0, shift)) {
                if let (Some((key, _)), Some((hash, _))) = (chunk.first(), self.build(chunk).await?)
                {
                    children.push((digit(key.0, shift), hash));
                }
            }
            let prefix = prefix(first.0, shift);
            let node = Node::Branch(Branch { shift, prefix, count, children });
            Ok(Some((self.put(&node)?, count)))
        })
    }

    fn put(&self, node: &Node) -> Result<Hash, StoreError> {
        let Some(tx) = &self.tx else {
            return Err(StoreError::Unusable("a state is made within a transaction".to_owned()));
        };
        let bytes = node.encode();
        let hash = node::hash(&bytes);
        tx.put(&StateNodeKey { hash }, &StateNodeRecord { bytes })?;
        Ok(hash)
    }
}

/// The edits whose keys are within these bounds; `edits` ascend.
fn within(edits: &[Edit], first: u64, last: u64) -> &[Edit] {
    let from = edits.partition_point(|(key, _)| *key < first);
    let to = edits.partition_point(|(key, _)| *key <= last);
    edits.get(from..to).unwrap_or_default()
}

/// The entries with the edits applied; both ascend.
fn applied(entries: &[Entry], edits: &[Edit]) -> Vec<Entry> {
    let mut out = Vec::with_capacity(entries.len().saturating_add(edits.len()));
    let mut old = entries.iter().peekable();
    for (key, event) in edits {
        while let Some(entry) = old.next_if(|(k, _)| k.0 < *key) {
            out.push(*entry);
        }
        old.next_if(|(k, _)| k.0 == *key);
        out.extend(event.map(|event| (StateKeyNumber(*key), event)));
    }
    out.extend(old);
    out
}
