//! Member events of users of other servers, signed by their servers, on their way into a room in which
//! this server is.

use std::sync::Arc;

use pli_federation::event_format::Pdu;
use pli_schema::{EventNumber, records::federation::SentForOthersKey};
use ruma::{OwnedUserId, UserId};
use serde_json::Value;

use super::template::AUTHORIZER;
use crate::{
    Error, Result,
    rooms::{Room, Rooms, StoredEvent, incoming::Verdict, staging::Staging},
};

impl Rooms {
    /// Takes a member event of a user of another server into a room in which this server is, and marks
    /// it to be sent on to the others in the room. The caller has checked signatures and hashes, and that
    /// the event is what its sender's server may send this way.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the rules or the administration refuse it; [`Error::BadState`] if it
    /// follows events that this server does not know.
    pub async fn admit(&self, room: &Room, pdu: &Arc<Pdu>) -> Result<Arc<StoredEvent>> {
        let (verdict, staged) = self
            .store()
            .write(|tx| async move {
                let mut staging = Staging::open(self, &tx, room.number).await?;
                let verdict = staging.admit(pdu).await?;
                Ok::<_, Error>((verdict, staging.close()?))
            })
            .await?;
        self.keep_staged(staged);
        match verdict {
            Ok(Verdict::Accepted | Verdict::Known) => {}
            Ok(Verdict::SoftFailed(reason) | Verdict::Rejected(reason)) => {
                return Err(Error::Forbidden(reason));
            }
            Err(_) => {
                let text = "The event follows events that this server does not know";
                return Err(Error::bad_state(text));
            }
        }
        let event = self.event_of_room(room.number, &pdu.event_id).await?;
        let event = event.filter(|e| !e.record.rejected && !e.record.soft_failed);
        event.ok_or_else(|| Error::forbidden("The event was refused before"))
    }

    /// Whether this server sends an event of another one on to the others in the room.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn is_sent_for_others(&self, event: EventNumber) -> Result<bool> {
        Ok(self.store().get(&SentForOthersKey { event }).await?.is_some())
    }

    /// The user of this server who is said to vouch for a join.
    #[must_use]
    pub fn own_authorizer(&self, content: &Value) -> Option<OwnedUserId> {
        let authorizer = UserId::parse(content.get(AUTHORIZER)?.as_str()?).ok()?;
        self.is_local(&authorizer).then_some(authorizer)
    }

    /// Requires that this server may vouch for a join now, as a user of it is said to do.
    ///
    /// # Errors
    /// As [`Self::template`].
    pub async fn require_authorizer(&self, room: &Room, user_id: &UserId) -> Result<()> {
        self.authorizer(room, user_id).await.map(drop)
    }
}
