//! The codec of records: a version byte, then the fields in postcard.

use serde::{Serialize, de::DeserializeOwned};

/// Something stored. A change of its fields raises `VERSION` and comes with a migration.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The version of the layout, the first byte of the record.
    const VERSION: u8 = 1;

    /// The record as bytes.
    ///
    /// # Errors
    /// [`RecordError::Encode`] if a field cannot be encoded.
    fn encode(&self) -> Result<Vec<u8>, RecordError> {
        postcard::to_extend(self, vec![Self::VERSION]).map_err(|_| RecordError::Encode)
    }

    /// The record from bytes.
    ///
    /// # Errors
    /// [`RecordError::Version`] for another version, [`RecordError::Malformed`] for bytes that are no
    /// such record.
    fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        match bytes.split_first() {
            Some((&version, rest)) if version == Self::VERSION => {
                postcard::from_bytes(rest).map_err(|_| RecordError::Malformed)
            }
            Some((&version, _)) => Err(RecordError::Version { found: version }),
            None => Err(RecordError::Malformed),
        }
    }
}

/// A record could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A field has no encoding.
    #[error("record cannot be encoded")]
    Encode,
    /// The record has another layout.
    #[error("record has layout version {found}")]
    Version {
        /// The version byte that was found.
        found: u8,
    },
    /// The bytes are not such a record.
    #[error("malformed record")]
    Malformed,
}

/// For indexes whose keys say everything.
impl Record for () {}
/// For counters.
impl Record for u64 {}
/// For flags.
impl Record for bool {}
/// For names.
impl Record for String {}
