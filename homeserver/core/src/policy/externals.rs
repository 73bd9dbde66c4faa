//! What external people may do: those whom agents invite for a time. Pure decisions on plain data.

use pli_schema::records::accounts::AccountKind;

use super::rooms::Refusal;

/// Something that not everyone may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Creating a room.
    CreateRoom,
    /// Inviting somebody.
    Invite,
    /// Looking for rooms.
    SeeDirectory,
    /// Having a power level above 0.
    HoldPower,
}

/// Whether somebody with an account of this kind may do something.
///
/// # Errors
/// [`Refusal`] with the reason.
pub const fn decide(action: Action, kind: AccountKind) -> Result<(), Refusal> {
    if matches!(kind, AccountKind::Agent) {
        return Ok(());
    }
    Err(Refusal(match action {
        Action::CreateRoom => "External people do not create rooms",
        Action::Invite => "External people do not invite others",
        Action::SeeDirectory => "External people do not see the directory of rooms",
        Action::HoldPower => "External people hold no power in rooms",
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_may_and_others_may_not() {
        let actions = [Action::CreateRoom, Action::Invite, Action::SeeDirectory, Action::HoldPower];
        for action in actions {
            assert!(decide(action, AccountKind::Agent).is_ok());
            for kind in [AccountKind::Guest, AccountKind::MatrixGuest] {
                assert!(decide(action, kind).is_err(), "{action:?} {kind:?}");
            }
        }
    }
}
