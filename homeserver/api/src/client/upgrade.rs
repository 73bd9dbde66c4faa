//! `POST /_matrix/client/v3/rooms/{roomId}/upgrade`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#room-upgrades>

use axum::extract::State;
use pli_core::{Rooms, rooms::Upgrade};
use ruma::api::client::room::upgrade_room::v3::{Request, Response};

use crate::{Result, Routes, Ruma, User};

/// Replaces a room by one of another version.
async fn upgrade_room(
    State(rooms): State<Rooms>,
    user: User,
    Ruma(request): Ruma<Request>,
) -> Result<Ruma<Response>> {
    let upgrade = Upgrade {
        user_id: user.into_user_id(),
        room_id: request.room_id,
        version: request.new_version,
        additional_creators: request.additional_creators,
    };
    Ok(Ruma(Response::new(rooms.upgrade(upgrade).await?)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(upgrade_room)
}
