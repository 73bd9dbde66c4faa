//! What differs between two states.

use pli_schema::{EventNumber, StateKeyNumber, StateRoot};

use super::{
    Boxed, StateTree,
    node::{Branch, Entry, Hash, Node, digit},
};
use crate::StoreError;

/// A state key that two states set to different events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// The state key.
    pub key: StateKeyNumber,
    /// Its event in the first state.
    pub before: Option<EventNumber>,
    /// Its event in the second state.
    pub after: Option<EventNumber>,
}

impl StateTree {
    /// What changes from state `a` to state `b`, by ascending key. Sub-trees that both share are not
    /// read.
    ///
    /// # Errors
    /// As [`StateTree::get`].
    pub async fn diff(&self, a: StateRoot, b: StateRoot) -> Result<Vec<StateChange>, StoreError> {
        let root = |root: StateRoot| (root != StateRoot::EMPTY).then_some(root.0);
        let mut changes = Vec::new();
        self.differences(root(a), root(b), &mut changes).await?;
        changes.sort_unstable_by_key(|change| change.key);
        Ok(changes)
    }

    fn differences<'a>(
        &'a self,
        a: Option<Hash>,
        b: Option<Hash>,
        out: &'a mut Vec<StateChange>,
    ) -> Boxed<'a, ()> {
        Box::pin(async move {
            if a == b {
                return Ok(());
            }
            let (Some(at_a), Some(at_b)) = (a, b) else {
                return self.compared(a, b, out).await;
            };
            let (node_a, node_b) = (self.node(at_a).await?, self.node(at_b).await?);
            let (Node::Branch(in_a), Node::Branch(in_b)) = (&*node_a, &*node_b) else {
                // One side has few entries, so either side has no more than that and the differences.
                return self.compared(a, b, out).await;
            };
            if in_a.shift == in_b.shift && in_a.prefix == in_b.prefix {
                for slot in in_a.slots() {
                    self.differences(in_a.child(slot), in_b.child(slot), out).await?;
                }
                return Ok(());
            }
            if in_a.shift > in_b.shift && in_a.covers(in_b.any_key()) {
                return self.one_side(in_a, (at_b, in_b), out, false).await;
            }
            if in_b.shift > in_a.shift && in_b.covers(in_a.any_key()) {
                return self.one_side(in_b, (at_a, in_a), out, true).await;
            }
            self.compared(a, b, out).await
        })
    }

    /// `deep` fits below one child of `wide`; the other children of `wide` are only on that side.
    async fn one_side(
        &self,
        wide: &Branch,
        (deep_at, deep): (Hash, &Branch),
        out: &mut Vec<StateChange>,
        wide_is_after: bool,
    ) -> Result<(), StoreError> {
        let slot_of_deep = digit(deep.any_key(), wide.shift);
        for slot in wide.slots() {
            let of_wide = wide.child(slot);
            let of_deep = (slot == slot_of_deep).then_some(deep_at);
            let (a, b) = if wide_is_after { (of_deep, of_wide) } else { (of_wide, of_deep) };
            self.differences(a, b, out).await?;
        }
        Ok(())
    }

    /// Compares entry by entry.
    async fn compared(
        &self,
        a: Option<Hash>,
        b: Option<Hash>,
        out: &mut Vec<StateChange>,
    ) -> Result<(), StoreError> {
        let before = self.all(a).await?;
        let after = self.all(b).await?;
        let mut after = after.iter().peekable();
        for (key, event) in before {
            while let Some((key, event)) = after.next_if(|(k, _)| *k < key) {
                out.push(StateChange { key: *key, before: None, after: Some(*event) });
            }
            let new = after.next_if(|(k, _)| *k == key).map(|(_, event)| *event);
            if new != Some(event) {
                out.push(StateChange { key, before: Some(event), after: new });
            }
        }
        let added =
            |(key, event): &Entry| StateChange { key: *key, before: None, after: Some(*event) };
        out.extend(after.map(added));
        Ok(())
    }

    async fn all(&self, at: Option<Hash>) -> Result<Vec<Entry>, StoreError> {
        match at {
            Some(hash) => self.range(StateRoot(hash), 0, u64::MAX).await,
            None => Ok(Vec::new()),
        }
    }
}
