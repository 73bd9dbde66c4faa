//! Whether a redaction that was accepted is carried out
//! (<https://spec.matrix.org/v1.19/rooms/v3/#handling-redactions>).

use ruma::{RoomVersionId, state_res::events::RoomPowerLevelsIntField};

use super::{PowerLevels, Rejection, StateView};
use crate::{event_format::Pdu, room_version};

/// Whether `redaction` takes the content of `target` away: since version 3, when its sender has
/// the redact level in `state` (before the redaction) or is of the server of the target's sender.
/// In versions 1 and 2 the authorization rules have decided that already.
///
/// # Errors
/// [`Rejection`] when the power levels of the state are not readable.
pub fn may_redact(
    redaction: &Pdu,
    target: &Pdu,
    version: &RoomVersionId,
    state: &(impl StateView + ?Sized),
) -> Result<bool, Rejection> {
    if redaction.redacts.as_ref() != Some(&target.event_id) || redaction.room() != target.room() {
        return Ok(false);
    }
    if room_version::rules(version)?.authorization.special_case_room_redaction {
        return Ok(true);
    }
    if redaction.sender.server_name() == target.sender.server_name() {
        return Ok(true);
    }
    let levels = PowerLevels::of(version, state)?;
    Ok(levels.of_user(&redaction.sender)? >= levels.to_act(RoomPowerLevelsIntField::Redact)?)
}
