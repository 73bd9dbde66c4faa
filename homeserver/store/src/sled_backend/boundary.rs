//! The boundary that turns panics and errors of sled into errors of the store.
//!
//! sled asserts what it finds on disk, so a flipped bit can panic instead of giving an error. Nothing
//! of that reaches the caller: a panic here is [`StoreError::Corrupt`].

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::StoreError;

/// What to do about damage, for error texts.
pub(crate) const WHAT_TO_DO: &str = "stop the server, run `pli-homeserver check`, and restore the last \
                                     good backup with `pli-homeserver restore`";

/// Runs an operation of sled.
pub(crate) fn guarded<T>(
    what: &str,
    operation: impl FnOnce() -> sled::Result<T>,
) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(operation)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(of_sled(what, error)),
        Err(_panic) => {
            Err(StoreError::Corrupt(format!("the engine gave up while {what}; {WHAT_TO_DO}")))
        }
    }
}

fn of_sled(what: &str, error: sled::Error) -> StoreError {
    match error {
        // A pointer beyond the end of the file.
        sled::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            StoreError::Corrupt(format!("the file db is too short, {what}; {WHAT_TO_DO}"))
        }
        sled::Error::Io(error) => of_io(what, &error),
        sled::Error::Corruption { .. } | sled::Error::ReportableBug(_) => {
            StoreError::Corrupt(format!("damaged data while {what}; {WHAT_TO_DO}"))
        }
        sled::Error::Unsupported(text) => StoreError::Unusable(text),
        sled::Error::CollectionNotFound(_) => {
            StoreError::Corrupt(format!("the tree is missing while {what}; {WHAT_TO_DO}"))
        }
    }
}

/// An error of the file system as one of the store.
pub(crate) fn of_io(what: &str, error: &io::Error) -> StoreError {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => StoreError::Full(format!("{error}, {what}")),
        _ => StoreError::Io(format!("{error}, {what}")),
    }
}
