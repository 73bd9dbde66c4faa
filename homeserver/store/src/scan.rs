//! Scans over the keys of one table.

use std::marker::PhantomData;

use pli_schema::{Key, KeyPrefix, KeyWriter, Position};

/// The order of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Ascending keys.
    Forward,
    /// Descending keys.
    Backward,
}

/// A scan over bytes: keys `k` with `start <= k < end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawScan {
    /// First key that may be found.
    pub start: Vec<u8>,
    /// First key that may not be found any more.
    pub end: Vec<u8>,
    /// The order.
    pub direction: Direction,
    /// At most so many rows.
    pub limit: usize,
}

/// A scan over the keys of table `K` that begin with some parts.
#[derive(Clone, Debug)]
pub struct Scan<K: Key> {
    raw: RawScan,
    _key: PhantomData<K>,
}

/// A row that a scan found.
#[derive(Clone, Debug)]
pub struct Row<K: Key> {
    /// The key.
    pub key: K,
    /// The commit that wrote the record.
    pub position: Position,
    /// The record.
    pub record: K::Record,
}

/// A record with the position of the commit that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<R> {
    /// The commit.
    pub position: Position,
    /// The record.
    pub record: R,
}

/// The first key after all keys that begin with `prefix`.
fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xFF {
            end.push(last.saturating_add(1));
            return end;
        }
    }
    vec![0xFF; 64]
}

fn bytes_of<K: Key>(prefix: &impl KeyPrefix) -> Vec<u8> {
    let mut w = KeyWriter::new(K::TABLE);
    prefix.write(&mut w);
    w.finish().bytes
}

impl<K: Key> Scan<K> {
    /// All keys whose first parts are `prefix` (a tuple; `()` for the whole table).
    #[must_use]
    pub fn prefix(prefix: impl KeyPrefix) -> Self {
        let start = bytes_of::<K>(&prefix);
        let end = after_prefix(&start);
        let raw = RawScan { start, end, direction: Direction::Forward, limit: usize::MAX };
        Self { raw, _key: PhantomData }
    }

    /// Only keys at or after these leading parts.
    #[must_use]
    pub fn from(mut self, parts: impl KeyPrefix) -> Self {
        self.raw.start = self.raw.start.max(bytes_of::<K>(&parts));
        self
    }

    /// Only keys after all those that begin with these parts.
    #[must_use]
    pub fn after(mut self, parts: impl KeyPrefix) -> Self {
        self.raw.start = self.raw.start.max(after_prefix(&bytes_of::<K>(&parts)));
        self
    }

    /// Only keys before these leading parts.
    #[must_use]
    pub fn before(mut self, parts: impl KeyPrefix) -> Self {
        self.raw.end = self.raw.end.min(bytes_of::<K>(&parts));
        self
    }

    /// Only keys up to and including those that begin with these parts.
    #[must_use]
    pub fn up_to(mut self, parts: impl KeyPrefix) -> Self {
        self.raw.end = self.raw.end.min(after_prefix(&bytes_of::<K>(&parts)));
        self
    }

    /// Descending order: the last keys first.
    #[must_use]
    pub fn backward(mut self) -> Self {
        self.raw.direction = Direction::Backward;
        self
    }

    /// At most `limit` rows.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.raw.limit = limit;
        self
    }

    /// The scan over bytes.
    #[must_use]
    pub fn raw(&self) -> &RawScan {
        &self.raw
    }
}
