//! Inviting users of other servers
//! (<https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room>): the event goes into the room
//! only when the other server has signed it.

use std::sync::Arc;

use pli_federation::event_format::Pdu;
use ruma::{
    OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, RoomVersionId, UserId,
    api::federation::membership::{RawStrippedState, create_invite::v2},
};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::{
    RemoteRooms,
    candidates::told,
    send_join::{is_unknown, raw},
};
use crate::{
    Error, Result,
    federation::{Bounds, RemoteError},
    rooms::{Change, CreateRoom, NewState, Room, Sending},
};

/// The answer of the old endpoint, behind a status.
#[derive(Deserialize)]
struct Signed {
    event: Box<RawValue>,
}

/// Why an invite was not taken, for whoever invites.
fn refusal(error: RemoteError) -> Error {
    match error.errcode() {
        "M_INVITE_BLOCKED" => Error::InviteBlocked("This user does not take invites".to_owned()),
        "M_INCOMPATIBLE_ROOM_VERSION" | "M_UNSUPPORTED_ROOM_VERSION" => {
            let text = "The server of this user does not speak the room's version";
            Error::UnsupportedRoomVersion(text.to_owned())
        }
        _ => told(error),
    }
}

impl RemoteRooms {
    /// Invites a user, of this server or of another one.
    ///
    /// # Errors
    /// As [`crate::rooms::Rooms::invite`]; what the other server answered.
    pub async fn invite(&self, change: Change<'_>) -> Result<()> {
        if !self.is_elsewhere(change.target) {
            return self.rooms.invite(change).await;
        }
        let content = self.rooms.invite_content(change.target, change.reason).await?;
        let room = self.rooms.room_or_forbidden(change.room_id).await?;
        self.rooms.require_joined(room.number, change.sender).await?;
        self.invite_elsewhere(&room, (change.sender, change.target), &content).await.map(drop)
    }

    /// Sends a state event. An invite of a user of another server goes by way of that server, whichever
    /// endpoint it comes through.
    ///
    /// # Errors
    /// As [`crate::rooms::Rooms::send_state`] and [`Self::invite`].
    pub async fn send_state_as(
        &self,
        room_id: &RoomId,
        new: NewState,
        sending: Sending,
    ) -> Result<OwnedEventId> {
        let Some((target, mut content)) = self.invite_in(&new) else {
            let sent = self.rooms.send_state_as(room_id, new, sending).await?;
            return Ok(sent.event_id);
        };
        // These vouch for something, so only the server may say them.
        content.remove("join_authorised_via_users_server");
        content.remove("third_party_invite");
        let room = self.rooms.room_or_forbidden(room_id).await?;
        self.rooms.require_joined(room.number, &new.sender).await?;
        let invite = self.invite_elsewhere(&room, (&new.sender, &target), &content).await?;
        Ok(invite.event_id.clone())
    }

    /// Whom of another server a state event invites, with its content.
    fn invite_in(&self, new: &NewState) -> Option<(OwnedUserId, Map<String, Value>)> {
        if new.event_type != "m.room.member" {
            return None;
        }
        let target = UserId::parse(&new.state_key).ok()?;
        let content: Map<String, Value> = serde_json::from_str(new.content.get()).ok()?;
        let invites = content.get("membership").and_then(Value::as_str) == Some("invite");
        (invites && self.is_elsewhere(&target)).then_some((target, content))
    }

    /// Whether a user is of another server, and this one speaks with others.
    #[must_use]
    pub fn is_elsewhere(&self, user_id: &UserId) -> bool {
        !self.rooms.is_local(user_id) && self.signed.partners().is_enabled()
    }

    /// Invites a user of another server with this content of the event.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the rules refuse it; what the other server answered.
    pub async fn invite_elsewhere(
        &self,
        room: &Room,
        (sender, target): (&UserId, &UserId),
        content: &Map<String, Value>,
    ) -> Result<Arc<Pdu>> {
        let (pdu, state) = self.rooms.prepare_invite(room, (sender, target), content).await?;
        let signed = self.have_signed(room, target, &pdu, state).await?;
        let signed = self.signed.check_pdu(&room.id, &room.version, signed).await?;
        let signed = signed.map_err(|error| Error::RemoteUnavailable(error.to_string()))?;
        if signed.event_id != pdu.event_id {
            return Err(Error::RemoteUnavailable("it answered with another event".to_owned()));
        }
        self.rooms.put_signed(room, &signed).await?;
        Ok(signed)
    }

    async fn have_signed(
        &self,
        room: &Room,
        target: &UserId,
        pdu: &Pdu,
        state: Vec<String>,
    ) -> Result<String> {
        let mut told = Vec::with_capacity(state.len());
        for event in &state {
            let event = RawValue::from_string(event.clone());
            told.push(event.map_err(|error| Error::bug(error.to_string()))?);
        }
        let server = target.server_name();
        let request = v2::Request::new(
            room.id.clone(),
            pdu.event_id.clone(),
            room.version.clone(),
            raw(pdu)?,
            told.iter().cloned().map(RawStrippedState::Pdu).collect(),
        );
        match self.signed.remote().request(server, request, Bounds::SMALL).await {
            Ok(answer) => Ok(answer.event.get().to_owned()),
            Err(error) if is_unknown(&error) && is_old(&room.version) => {
                self.have_signed_v1(target, pdu, &told).await
            }
            Err(error) => Err(refusal(error)),
        }
    }

    /// The old endpoint takes the event itself, with the state in what is not signed.
    async fn have_signed_v1(
        &self,
        target: &UserId,
        pdu: &Pdu,
        told: &[Box<RawValue>],
    ) -> Result<String> {
        let mut event: Map<String, Value> =
            serde_json::from_str(&pdu.json).map_err(|error| Error::bug(error.to_string()))?;
        event.insert("unsigned".to_owned(), serde_json::json!({ "invite_room_state": told }));
        let path = ["invite", pdu.room().as_str(), pdu.event_id.as_str()];
        let json = Value::Object(event).to_string();
        let sent = self.signed.remote().put_v1(target.server_name(), path, &json, Bounds::SMALL);
        let answer = sent.await.map_err(refusal)?;
        let (_, signed): (u16, Signed) = serde_json::from_slice(&answer)
            .map_err(|error| Error::RemoteUnavailable(error.to_string()))?;
        Ok(signed.event.get().to_owned())
    }

    /// Creates a room. Who is of another server is invited once the room is there; a server that cannot
    /// be asked does not undo the room.
    ///
    /// # Errors
    /// As [`crate::rooms::Rooms::create`].
    pub async fn create(&self, mut request: CreateRoom) -> Result<OwnedRoomId> {
        let all = std::mem::take(&mut request.invite);
        let (elsewhere, here): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|user_id| self.is_elsewhere(user_id));
        request.invite = here;
        let (creator, is_direct) = (request.creator.clone(), request.is_direct);
        request.invite_later.clone_from(&elsewhere);
        let room_id = self.rooms.create(request).await?;
        let room = self.rooms.room_or_forbidden(&room_id).await?;
        for target in elsewhere {
            let mut content = self.rooms.invite_content(&target, None).await?;
            if is_direct {
                content.insert("is_direct".to_owned(), Value::Bool(true));
            }
            match self.invite_elsewhere(&room, (&creator, &target), &content).await {
                Ok(_) => {}
                Err(error @ (Error::Store(_) | Error::Bug(_))) => return Err(error),
                Err(error) => {
                    tracing::warn!(%room_id, %target, %error, "an invite to a new room was not taken");
                }
            }
        }
        Ok(room_id)
    }
}

/// Whether a room is of a version that the first invite endpoint knows.
fn is_old(version: &RoomVersionId) -> bool {
    matches!(version, RoomVersionId::V1 | RoomVersionId::V2)
}
