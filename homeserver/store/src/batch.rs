//! What a transaction asks of a backend.

use std::sync::Arc;

use pli_schema::{Position, Topic, key::EncodedKey};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Write a record under a key, whose stamp (if any) becomes the position of the commit.
    Put {
        /// The key.
        key: EncodedKey,
        /// The record's bytes, without header.
        record: Vec<u8>,
    },
    /// Remove a key; nothing happens if it is not there.
    Delete {
        /// The key.
        key: EncodedKey,
    },
}

/// What a transaction had read and what must still be so at commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The key.
    pub key: Vec<u8>,
    /// The position of the commit that wrote the value that was read; `None`: there was no value.
    pub written_at: Option<Position>,
}

/// A transaction as handed to the backend: all or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// What must still be so.
    pub expect: Vec<Expectation>,
    /// The changes, in order; a later change of the same key wins.
    pub ops: Vec<Op>,
    /// What the commit is about.
    pub topics: Vec<Topic>,
}

/// A commit that is durable, as told to subscribers, in order of position.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Its position.
    pub position: Position,
    /// What it is about.
    pub topics: Arc<[Topic]>,
}

/// The bytes of a key with the commit's position filled in.
pub(crate) fn stamped(key: EncodedKey, position: Position) -> Vec<u8> {
    let EncodedKey { mut bytes, stamp } = key;
    if let Some(slot) = stamp.and_then(|at| bytes.get_mut(at..at.saturating_add(8))) {
        slot.copy_from_slice(&position.0.to_be_bytes());
    }
    bytes
}
