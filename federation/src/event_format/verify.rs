//! The checks of signatures and hashes on receipt
//! (<https://spec.matrix.org/v1.19/server-server-api/#validating-hashes-and-signatures-on-received-events>).

use std::collections::BTreeSet;

use ruma::{
    CanonicalJsonObject, OwnedServerName, RoomVersionId,
    signatures::{
        PublicKeyMap, VerificationError, Verified as RumaVerified,
        required_server_signatures_to_verify_event, verify_event,
    },
};

use super::FormatError;
use crate::room_version;

/// Public keys by server name and key identifier.
pub type PublicKeys = PublicKeyMap;

/// An event whose signatures are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// The content hash is right as well.
    Whole,
    /// The content does not match its hash: only the redacted event may be used.
    RedactedOnly,
}

/// Why an event must be dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It is not an event, or has numbers that canonical JSON cannot hold.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A signature of this server is missing, or none of its keys is known.
    #[error("no usable signature of {0}")]
    MissingSignature(String),
    /// A signature is wrong.
    #[error("wrong signature: {0}")]
    Signature(String),
}

fn object(json: &str) -> Result<CanonicalJsonObject, FormatError> {
    Ok(serde_json::from_str(json)?)
}

/// The servers whose signatures [`verify`] needs: of the sender, in versions 1 and 2 of the event
/// identifier, and of the user who authorized a restricted join.
///
/// # Errors
/// [`VerifyError::Format`].
pub fn required_signers(
    json: &str,
    version: &RoomVersionId,
) -> Result<BTreeSet<OwnedServerName>, VerifyError> {
    let rules = room_version::rules(version)?;
    required_server_signatures_to_verify_event(&object(json)?, &rules.signatures).map_err(classify)
}

/// Checks the signatures of an event and its content hash.
///
/// Events of versions 1 to 5 with numbers that are not integers cannot be checked and are
/// [`VerifyError::Format`].
///
/// # Errors
/// See [`VerifyError`].
pub fn verify(
    json: &str,
    version: &RoomVersionId,
    keys: &PublicKeys,
) -> Result<Verified, VerifyError> {
    let rules = room_version::rules(version)?;
    match verify_event(keys, &object(json)?, &rules) {
        Ok(RumaVerified::All) => Ok(Verified::Whole),
        Ok(RumaVerified::Signatures) => Ok(Verified::RedactedOnly),
        Err(error) => Err(classify(error)),
    }
}

fn classify(error: VerificationError) -> VerifyError {
    match error {
        VerificationError::NoSignaturesForEntity(server)
        | VerificationError::NoPublicKeysForEntity(server)
        | VerificationError::NoSupportedSignatureForEntity(server) => {
            VerifyError::MissingSignature(server)
        }
        VerificationError::Json(error) => {
            VerifyError::Format(FormatError::Property(error.to_string()))
        }
        VerificationError::ParseIdentifier { identifier_type, .. } => {
            VerifyError::Format(FormatError::Property(identifier_type.to_owned()))
        }
        other => VerifyError::Signature(other.to_string()),
    }
}
