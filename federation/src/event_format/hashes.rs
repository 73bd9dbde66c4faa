//! The two hashes of an event: over what it says, and over what remains when it is redacted
//! (<https://spec.matrix.org/v1.19/server-server-api/#signing-events>).

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use ruma::{
    RoomVersionId,
    room_version_rules::{EventIdFormatVersion, RoomVersionRules},
};
use sha2::{Digest as _, Sha256};

use super::{FormatError, redaction};
use crate::{
    canonical_json::{Object, canonicalize},
    room_version,
};

/// The content hash of an event in unpadded standard base64, as in `hashes.sha256`.
///
/// # Errors
/// [`FormatError`] when `json` is not an object the room version allows.
pub fn content_hash(json: &str, version: &RoomVersionId) -> Result<String, FormatError> {
    let canonical = canonicalize(json, room_version::numbers(&room_version::rules(version)?))?;
    let hashed = Object::parse(&canonical)?
        .filtered(|key| !matches!(key, "hashes" | "signatures" | "unsigned"));
    Ok(standard_sha256(&hashed))
}

/// The reference hash of an event: without `$` the identifier of an event of room version 3 and
/// later; in versions 1 and 2 what stands next to an identifier in `prev_events`. Unpadded base64,
/// of the URL-safe alphabet since version 4.
///
/// # Errors
/// [`FormatError`] when `json` is not an object the room version allows.
pub fn reference_hash(json: &str, version: &RoomVersionId) -> Result<String, FormatError> {
    let rules = room_version::rules(version)?;
    let canonical = canonicalize(json, room_version::numbers(&rules))?;
    of_signed_part(&redaction::signed_part(&Object::parse(&canonical)?, &rules)?, &rules)
}

/// The reference hash, given the canonical JSON of the redacted event without signatures.
pub(super) fn of_signed_part(
    redacted: &str,
    rules: &RoomVersionRules,
) -> Result<String, FormatError> {
    Ok(match rules.event_id_format {
        EventIdFormatVersion::V1 | EventIdFormatVersion::V2 => standard_sha256(redacted),
        _ => URL_SAFE_NO_PAD.encode(Sha256::digest(redacted)),
    })
}

/// SHA-256 in unpadded base64 of the standard alphabet.
pub(super) fn standard_sha256(text: &str) -> String {
    STANDARD_NO_PAD.encode(Sha256::digest(text))
}
