//! Names of people of other servers that look like an agent's: judged by the labels that were agreed with
//! their server ([`crate::policy::outside_names`]), and written down for admins.

use std::sync::Arc;

use pli_federation::event_format::Pdu;
use pli_schema::records::policy::AuditRecord;
use ruma::{ServerName, UserId, events::TimelineEventType};
use serde::Deserialize;
use serde_json::json;

use super::Partners;
use crate::{
    Error, Result, audit,
    federation::Signed,
    policy::outside_names::{Flag, judge},
};

/// Entries that one server gets in an hour, at most: it cannot fill the log.
const PER_HOUR_MAX: u32 = 20;
const HOUR_MS: u64 = 3_600_000;
/// Characters of a name that are judged and written down.
const NAME_MAX: usize = 256;

#[derive(Deserialize)]
struct Member {
    membership: String,
    displayname: Option<String>,
}

impl Signed {
    /// Writes down whose names in events that were taken look like an agent's. If that fails the events are
    /// taken nevertheless.
    pub(in crate::federation) async fn note_names(&self, pdus: &[Arc<Pdu>]) {
        let own = self.remote().own().server_name();
        if let Err(error) = self.partners().note_names(own, pdus).await {
            tracing::warn!(%error, "names of people of other servers could not be written down");
        }
    }
}

impl Partners {
    /// Judges the name of somebody of another server.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn judge_name(&self, server: &ServerName, name: &str) -> Result<Option<Flag>> {
        let name: String = name.chars().take(NAME_MAX).collect();
        let lists = self.lists().await?;
        let labels = lists.partner(server).map(|partner| partner.organizations.as_slice());
        Ok(judge(&name, labels.unwrap_or_default()))
    }

    /// Writes down who comes into a room, or changes the name there, with a name that looks like an
    /// agent's: once for each person and name, as long as it is remembered.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn note_names(&self, own: &ServerName, pdus: &[Arc<Pdu>]) -> Result<()> {
        for pdu in pdus.iter().filter(|pdu| pdu.event_type == TimelineEventType::RoomMember) {
            let user_id = pdu.state_key.as_deref().and_then(|key| <&UserId>::try_from(key).ok());
            let Some(user_id) = user_id.filter(|user_id| user_id.server_name() != own) else {
                continue;
            };
            let Ok(member) = serde_json::from_str::<Member>(pdu.content.get()) else { continue };
            let Some(name) = member.displayname else { continue };
            if !matches!(member.membership.as_str(), "join" | "invite" | "knock") {
                continue;
            }
            if let Some(flag) = self.judge_name(user_id.server_name(), &name).await? {
                self.note_name(user_id, &name, flag, pdu.room().as_str()).await?;
            }
        }
        Ok(())
    }

    async fn note_name(&self, user_id: &UserId, name: &str, flag: Flag, room: &str) -> Result<()> {
        let name: String = name.chars().take(NAME_MAX).collect();
        let noted = (user_id.to_owned(), name.clone());
        if self.noted_names.get(&noted).is_some() {
            return Ok(());
        }
        let now_ms = self.clock.now_ms();
        let (hour, server) = (now_ms / HOUR_MS, user_id.server_name().to_owned());
        let before = self.noted_hours.get(&server).filter(|(known, _)| *known == hour);
        let count = before.map_or(0, |(_, count)| count);
        if count >= PER_HOUR_MAX {
            return Ok(());
        }
        self.noted_hours.put(server, (hour, count.saturating_add(1)), 1);
        self.noted_names.put(noted, (), 1);
        let details = json!({ "display_name": name, "flag": flag.word(), "room_id": room });
        let entry = &AuditRecord {
            at_ms: now_ms,
            actor: None,
            action: "federation.name_flagged".to_owned(),
            subject: user_id.to_string(),
            details_json: details.to_string(),
        };
        self.store
            .write(|tx| async move {
                audit::record(&tx, 0, entry)?;
                Ok::<_, Error>(())
            })
            .await
    }
}
