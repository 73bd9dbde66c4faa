//! Values as kept by a backend: checksum, position of the commit that wrote it, record.
//!
//! Layout: 4 bytes CRC-32 of all that follows and of the key (big-endian), 8 bytes position, record.
//! The key is part of the checksum, so that a value that strayed under another key is noticed too.

use pli_schema::Position;

use crate::StoreError;

/// Bytes before the record.
pub const HEADER_BYTES: usize = 12;

/// A value read from a backend, checksum verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawValue {
    /// The commit that wrote it.
    pub position: Position,
    /// The record's bytes.
    pub record: Vec<u8>,
}

/// The bytes to keep under `key`.
#[must_use]
pub fn encode_value(key: &[u8], position: Position, record: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES.saturating_add(record.len()));
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&position.0.to_be_bytes());
    out.extend_from_slice(record);
    let checksum = checksum(key, out.get(4..).unwrap_or_default());
    for (to, from) in out.iter_mut().zip(checksum.to_be_bytes()) {
        *to = from;
    }
    out
}

/// Verifies and splits the bytes kept under `key`.
///
/// # Errors
/// [`StoreError::Corrupt`] if the checksum does not fit.
pub fn decode_value(key: &[u8], bytes: &[u8]) -> Result<RawValue, StoreError> {
    let parts = bytes.split_first_chunk::<4>().and_then(|(sum, body)| {
        body.split_first_chunk::<8>().map(|(position, record)| (sum, body, position, record))
    });
    let Some((sum, body, position, record)) = parts else {
        return Err(damaged(key, "a value is too short"));
    };
    if u32::from_be_bytes(*sum) != checksum(key, body) {
        return Err(damaged(key, "a checksum does not fit"));
    }
    Ok(RawValue { position: Position(u64::from_be_bytes(*position)), record: record.to_vec() })
}

/// The position in the bytes kept under `key`, without looking at the rest.
///
/// # Errors
/// [`StoreError::Corrupt`] if the bytes are too short.
pub(crate) fn position_of(key: &[u8], bytes: &[u8]) -> Result<Position, StoreError> {
    let position = bytes.get(4..).and_then(<[u8]>::first_chunk::<8>);
    let position = position.ok_or_else(|| damaged(key, "a value is too short"))?;
    Ok(Position(u64::from_be_bytes(*position)))
}

fn checksum(key: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(body);
    hasher.finalize()
}

fn damaged(key: &[u8], what: &str) -> StoreError {
    let table = key
        .first()
        .and_then(|&byte| pli_schema::Table::from_byte(byte))
        .map_or("an unknown table", pli_schema::Table::name);
    StoreError::Corrupt(format!(
        "{what} in table {table}; stop the server, run `pli-homeserver check`, and restore the last \
         good backup with `pli-homeserver restore`"
    ))
}
