//! Events as servers exchange them (PDUs), in the formats of room versions 1 to 12
//! (<https://spec.matrix.org/v1.19/server-server-api/#pdus>), and what clients see of them.

mod build;
mod client_event;
mod hashes;
mod limits;
mod pdu;
mod redaction;
#[cfg(test)]
mod tests;
mod user_levels;
mod verify;

pub(crate) use self::user_levels::UserLevels;
pub use self::{
    build::{NewEvent, build, countersign},
    client_event::{ClientUnsigned, client_event, stripped_state_event},
    hashes::{content_hash, reference_hash},
    limits::{MAX_AUTH_EVENTS, MAX_PREV_EVENTS, next_depth},
    pdu::Pdu,
    redaction::redact,
    verify::{PublicKeys, Verified, VerifyError, required_signers, verify},
};
pub use crate::format_error::{FormatError, MAX_EVENT_BYTES, MAX_FIELD_BYTES};
