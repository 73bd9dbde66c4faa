//! What a suspended user may still put into rooms.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#account-suspension>.

use pli_schema::records::accounts::AccountKey;
use ruma::UserId;

use super::{Draft, Rooms, draft::membership_wished, staging::Staging};
use crate::{Error, Result};

impl Staging<'_> {
    /// Requires that the sender is not suspended, or does what suspended users may: leave, turn an invite
    /// down, redact an own event.
    ///
    /// # Errors
    /// [`Error::UserSuspended`].
    pub(super) async fn check_suspension(&self, draft: &Draft) -> Result<()> {
        if !self.rooms().is_suspended(&draft.sender).await? {
            return Ok(());
        }
        let leaves = draft.state_key.as_deref() == Some(draft.sender.as_str())
            && membership_wished(draft).as_deref() == Some("leave");
        if leaves {
            return Ok(());
        }
        if let Some(redacts) = &draft.redacts {
            let target = self.rooms().event_of_room(self.room.number, redacts).await?;
            if let Some(target) = target
                && target.pdu()?.sender == draft.sender
            {
                return Ok(());
            }
        }
        Err(Error::UserSuspended)
    }
}

impl Rooms {
    /// Whether an account of this server is suspended.
    async fn is_suspended(&self, user_id: &UserId) -> Result<bool> {
        let account = self.store().get(&AccountKey { user_id: user_id.to_owned() }).await?;
        Ok(account.is_some_and(|account| account.suspended))
    }
}
