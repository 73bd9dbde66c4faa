//! What clients send into rooms.

use ruma::{OwnedEventId, OwnedUserId, RoomId, TransactionId, UserId, events::TimelineEventType};
use serde_json::{Map, Value, json, value::RawValue};

use super::{Appended, Draft, Origin, Rooms, draft};
use crate::{Error, Result};

/// A state event as a client wants it.
#[derive(Clone, Debug)]
pub struct NewState {
    /// Who sends it.
    pub sender: OwnedUserId,
    /// The type.
    pub event_type: String,
    /// The state key.
    pub state_key: String,
    /// The content.
    pub content: Box<RawValue>,
}

impl Origin {
    /// The request of a device to send an event of a type.
    #[must_use]
    pub fn of_send(
        device_id: &ruma::DeviceId,
        transaction_id: &TransactionId,
        event_type: &str,
    ) -> Self {
        Self {
            device_id: device_id.to_owned(),
            transaction_id: transaction_id.to_owned(),
            endpoint: format!("send/{event_type}"),
        }
    }

    /// The request of a device to redact an event.
    #[must_use]
    pub fn of_redaction(
        device_id: &ruma::DeviceId,
        transaction_id: &TransactionId,
        event_id: &ruma::EventId,
    ) -> Self {
        Self {
            device_id: device_id.to_owned(),
            transaction_id: transaction_id.to_owned(),
            endpoint: format!("redact/{event_id}"),
        }
    }
}

impl Rooms {
    /// Sends an event that is not state
    /// (<https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid>).
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn send(
        &self,
        sender: &UserId,
        room_id: &RoomId,
        event_type: TimelineEventType,
        content: Box<RawValue>,
        origin: Origin,
    ) -> Result<Appended> {
        let mut draft = Draft::message(sender.to_owned(), event_type, content)?;
        if draft.event_type == TimelineEventType::RoomRedaction {
            let mut content = object(&draft.content)?;
            let redacts = content.remove("redacts");
            let redacts =
                redacts.as_ref().and_then(Value::as_str).and_then(|id| id.try_into().ok());
            let missing = || Error::bad_json("`redacts` must be the id of the event to redact");
            draft.redacts = Some(redacts.ok_or_else(missing)?);
            draft.content = draft::raw(&content)?;
        }
        self.append(room_id, draft, Some(origin)).await
    }

    /// Takes the content of an event away
    /// (<https://spec.matrix.org/v1.19/client-server-api/#redactions>).
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such event in the room; [`Error::Forbidden`] if the user may
    /// not redact it; as [`Self::append`].
    pub async fn redact(
        &self,
        sender: &UserId,
        room_id: &RoomId,
        event_id: OwnedEventId,
        reason: Option<&str>,
        origin: Origin,
    ) -> Result<Appended> {
        let content = reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
        let kind = TimelineEventType::RoomRedaction;
        let mut draft = Draft::message(sender.to_owned(), kind, draft::raw(&content)?)?;
        draft.redacts = Some(event_id);
        self.append(room_id, draft, Some(origin)).await
    }

    /// Sends a state event
    /// (<https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey>).
    ///
    /// # Errors
    /// [`Error::BadAlias`] if `m.room.canonical_alias` names an alias that is not the room's; as
    /// [`Self::append`].
    pub async fn send_state(&self, room_id: &RoomId, new: NewState) -> Result<Appended> {
        let room = self.room_or_forbidden(room_id).await?;
        match new.event_type.as_str() {
            "m.room.member" => {
                let target = UserId::parse(&new.state_key)
                    .map_err(|_| Error::invalid_param("The state key must be a user id"))?;
                let content = object(&new.content)?;
                return self.send_member(&room, (&new.sender, &target), content).await;
            }
            "m.room.canonical_alias" if new.state_key.is_empty() => {
                self.check_canonical_alias(&room, &new.content).await?;
            }
            _ => {}
        }
        let draft = Draft::state(new.sender, new.event_type, new.state_key, new.content)?;
        self.through_lane(room.number, draft, None).await
    }
}

fn object(content: &RawValue) -> Result<Map<String, Value>> {
    serde_json::from_str(content.get()).map_err(|error| Error::bad_json(error.to_string()))
}

#[cfg(test)]
mod tests;
