//! Joining rooms for local users, through other servers where this one is not in the room.

use std::{collections::HashMap, sync::Arc};

use pli_federation::{event_format::Pdu, room_version};
use pli_schema::RoomNumber;
use ruma::{
    OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, RoomOrAliasId, RoomVersionId, ServerName,
    UserId,
    api::federation::membership::{create_join_event::v2::RoomState, prepare_join_event},
};
use serde_json::value::RawValue;

use super::{
    RemoteRooms,
    candidates::{most_telling, told},
    offered::{Wanted, event_at},
};
use crate::{
    Error, Result,
    federation::Bounds,
    rooms::{Snapshot, Step},
};

/// A local user who wants to join a room.
#[derive(Clone, Copy, Debug)]
pub struct Join<'a> {
    /// Who.
    pub user_id: &'a UserId,
    /// The room.
    pub room: &'a RoomOrAliasId,
    /// Servers that are said to be in the room.
    pub via: &'a [OwnedServerName],
    /// Why, if they say so.
    pub reason: Option<&'a str>,
}

/// Two servers do not agree on what an event or a state is.
fn unusable(text: impl std::fmt::Display) -> Error {
    Error::RemoteUnavailable(format!("its answer cannot be used: {text}"))
}

/// A join on its way: it goes on if whoever asked for it goes away.
#[derive(Clone, Debug)]
struct Joining {
    user_id: OwnedUserId,
    room_id: OwnedRoomId,
    named: Vec<OwnedServerName>,
    reason: Option<String>,
}

impl RemoteRooms {
    /// Joins a room: here if this server is in it, else with the help of servers that are. The room is
    /// on disk when this returns.
    ///
    /// # Errors
    /// [`Error::NotFound`] if nobody knows the room; [`Error::Forbidden`] if the rules do not let the
    /// user in; [`Error::UnableToAuthorizeJoin`], [`Error::UnableToGrantJoin`] if nobody who was asked
    /// can vouch for a restricted join; [`Error::RemoteUnavailable`] if no server answers.
    pub async fn join(&self, join: Join<'_>) -> Result<OwnedRoomId> {
        let (room_id, named) = self.find(join.room, join.via).await?;
        let joining = Joining {
            user_id: join.user_id.to_owned(),
            room_id: room_id.clone(),
            named,
            reason: join.reason.map(str::to_owned),
        };
        if self.rooms.resident_room(&room_id).await?.is_some() {
            match self.join_here(&joining).await {
                Err(error) if is_for_others(&error) => {
                    // Another server may be able to vouch.
                    let through = self.apart(joining).await;
                    through.map_err(|other| better(error, other))?;
                }
                done => done?,
            }
        } else {
            self.apart(joining).await?;
        }
        Ok(room_id)
    }

    async fn join_here(&self, joining: &Joining) -> Result<()> {
        self.rooms.join(&joining.user_id, &joining.room_id, joining.reason.as_deref()).await
    }

    /// Joins in a task of its own, after those who join the same room.
    async fn apart(&self, joining: Joining) -> Result<()> {
        let rooms = self.clone();
        let task = tokio::spawn(async move {
            let _turn = rooms.turns.wait(&joining.room_id).await;
            if rooms.rooms.resident_room(&joining.room_id).await?.is_some() {
                // Somebody of this server has brought the room meanwhile, or it was here before.
                match rooms.join_here(&joining).await {
                    Err(error) if is_for_others(&error) => {}
                    done => return done,
                }
            }
            rooms.join_through(&joining).await
        });
        task.await.map_err(|error| Error::bug(format!("a join: {error}")))?
    }

    async fn join_through(&self, joining: &Joining) -> Result<()> {
        let Joining { user_id, room_id, named, .. } = joining;
        let unknown = || Error::not_found("This server does not know the room");
        let mut errors = Vec::new();
        if self.signed.partners().is_enabled() {
            for server in self.candidates(room_id, user_id, named.clone()).await?.0 {
                match self.join_at(&server, joining).await {
                    Ok(room) => {
                        self.rooms.joined_elsewhere(user_id, room).await;
                        return Ok(());
                    }
                    Err(error @ (Error::Store(_) | Error::Bug(_))) => return Err(error),
                    Err(error) => {
                        tracing::info!(%server, %room_id, %error, "a server does not let a user join");
                        errors.push(error);
                    }
                }
            }
        }
        match most_telling(errors).unwrap_or_else(unknown) {
            Error::NotFound(_) | Error::RemoteUnavailable(_)
                if self.rooms.is_own_affair(user_id, room_id).await? =>
            {
                self.join_here(joining).await
            }
            error => Err(error),
        }
    }

    /// Joins with the help of one server.
    async fn join_at(&self, server: &ServerName, joining: &Joining) -> Result<RoomNumber> {
        let (room_id, user_id) = (joining.room_id.clone(), joining.user_id.clone());
        let mut request = prepare_join_event::v1::Request::new(room_id, user_id);
        request.ver = room_version::SUPPORTED.to_vec();
        let offered = self.signed.remote().request(server, request, Bounds::SMALL).await;
        let offered = offered.map_err(told)?;
        let version = offered.room_version.unwrap_or(RoomVersionId::V1);
        let event = self.own_event(&offered.event, (server, &version), joining).await?;
        let state = self.send_join(server, &event).await?.map_err(told)?;
        self.enter(&joining.room_id, &version, event, state).await
    }

    /// The join of the user at the place of a template.
    async fn own_event(
        &self,
        template: &RawValue,
        (server, version): (&ServerName, &RoomVersionId),
        joining: &Joining,
    ) -> Result<Arc<Pdu>> {
        let Joining { user_id, room_id, reason, .. } = joining;
        let place = (&**room_id, version);
        let reason = reason.as_deref();
        let content = self.rooms.content_elsewhere(Step::Join, user_id, place, reason).await?;
        let wanted = Wanted { room_id, user_id, version, membership: "join", server };
        let now = self.rooms.clock().now();
        let new = event_at(template, wanted, &content, now).map_err(unusable)?;
        self.rooms.build(new, version).map_err(unusable)
    }

    /// Takes the room over as a server has handed it out.
    async fn enter(
        &self,
        room_id: &RoomId,
        version: &RoomVersionId,
        join: Arc<Pdu>,
        state: RoomState,
    ) -> Result<RoomNumber> {
        let join = match &state.event {
            Some(event) => {
                let event = self.signed.check_pdu(room_id, version, event.get().to_owned()).await?;
                let same = event.map_err(unusable)?;
                if same.event_id != join.event_id {
                    return Err(unusable("another event came back"));
                }
                same
            }
            None => join,
        };
        let snapshot = self.snapshot(room_id, version, state).await?;
        let creates = snapshot.state.iter().filter(|pdu| pdu.is_create()).count();
        if creates != 1 {
            return Err(unusable("the state has not one create event"));
        }
        let room_id = room_id.to_owned();
        if let Some(room) = self.rooms.resident_room(&room_id).await? {
            // The room is here, and another server had to vouch.
            return match self.rooms.accept_after(room.number, &snapshot, &join).await? {
                Ok(crate::rooms::Verdict::Accepted | crate::rooms::Verdict::Known) => {
                    Ok(room.number)
                }
                refused => Err(unusable(format!("{refused:?}"))),
            };
        }
        self.rooms.take_over((&room_id, version), &snapshot, &join).await
    }

    /// Reads and checks the events of a state and of what authorizes it. An event that is in both is
    /// looked at once; one that is not right is left out.
    async fn snapshot(
        &self,
        room_id: &RoomId,
        version: &RoomVersionId,
        state: RoomState,
    ) -> Result<Snapshot> {
        let texts = |events: Vec<Box<RawValue>>| -> Vec<String> {
            events.into_iter().map(|event| event.get().to_owned()).collect()
        };
        let (state, auth_chain) = (texts(state.state), texts(state.auth_chain));
        let mut unique: HashMap<&str, usize> = HashMap::new();
        let mut all = Vec::new();
        for text in state.iter().chain(&auth_chain) {
            unique.entry(text).or_insert_with(|| {
                all.push(text.clone());
                all.len().saturating_sub(1)
            });
        }
        let checked = self.signed.check_pdus(room_id, version, all).await?;
        let dropped = checked.iter().filter(|checked| checked.is_err()).count();
        if dropped > 0 {
            tracing::warn!(%room_id, dropped, "events of a room that was joined are not right");
        }
        let taken = |texts: &[String]| -> Vec<Arc<Pdu>> {
            let places = texts.iter().filter_map(|text| unique.get(text.as_str()));
            places.filter_map(|place| checked.get(*place)?.as_ref().ok().cloned()).collect()
        };
        Ok(Snapshot { state: taken(&state), auth_chain: taken(&auth_chain) })
    }
}

/// Whether another server may be able to do what this one cannot.
fn is_for_others(error: &Error) -> bool {
    matches!(error, Error::UnableToAuthorizeJoin(_) | Error::UnableToGrantJoin(_))
}

/// What the user is told when neither this server nor another lets them in.
fn better(own: Error, other: Error) -> Error {
    match other {
        Error::NotFound(_) | Error::RemoteUnavailable(_) => own,
        other => other,
    }
}
