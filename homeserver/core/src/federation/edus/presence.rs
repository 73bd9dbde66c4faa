//! Who is there, on other servers.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#presence>

use ruma::{ServerName, api::federation::transactions::edu::PresenceContent};

use super::Edus;
use crate::{Result, federation::Use, presence::HeardAgo};

/// Users whose presence one EDU may tell.
const USERS_MAX: usize = 1_000;

impl Edus {
    pub(super) async fn hear_presence(
        &self,
        origin: &ServerName,
        told: PresenceContent,
    ) -> Result<()> {
        if self.parts.partners.require(origin, Use::Presence).await.is_err() {
            return Ok(());
        }
        let presence = &self.parts.presence;
        for update in told.push.into_iter().take(USERS_MAX) {
            let user_id = &update.user_id;
            if user_id.server_name() != origin || !presence.concerns_anyone(user_id).await? {
                continue;
            }
            let last_active_ago_ms = update.last_active_ago.into();
            let ago = HeardAgo { last_active_ago_ms, status_msg: update.status_msg };
            presence.hear(user_id, (&update.presence, update.currently_active), ago);
        }
        Ok(())
    }
}
