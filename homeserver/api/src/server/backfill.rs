//! `GET /_matrix/federation/v1/backfill/{roomId}`
//!
//! Events of the past.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1backfillroomid>

use axum::extract::State;
use pli_core::{Rooms, federation::Readings};
use ruma::api::federation::backfill::get_backfill::v1::{Request, Response};

use super::{FromServer, event::all_raw};
use crate::{Result, Routes, Ruma, client::messages::limit, state::ServerInfo};

async fn get_backfill(
    State(readings): State<Readings>,
    State(server): State<ServerInfo>,
    State(rooms): State<Rooms>,
    FromServer { origin, request }: FromServer<Request>,
) -> Result<Ruma<Response>> {
    let reader = readings.open(&request.room_id, &origin).await?;
    let events = reader.backfill(&request.v, limit(request.limit)).await?;
    let (name, now) = (server.server_name.clone(), rooms.clock().now());
    Ok(Ruma(Response::new(name, now, all_raw(events)?)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(get_backfill)
}
