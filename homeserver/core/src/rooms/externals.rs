//! Holding external people to [`crate::policy::externals`].

use pli_schema::records::accounts::{AccountKey, AccountKind};
use ruma::UserId;

use super::{Draft, Rooms, draft::membership_wished, staging::Staging};
use crate::{
    Error, Result,
    policy::{
        externals::{Action, decide},
        rooms::Refusal,
    },
};

fn refused(Refusal(text): Refusal) -> Error {
    Error::forbidden(text)
}

impl Staging<'_> {
    /// Refuses invitations by external people and power for them.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub(super) async fn check_externals(&self, draft: &Draft) -> Result<()> {
        if !self.rooms().settings().external_rules {
            return Ok(());
        }
        if membership_wished(draft).as_deref() == Some("invite") {
            self.rooms().require_allowed(&draft.sender, Action::Invite).await?;
        }
        if draft.event_type == ruma::events::TimelineEventType::RoomPowerLevels {
            let content = serde_json::from_str(draft.content.get()).unwrap_or_default();
            if self.gives_power_to_externals(&content).await? {
                return decide(Action::HoldPower, AccountKind::Guest).map_err(refused);
            }
        }
        Ok(())
    }
}

impl Rooms {
    /// Requires that a user may do something that external people may not.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub async fn require_allowed(&self, user_id: &UserId, action: Action) -> Result<()> {
        if !self.settings().external_rules {
            return Ok(());
        }
        let account = self.store().get(&AccountKey { user_id: user_id.to_owned() }).await?;
        let kind = account.map_or(AccountKind::Agent, |account| account.kind);
        decide(action, kind).map_err(refused)
    }
}
