//! Letting users of other servers in and out of rooms in which this server is.

use std::sync::Arc;

use pli_federation::event_format::Pdu;
use ruma::{
    EventId, OwnedEventId, OwnedRoomId, OwnedServerName, RoomId, RoomVersionId, ServerName, UserId,
    events::TimelineEventType,
};
use serde_json::Value;

use super::RemoteRooms;
use crate::{
    Error, Result,
    rooms::{HandOver, Room, Step, StoredEvent, Template},
};

/// A member event that another server hands in.
#[derive(Clone, Debug)]
pub struct Handing {
    /// What it is to be.
    pub step: Step,
    /// The room.
    pub room_id: OwnedRoomId,
    /// The event's id, as the path has it.
    pub event_id: OwnedEventId,
    /// The server that hands it in.
    pub origin: OwnedServerName,
    /// The event.
    pub json: String,
}

/// What a server gets when one of its users has joined.
#[derive(Clone, Debug)]
pub struct Given {
    /// The room before the join.
    pub room: HandOver,
    /// The join as it went into the room, as JSON.
    pub event: String,
    /// The servers that were in the room before.
    pub servers: Vec<OwnedServerName>,
}

impl RemoteRooms {
    /// What a user of another server can come or go with. `versions` are the room versions that the
    /// other server speaks; `None` if the endpoint does not ask.
    ///
    /// # Errors
    /// [`Error::NotFound`] if this server is not in the room; [`Error::IncompatibleRoomVersion`];
    /// [`Error::Forbidden`]; as [`crate::rooms::Rooms::template`].
    pub async fn offer(
        &self,
        step: Step,
        (room_id, user_id): (&RoomId, &UserId),
        origin: &ServerName,
        versions: Option<&[RoomVersionId]>,
    ) -> Result<Template> {
        if user_id.server_name() != origin {
            return Err(Error::forbidden("The user is not one of the server that asks"));
        }
        let room = self.rooms.room_for_server(room_id, origin).await?;
        if versions.is_some_and(|versions| !versions.contains(&room.version)) {
            return Err(Error::IncompatibleRoomVersion {
                message: "Your server does not speak the room's version".to_owned(),
                room_version: room.version.to_string(),
            });
        }
        self.rooms.template(step, &room, user_id).await
    }

    /// Takes a member event that was made out of a template.
    ///
    /// # Errors
    /// As [`Self::offer`]; [`Error::InvalidParam`] for an event that is not what it should be or is not
    /// signed as it must be.
    pub async fn take(&self, handing: Handing) -> Result<(Arc<Room>, Arc<StoredEvent>)> {
        let room = self.rooms.room_for_server(&handing.room_id, &handing.origin).await?;
        let json = self.vouched(&room, &handing).await?;
        let pdu = self.signed.check_pdu(&room.id, &room.version, json).await?;
        let pdu = pdu.map_err(|error| Error::InvalidParam(error.to_string()))?;
        require_own(&pdu, &handing)?;
        let event = self.rooms.admit(&room, &pdu).await?;
        self.signed.note_names(std::slice::from_ref(&pdu)).await;
        Ok((room, event))
    }

    /// Takes a knock; what the one who knocks is told of the room: events as JSON.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub async fn take_knock(&self, handing: Handing) -> Result<Vec<String>> {
        let (_, event) = self.take(handing).await?;
        self.rooms.state_for_strangers(event.record.state_before, None).await
    }

    /// Takes a join, and hands the room out.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub async fn take_join(&self, handing: Handing, omit_members: bool) -> Result<Given> {
        let room = self.rooms.room_for_server(&handing.room_id, &handing.origin).await?;
        let servers = self.rooms.servers_in(room.number).await?.into_iter().collect();
        let (_, event) = self.take(handing).await?;
        let room = self.rooms.hand_over(&event, omit_members).await?;
        Ok(Given { room, event: event.record.json.clone(), servers })
    }

    /// The event, with this server's signature if a user of this server is to vouch for it and may.
    async fn vouched(&self, room: &Room, handing: &Handing) -> Result<String> {
        let event: Value = serde_json::from_str(&handing.json)
            .map_err(|error| Error::BadJson(error.to_string()))?;
        let content = event.get("content").cloned().unwrap_or_default();
        if handing.step != Step::Join || self.rooms.own_authorizer(&content).is_none() {
            return Ok(handing.json.clone());
        }
        let sender = event.get("sender").and_then(Value::as_str);
        let sender = sender.and_then(|sender| UserId::parse(sender).ok());
        let sender = sender.ok_or_else(|| Error::bad_json("`sender` must be a user id"))?;
        self.rooms.require_authorizer(room, &sender).await?;
        self.rooms.countersign(&handing.json, &room.version)
    }
}

/// Requires that an event is what the server that hands it in may hand in.
fn require_own(pdu: &Pdu, handing: &Handing) -> Result<()> {
    let membership = membership(pdu);
    let is_it = pdu.event_type == TimelineEventType::RoomMember
        && pdu.state_key.as_deref() == Some(pdu.sender.as_str())
        && membership.as_deref() == Some(handing.step.membership().name());
    if !is_it {
        return Err(Error::invalid_param("The event is not of the kind that is sent here"));
    }
    if pdu.sender.server_name() != handing.origin {
        return Err(Error::forbidden("The user is not one of the server that sends the event"));
    }
    require_id(pdu, &handing.event_id)
}

fn require_id(pdu: &Pdu, event_id: &EventId) -> Result<()> {
    if pdu.event_id != event_id {
        return Err(Error::invalid_param("The event has another id"));
    }
    Ok(())
}

/// The membership that a member event sets.
pub(super) fn membership(pdu: &Pdu) -> Option<String> {
    let content: Value = serde_json::from_str(pdu.content.get()).ok()?;
    content.get("membership")?.as_str().map(str::to_owned)
}
