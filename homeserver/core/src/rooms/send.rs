//! What clients send into rooms.

use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedDeviceId, OwnedEventId, OwnedTransactionId, OwnedUserId,
    RoomId, TransactionId, UserId, events::TimelineEventType,
};
use serde_json::{Map, Value, json, value::RawValue};

use super::{Appended, Draft, Origin, Rooms, draft, sticky::STICKY_MAX_MS};
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

/// An event that is not state as a client wants it.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Who sends it.
    pub sender: OwnedUserId,
    /// The type.
    pub event_type: TimelineEventType,
    /// The content.
    pub content: Box<RawValue>,
}

/// How an event is sent, beside what it is.
#[derive(Clone, Debug, Default)]
pub struct Sending {
    /// The request behind it, so that the same request sends it once.
    pub origin: Option<Origin>,
    /// When it happened, where an application service says so.
    pub origin_server_ts: Option<MilliSecondsSinceUnixEpoch>,
    /// For how long the event sticks, in milliseconds (MSC4354); above an hour it is an hour.
    pub sticky_duration_ms: Option<u32>,
}

impl Sending {
    /// The draft with what is said here.
    pub(super) fn apply(&self, mut draft: Draft) -> Draft {
        draft.origin_server_ts = self.origin_server_ts;
        draft.sticky_duration_ms = self.sticky_duration_ms.map(|ms| ms.min(STICKY_MAX_MS));
        draft
    }
}

/// The device of the requests that the server makes itself when the time of a delayed event has come. No
/// real device has a control character in its id.
const DELAYED_DEVICE: &str = "\u{1}delayed";

impl Origin {
    /// The sending of a delayed event: once, whatever happens.
    #[must_use]
    pub fn of_delayed(delay_id: &str) -> Self {
        Self {
            device_id: DELAYED_DEVICE.into(),
            transaction_id: delay_id.into(),
            endpoint: "delayed_event".to_owned(),
        }
    }

    /// The id under which an event was scheduled, by the transaction that its record names.
    pub(crate) fn delay_id(transaction: &(OwnedDeviceId, OwnedTransactionId)) -> Option<&str> {
        (transaction.0 == DELAYED_DEVICE).then(|| transaction.1.as_str())
    }

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
        let new = NewMessage { sender: sender.to_owned(), event_type, content };
        let sending = Sending { origin: Some(origin), ..Sending::default() };
        self.send_message(room_id, new, sending).await
    }

    /// As [`Self::send`], in a particular way.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn send_message(
        &self,
        room_id: &RoomId,
        new: NewMessage,
        sending: Sending,
    ) -> Result<Appended> {
        let draft = Draft::message(new.sender, new.event_type, new.content)?;
        let mut draft = sending.apply(draft);
        if draft.event_type == TimelineEventType::RoomRedaction {
            let mut content = object(&draft.content)?;
            let redacts = content.remove("redacts");
            let redacts =
                redacts.as_ref().and_then(Value::as_str).and_then(|id| id.try_into().ok());
            let missing = || Error::bad_json("`redacts` must be the id of the event to redact");
            draft.redacts = Some(redacts.ok_or_else(missing)?);
            draft.content = draft::raw(&content)?;
        }
        self.append(room_id, draft, sending.origin).await
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
        self.send_state_as(room_id, new, Sending::default()).await
    }

    /// As [`Self::send_state`], in a particular way.
    ///
    /// # Errors
    /// As [`Self::send_state`].
    pub async fn send_state_as(
        &self,
        room_id: &RoomId,
        new: NewState,
        sending: Sending,
    ) -> Result<Appended> {
        let room = self.room_or_forbidden(room_id).await?;
        match new.event_type.as_str() {
            "m.room.member" => {
                let target = UserId::parse(&new.state_key)
                    .map_err(|_| Error::invalid_param("The state key must be a user id"))?;
                let content = object(&new.content)?;
                return self.send_member(&room, (&new.sender, &target), content, sending).await;
            }
            "m.room.canonical_alias" if new.state_key.is_empty() => {
                self.check_canonical_alias(&room, &new.content).await?;
            }
            _ => {}
        }
        let guests = new.event_type == "m.room.guest_access" && new.state_key.is_empty();
        let draft = Draft::state(new.sender, new.event_type, new.state_key, new.content)?;
        let draft = sending.apply(draft);
        let appended = self.through_lane(room.number, draft, sending.origin).await?;
        if guests {
            self.turn_guests_out(&room).await?;
        }
        Ok(appended)
    }
}

fn object(content: &RawValue) -> Result<Map<String, Value>> {
    serde_json::from_str(content.get()).map_err(|error| Error::bad_json(error.to_string()))
}

#[cfg(test)]
mod tests;
