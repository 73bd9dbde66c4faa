//! Taps: what changes while a backup is being made.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use pli_schema::Position;

use crate::{StoreError, limits::TAP_BYTES_MAX};

/// A key with its new bytes; `None` if it was removed.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);

/// The taps that are open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taps {
    open: Arc<Mutex<Vec<Weak<Tap>>>>,
}

impl Taps {
    /// Opens a tap: it gets every group that begins after this.
    pub(crate) fn open(&self) -> Arc<Tap> {
        let tap = Arc::new(Tap::default());
        self.open.lock().push(Arc::downgrade(&tap));
        tap
    }

    /// Those whose reader is still there.
    pub(crate) fn active(&self) -> Vec<Arc<Tap>> {
        let mut open = self.open.lock();
        if open.is_empty() {
            return Vec::new();
        }
        open.retain(|tap| tap.strong_count() > 0);
        open.iter().filter_map(Weak::upgrade).collect()
    }
}

/// Durable changes, in order, until they are taken.
#[derive(Debug, Default)]
pub(crate) struct Tap {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    changes: VecDeque<Change>,
    size_bytes: usize,
    position: Position,
    is_lost: bool,
}

impl Tap {
    /// Adds the changes of a group that ends at `position`.
    pub(crate) fn push(&self, changes: &[Change], position: Position) {
        let size = |(key, value): &Change| {
            key.len().saturating_add(value.as_ref().map_or(0, Vec::len)).saturating_add(64)
        };
        let mut inner = self.inner.lock();
        inner.position = position;
        inner.size_bytes = inner.size_bytes.saturating_add(changes.iter().map(size).sum::<usize>());
        if inner.size_bytes > TAP_BYTES_MAX {
            inner.is_lost = true;
            inner.changes.clear();
        }
        if !inner.is_lost {
            inner.changes.extend(changes.iter().cloned());
        }
    }

    /// Nothing that comes from now on can be trusted to be all.
    pub(crate) fn abort(&self) {
        let mut inner = self.inner.lock();
        inner.is_lost = true;
        inner.changes.clear();
    }

    /// Takes what has come, with the position that it reaches to.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the reader was too slow or a write failed, so that changes are lost to it.
    pub(crate) fn take(&self) -> Result<(Vec<Change>, Position), StoreError> {
        let mut inner = self.inner.lock();
        if inner.is_lost {
            return Err(StoreError::Io(
                "the backup is given up: a write to the store failed, or more was written than it could \
                 keep up with; make it again, to a faster disk or at a quieter time"
                    .to_owned(),
            ));
        }
        inner.size_bytes = 0;
        Ok((inner.changes.drain(..).collect(), inner.position))
    }
}
