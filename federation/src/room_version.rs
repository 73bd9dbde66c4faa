//! The room versions this server speaks (<https://spec.matrix.org/v1.19/rooms/>).

use ruma::{
    RoomVersionId,
    room_version_rules::{EventsReferenceFormatVersion, RoomVersionDisposition, RoomVersionRules},
};

use crate::{canonical_json::Numbers, format_error::FormatError};

/// The version of a new room when nobody asks for another.
pub const DEFAULT: RoomVersionId = RoomVersionId::V12;

/// The room versions that are spoken, oldest first.
pub const SUPPORTED: [RoomVersionId; 12] = [
    RoomVersionId::V1,
    RoomVersionId::V2,
    RoomVersionId::V3,
    RoomVersionId::V4,
    RoomVersionId::V5,
    RoomVersionId::V6,
    RoomVersionId::V7,
    RoomVersionId::V8,
    RoomVersionId::V9,
    RoomVersionId::V10,
    RoomVersionId::V11,
    RoomVersionId::V12,
];

/// Whether rooms of this version can be held here.
pub fn is_supported(version: &RoomVersionId) -> bool {
    SUPPORTED.contains(version)
}

/// The stability to advertise in the `m.room_versions` capability: `"stable"` or `"unstable"`;
/// `None` for a version that is not spoken.
pub fn stability(version: &RoomVersionId) -> Option<&'static str> {
    let rules = is_supported(version).then(|| version.rules()).flatten()?;
    Some(match rules.disposition {
        RoomVersionDisposition::Stable => "stable",
        RoomVersionDisposition::Unstable => "unstable",
    })
}

/// What differs between room versions.
///
/// # Errors
/// [`FormatError::UnsupportedVersion`].
pub fn rules(version: &RoomVersionId) -> Result<RoomVersionRules, FormatError> {
    is_supported(version)
        .then(|| version.rules())
        .flatten()
        .ok_or_else(|| FormatError::UnsupportedVersion(version.clone()))
}

/// Whether events name others as `[event_id, {"sha256": hash}]` and carry an identifier of their
/// own: versions 1 and 2.
pub fn has_own_event_ids(rules: &RoomVersionRules) -> bool {
    rules.events_reference_format == EventsReferenceFormatVersion::V1
}

/// Which numbers events may contain.
pub fn numbers(rules: &RoomVersionRules) -> Numbers {
    if rules.authorization.strict_canonical_json { Numbers::Strict } else { Numbers::Lenient }
}

/// The greatest `depth` of an event: 2^63 − 1, since version 6 2^53 − 1.
pub fn max_depth(rules: &RoomVersionRules) -> u64 {
    if rules.authorization.strict_canonical_json {
        crate::canonical_json::MAX_INTEGER.unsigned_abs()
    } else {
        i64::MAX.unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_stable_versions_and_the_default_among_them() {
        assert!(is_supported(&DEFAULT));
        for version in &SUPPORTED {
            assert_eq!(stability(version), Some("stable"), "{version}");
            assert!(rules(version).is_ok());
        }
        let unknown = RoomVersionId::try_from("org.example.1").unwrap();
        assert_eq!(stability(&unknown), None);
        assert!(matches!(rules(&unknown), Err(FormatError::UnsupportedVersion(_))));
    }

    #[test]
    fn depth_and_numbers_are_strict_since_version_6() {
        let five = rules(&RoomVersionId::V5).unwrap();
        let six = rules(&RoomVersionId::V6).unwrap();
        assert_eq!((max_depth(&five), numbers(&five)), ((1 << 63) - 1, Numbers::Lenient));
        assert_eq!((max_depth(&six), numbers(&six)), ((1 << 53) - 1, Numbers::Strict));
    }
}
