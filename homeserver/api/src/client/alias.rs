//! `PUT /_matrix/client/v3/directory/room/{roomAlias}`
//! `GET /_matrix/client/v3/directory/room/{roomAlias}`
//! `DELETE /_matrix/client/v3/directory/room/{roomAlias}`
//! `GET /_matrix/client/v3/rooms/{roomId}/aliases`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#room-aliases>

use axum::extract::State;
use pli_core::{
    Rooms,
    federation::{RemoteRooms, ResolvedAlias},
};
use ruma::api::client::{
    alias::{create_alias, delete_alias, get_alias},
    room::aliases,
};

use crate::{Result, Routes, Ruma, User};

async fn create(
    State(rooms): State<Rooms>,
    user: User,
    Ruma(request): Ruma<create_alias::v3::Request>,
) -> Result<Ruma<create_alias::v3::Response>> {
    rooms.check_alias_owner(&request.room_alias, user.appservice.as_deref())?;
    rooms.create_alias(user.user_id(), &request.room_alias, &request.room_id).await?;
    Ok(Ruma(create_alias::v3::Response::new()))
}

async fn get(
    State(rooms): State<RemoteRooms>,
    Ruma(request): Ruma<get_alias::v3::Request>,
) -> Result<Ruma<get_alias::v3::Response>> {
    let ResolvedAlias { room_id, servers } = rooms.alias(&request.room_alias).await?;
    Ok(Ruma(get_alias::v3::Response::new(room_id, servers)))
}

async fn delete(
    State(rooms): State<Rooms>,
    user: User,
    Ruma(request): Ruma<delete_alias::v3::Request>,
) -> Result<Ruma<delete_alias::v3::Response>> {
    rooms.check_alias_owner(&request.room_alias, user.appservice.as_deref())?;
    // An application service has full control over its aliases.
    let may_all = user.is_admin || user.appservice.is_some();
    rooms.delete_alias(user.user_id(), &request.room_alias, may_all).await?;
    Ok(Ruma(delete_alias::v3::Response::new()))
}

async fn of_room(
    State(rooms): State<Rooms>,
    user: User,
    Ruma(request): Ruma<aliases::v3::Request>,
) -> Result<Ruma<aliases::v3::Response>> {
    let aliases = rooms.aliases(user.user_id(), &request.room_id).await?;
    Ok(Ruma(aliases::v3::Response::new(aliases)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(create).ruma(get).ruma(delete).ruma(of_room)
}
