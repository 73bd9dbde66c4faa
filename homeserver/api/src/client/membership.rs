//! `POST /_matrix/client/v3/join/{roomIdOrAlias}`
//! `POST /_matrix/client/v3/rooms/{roomId}/join`
//! `POST /_matrix/client/v3/rooms/{roomId}/invite`
//! `POST /_matrix/client/v3/rooms/{roomId}/leave`
//! `POST /_matrix/client/v3/rooms/{roomId}/forget`
//! `POST /_matrix/client/v3/rooms/{roomId}/kick`
//! `POST /_matrix/client/v3/rooms/{roomId}/ban`
//! `POST /_matrix/client/v3/rooms/{roomId}/unban`
//! `POST /_matrix/client/v3/knock/{roomIdOrAlias}`
//! `GET /_matrix/client/v3/joined_rooms`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#room-membership>

use axum::extract::{Path, State};
use pli_core::{
    Error, Invitations, Rooms,
    federation::{Join, RemoteRooms},
    invitations::ByAddress,
    rooms::Change,
};
use ruma::{OwnedUserId, RoomId, api::client::{
    knock::knock_room,
    membership::{
        ban_user, forget_room, invite_user, join_room_by_id,
        join_room_by_id_or_alias, joined_rooms, kick_user, leave_room, unban_user,
    },
}};
use serde::Deserialize;

use crate::{Json, Result, Routes, Ruma, User, UserOrGuest};

/// Whom to invite: a user, or the owner of an address. (The type of ruma wants an identity server, which
/// this server does not need.)
#[derive(Deserialize)]
struct Invitee {
    user_id: Option<OwnedUserId>,
    reason: Option<String>,
    medium: Option<String>,
    address: Option<String>,
}

async fn join_by_id_or_alias(
    State(rooms): State<RemoteRooms>,
    user: UserOrGuest,
    Ruma(request): Ruma<join_room_by_id_or_alias::v3::Request>,
) -> Result<Ruma<join_room_by_id_or_alias::v3::Response>> {
    let join = Join {
        user_id: user.user_id(),
        room: &request.room_id_or_alias,
        via: &request.via,
        reason: request.reason.as_deref(),
    };
    let room_id = rooms.join(join).await?;
    Ok(Ruma(join_room_by_id_or_alias::v3::Response::new(room_id)))
}

async fn join_by_id(
    State(rooms): State<RemoteRooms>,
    user: UserOrGuest,
    Ruma(request): Ruma<join_room_by_id::v3::Request>,
) -> Result<Ruma<join_room_by_id::v3::Response>> {
    let (room, reason) = ((&*request.room_id).into(), request.reason.as_deref());
    let join = Join { user_id: user.user_id(), room, via: &[], reason };
    let room_id = rooms.join(join).await?;
    Ok(Ruma(join_room_by_id::v3::Response::new(room_id)))
}

async fn invite(
    State(rooms): State<RemoteRooms>,
    State(invitations): State<Invitations>,
    user: User,
    Path(room_id): Path<String>,
    Json(invitee): Json<Invitee>,
) -> Result<Ruma<invite_user::v3::Response>> {
    let malformed = || Error::invalid_param("The room id is malformed");
    let room_id = RoomId::parse(&room_id).map_err(|_| malformed())?;
    let (sender, room_id) = (user.user_id(), &*room_id);
    match (&invitee.user_id, &invitee.medium, &invitee.address) {
        (Some(target), _, _) => {
            let reason = invitee.reason.as_deref();
            rooms.invite(Change { sender, room_id, target, reason }).await?;
        }
        (None, Some(medium), Some(address)) => {
            invitations.invite(ByAddress { sender, room_id, medium, address }).await?;
        }
        _ => return Err(Error::bad_json("`user_id` is missing, or `medium` and `address`").into()),
    }
    Ok(Ruma(invite_user::v3::Response::new()))
}

async fn leave(
    State(rooms): State<RemoteRooms>,
    user: UserOrGuest,
    Ruma(request): Ruma<leave_room::v3::Request>,
) -> Result<Ruma<leave_room::v3::Response>> {
    rooms.leave(user.user_id(), &request.room_id, request.reason.as_deref()).await?;
    Ok(Ruma(leave_room::v3::Response::new()))
}

async fn forget(
    State(rooms): State<Rooms>,
    user: User,
    Ruma(request): Ruma<forget_room::v3::Request>,
) -> Result<Ruma<forget_room::v3::Response>> {
    rooms.forget(user.user_id(), &request.room_id).await?;
    Ok(Ruma(forget_room::v3::Response::new()))
}

/// A handler that changes another user's membership.
macro_rules! change_of_another {
    ($handler:ident, $endpoint:ident, $action:ident) => {
        async fn $handler(
            State(rooms): State<Rooms>,
            user: User,
            Ruma(request): Ruma<$endpoint::v3::Request>,
        ) -> Result<Ruma<$endpoint::v3::Response>> {
            let change = Change {
                sender: user.user_id(),
                room_id: &request.room_id,
                target: &request.user_id,
                reason: request.reason.as_deref(),
            };
            rooms.$action(change).await?;
            Ok(Ruma($endpoint::v3::Response::new()))
        }
    };
}

change_of_another!(kick, kick_user, kick);
change_of_another!(ban, ban_user, ban);
change_of_another!(unban, unban_user, unban);

async fn knock(
    State(rooms): State<RemoteRooms>,
    user: User,
    Ruma(request): Ruma<knock_room::v3::Request>,
) -> Result<Ruma<knock_room::v3::Response>> {
    let knock = Join {
        user_id: user.user_id(),
        room: &request.room_id_or_alias,
        via: &request.via,
        reason: request.reason.as_deref(),
    };
    let room_id = rooms.knock(knock).await?;
    Ok(Ruma(knock_room::v3::Response::new(room_id)))
}

async fn joined(
    State(rooms): State<Rooms>,
    user: User,
    _: Ruma<joined_rooms::v3::Request>,
) -> Result<Ruma<joined_rooms::v3::Response>> {
    let joined = rooms.joined_room_ids(user.user_id()).await?;
    Ok(Ruma(joined_rooms::v3::Response::new(joined)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .ruma(join_by_id_or_alias)
        .ruma(join_by_id)
        .at::<invite_user::v3::Request, _, _>(invite)
        .ruma(leave)
        .ruma(forget)
        .ruma(kick)
        .ruma(ban)
        .ruma(unban)
        .ruma(knock)
        .ruma(joined)
}
