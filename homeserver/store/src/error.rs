//! What can go wrong in a store.

use pli_schema::{KeyError, RecordError};

/// Errors of the store. None of them leaves anything half-written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Something a transaction had read was changed before it committed. [`crate::Store::write`] runs
    /// the closure again, so callers see this only after many tries.
    #[error("the transaction was overtaken by others too many times")]
    Conflict,
    /// No space is left. Nothing was written; reads go on.
    #[error("the disk is full: {0}")]
    Full(String),
    /// Bytes on disk are not what was written. The text names the table and what to do.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// The store cannot be used as it is: another process has it, another server's data, a newer
    /// format. The text says what to do.
    #[error("{0}")]
    Unusable(String),
    /// Another I/O error.
    #[error("input/output error of the store: {0}")]
    Io(String),
    /// A key, value or batch above the limits that every engine can keep.
    #[error("{what} of {size_bytes} bytes is above the store's limit of {limit_bytes}")]
    TooLarge {
        /// `key`, `value` or `batch`.
        what: &'static str,
        /// Its size.
        size_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The store is being closed.
    #[error("the store is closed")]
    Closed,
}

impl From<KeyError> for StoreError {
    fn from(error: KeyError) -> Self {
        Self::Corrupt(format!("{error}; run `pli-homeserver check`"))
    }
}

impl From<RecordError> for StoreError {
    fn from(error: RecordError) -> Self {
        Self::Corrupt(format!("{error}; run `pli-homeserver check`"))
    }
}
