//! Who types, and what was read, on other servers.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#typing-notifications>,
//! <https://spec.matrix.org/v1.19/server-server-api/#receipts>

use pli_schema::RoomNumber;
use ruma::{
    OwnedEventId, OwnedUserId, RoomId, ServerName, UserId,
    api::federation::transactions::edu::TypingContent, events::receipt::ReceiptThread,
};
use serde::Deserialize;
use std::collections::BTreeMap;

use super::Edus;
use crate::Result;

/// Receipts that one EDU may carry.
const RECEIPTS_MAX: usize = 1_000;

/// A receipt as other servers write it.
#[derive(Deserialize)]
pub(super) struct Receipt {
    data: ReceiptData,
    event_ids: Vec<OwnedEventId>,
}

#[derive(Deserialize)]
struct ReceiptData {
    #[serde(default)]
    ts: u64,
    #[serde(default)]
    thread_id: Option<String>,
}

/// By room, kind and user.
pub(super) type Receipts = BTreeMap<String, BTreeMap<String, BTreeMap<OwnedUserId, Receipt>>>;

impl Edus {
    /// The room, if the user is of the origin and joined, and the room lets the origin take part.
    async fn room_of(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        user_id: &UserId,
    ) -> Result<Option<RoomNumber>> {
        let rooms = &self.parts.rooms;
        let Some(room) = rooms.room_number(room_id).await? else { return Ok(None) };
        let may = user_id.server_name() == origin
            && rooms.is_joined(room, user_id).await?
            && rooms.acl_admits(room, origin).await?;
        Ok(may.then_some(room))
    }

    pub(super) async fn hear_typing(
        &self,
        origin: &ServerName,
        told: &TypingContent,
    ) -> Result<()> {
        let TypingContent { room_id, user_id, typing, .. } = told;
        match self.room_of(origin, room_id, user_id).await? {
            Some(room) => self.parts.typing.hear(room, user_id, *typing).await,
            None => Ok(()),
        }
    }

    pub(super) async fn hear_receipts(&self, origin: &ServerName, told: Receipts) -> Result<()> {
        let mut left = RECEIPTS_MAX;
        for (room_id, mut kinds) in told {
            let Ok(room_id) = RoomId::parse(room_id) else { continue };
            // Private receipts are nobody's business; other kinds are not known.
            let Some(users) = kinds.remove("m.read") else { continue };
            for (user_id, receipt) in users {
                left = left.saturating_sub(1);
                if left == 0 {
                    return Ok(());
                }
                let Some(room) = self.room_of(origin, &room_id, &user_id).await? else { continue };
                let Ok(thread) = ReceiptThread::try_from(receipt.data.thread_id) else { continue };
                let what = (&*receipt.event_ids, receipt.data.ts);
                self.parts.receipts.hear(room, &user_id, what, &thread).await?;
            }
        }
        Ok(())
    }
}
