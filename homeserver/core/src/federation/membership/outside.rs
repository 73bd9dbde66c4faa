//! Local users in front of rooms in which this server is not: knocking, turning invites down, taking
//! knocks back, and being turned away.

use std::sync::Arc;

use pli_federation::{event_format::Pdu, room_version};
use pli_schema::records::rooms::Membership;
use ruma::{
    OwnedRoomId, RoomId, RoomVersionId, ServerName, UserId,
    api::federation::membership::{
        create_knock_event::v1 as send_knock, create_leave_event::v2 as send_leave,
        prepare_knock_event::v1 as make_knock, prepare_leave_event::v1 as make_leave,
    },
    events::TimelineEventType,
};
use serde_json::value::RawValue;

use super::{
    Join, RemoteRooms,
    candidates::{most_telling, told},
    invited::stripped_state,
    offered::{Wanted, event_at},
    resident::membership,
    send_join::{is_unknown, raw},
};
use crate::{
    Error, Result,
    federation::Bounds,
    rooms::{Outside, Step, Told},
};

/// A local user who goes or knocks, at one server.
#[derive(Clone, Copy, Debug)]
struct Wish<'a> {
    step: Step,
    user_id: &'a UserId,
    room_id: &'a RoomId,
    reason: Option<&'a str>,
}

fn unusable(text: impl std::fmt::Display) -> Error {
    Error::RemoteUnavailable(format!("its answer cannot be used: {text}"))
}

impl RemoteRooms {
    /// Asks to be let into a room, here or where it is.
    ///
    /// # Errors
    /// As [`crate::rooms::Rooms::knock`]; [`Error::RemoteUnavailable`] if no server answers.
    pub async fn knock(&self, knock: Join<'_>) -> Result<OwnedRoomId> {
        let (room_id, named) = self.find(knock.room, knock.via).await?;
        let (user_id, reason) = (knock.user_id, knock.reason);
        let is_here = self.rooms.resident_room(&room_id).await?.is_some();
        if is_here || !self.signed.partners().is_enabled() {
            self.rooms.knock(user_id, &room_id, reason).await?;
            return Ok(room_id);
        }
        let wish = Wish { step: Step::Knock, user_id, room_id: &room_id, reason };
        let mut errors = Vec::new();
        for server in self.candidates(&room_id, user_id, named).await?.0 {
            match self.knock_at(&server, wish).await {
                Ok(()) => return Ok(room_id),
                Err(error @ (Error::Store(_) | Error::Bug(_))) => return Err(error),
                Err(error) => errors.push(error),
            }
        }
        let unknown = || Error::not_found("This server does not know the room");
        match most_telling(errors).unwrap_or_else(unknown) {
            Error::NotFound(_) | Error::RemoteUnavailable(_)
                if self.rooms.is_own_affair(user_id, &room_id).await? =>
            {
                self.rooms.knock(user_id, &room_id, reason).await.map(|()| room_id)
            }
            error => Err(error),
        }
    }

    async fn knock_at(&self, server: &ServerName, wish: Wish<'_>) -> Result<()> {
        let (room_id, user_id) = (wish.room_id.to_owned(), wish.user_id.to_owned());
        let mut request = make_knock::Request::new(room_id.clone(), user_id);
        request.ver = room_version::SUPPORTED.to_vec();
        let offered = self.signed.remote().request(server, request, Bounds::SMALL).await;
        let offered = offered.map_err(told)?;
        let version = offered.room_version;
        let event = self.event_of(&offered.event, (server, &version), wish).await?;
        let request = send_knock::Request::new(room_id, event.event_id.clone(), raw(&event)?);
        let answer = self.signed.remote().request(server, request, Bounds::EVENTS).await;
        let state = answer.map_err(told)?.knock_room_state;
        let state: Vec<String> =
            state.iter().filter_map(|e| serde_json::to_string(e).ok()).collect();
        let events = stripped_state(&state, wish.user_id);
        let told = Told { events, servers: vec![server.to_owned()] };
        self.rooms.take_outside((wish.room_id, &version), &event, Some(&told)).await
    }

    /// Leaves a room, turns an invite down or takes a knock back, here or where the room is. An invite
    /// or a knock ends here also if nobody there can be told.
    ///
    /// # Errors
    /// As [`crate::rooms::Rooms::leave`].
    pub async fn leave(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        reason: Option<&str>,
    ) -> Result<()> {
        let Some(outside) = self.rooms.outside(user_id, room_id).await? else {
            return self.rooms.leave(user_id, room_id, reason).await;
        };
        match outside.member.membership {
            Membership::Invite | Membership::Knock => {}
            Membership::Ban => return Err(Error::forbidden("You are banned from this room")),
            Membership::Join | Membership::Leave => return Ok(()),
        }
        let wish = Wish { step: Step::Leave, user_id, room_id, reason };
        for server in &outside.servers {
            match self.leave_at(server, wish, &outside).await {
                Ok(()) => return Ok(()),
                Err(error @ (Error::Store(_) | Error::Bug(_))) => return Err(error),
                Err(error) => {
                    tracing::info!(%server, %room_id, %error, "a server does not let a user go");
                }
            }
        }
        self.rooms.end_outside(user_id, &outside.room).await
    }

    async fn leave_at(&self, server: &ServerName, wish: Wish<'_>, outside: &Outside) -> Result<()> {
        let (room_id, user_id) = (wish.room_id.to_owned(), wish.user_id.to_owned());
        let request = make_leave::Request::new(room_id.clone(), user_id);
        let offered = self.signed.remote().request(server, request, Bounds::SMALL).await;
        let offered = offered.map_err(told)?;
        let version = offered.room_version.unwrap_or_else(|| outside.room.version.clone());
        let event = self.event_of(&offered.event, (server, &version), wish).await?;
        let event_id = event.event_id.clone();
        let request = send_leave::Request::new(room_id, event_id, raw(&event)?);
        match self.signed.remote().request(server, request, Bounds::SMALL).await {
            Ok(_) => {}
            Err(error) if is_unknown(&error) => {
                let path = ["send_leave", wish.room_id.as_str(), event.event_id.as_str()];
                let remote = self.signed.remote();
                remote.put_v1(server, path, &event.json, Bounds::SMALL).await.map_err(told)?;
            }
            Err(error) => return Err(told(error)),
        }
        self.rooms.take_outside((wish.room_id, &version), &event, None).await
    }

    async fn event_of(
        &self,
        template: &RawValue,
        (server, version): (&ServerName, &RoomVersionId),
        wish: Wish<'_>,
    ) -> Result<Arc<Pdu>> {
        let Wish { step, user_id, room_id, reason } = wish;
        let place = (room_id, version);
        let content = self.rooms.content_elsewhere(step, user_id, place, reason).await?;
        let membership = step.membership().name();
        let wanted = Wanted { room_id, user_id, version, membership, server };
        let now = self.rooms.clock().now();
        let new = event_at(template, wanted, &content, now).map_err(unusable)?;
        self.rooms.build(new, version).map_err(unusable)
    }

    /// Takes an event of a transaction about a room in which this server is not: an invite that is taken
    /// back, a knock that is turned down. Whether it was one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn turned_away(&self, origin: &ServerName, json: &str) -> Result<bool> {
        let Some((room_id, user_id)) = names(json) else { return Ok(false) };
        if !self.rooms.is_local(&user_id) {
            return Ok(false);
        }
        let Some(outside) = self.rooms.outside(&user_id, &room_id).await? else {
            return Ok(false);
        };
        let waits = matches!(outside.member.membership, Membership::Invite | Membership::Knock);
        if !waits || !outside.servers.iter().any(|server| server == origin) {
            return Ok(false);
        }
        let version = &outside.room.version;
        let Ok(pdu) = self.signed.check_pdu(&room_id, version, json.to_owned()).await? else {
            return Ok(false);
        };
        let ends = matches!(membership(&pdu).as_deref(), Some("leave" | "ban"));
        let may = outside.servers.iter().any(|server| server == pdu.sender.server_name());
        if !ends || !may || pdu.event_type != TimelineEventType::RoomMember {
            return Ok(false);
        }
        self.rooms.take_outside((&room_id, version), &pdu, None).await?;
        Ok(true)
    }
}

/// The room and the user that a member event names.
fn names(json: &str) -> Option<(OwnedRoomId, ruma::OwnedUserId)> {
    #[derive(serde::Deserialize)]
    struct Member {
        room_id: OwnedRoomId,
        #[serde(rename = "type")]
        event_type: String,
        state_key: ruma::OwnedUserId,
    }
    let member: Member = serde_json::from_str(json).ok()?;
    (member.event_type == "m.room.member").then_some((member.room_id, member.state_key))
}
