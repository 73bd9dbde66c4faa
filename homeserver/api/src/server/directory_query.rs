//! `GET /_matrix/federation/v1/query/directory`
//!
//! Which room an alias of this server names, and who is in it.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1querydirectory>

use axum::extract::State;
use pli_core::federation::{RemoteRooms, ResolvedAlias, Signed, Use};
use ruma::api::federation::query::get_room_information::v1;

use super::FromServer;
use crate::{Result, Routes, Ruma};

async fn get_room_information(
    State(rooms): State<RemoteRooms>,
    State(signed): State<Signed>,
    FromServer { origin, request }: FromServer<v1::Request>,
) -> Result<Ruma<v1::Response>> {
    signed.partners().require(&origin, Use::Directory).await?;
    let ResolvedAlias { room_id, servers } = rooms.own_alias(&request.room_alias).await?;
    Ok(Ruma(v1::Response::new(room_id, servers)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(get_room_information)
}
