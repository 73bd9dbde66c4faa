//! `GET /_matrix/federation/v1/event_auth/{roomId}/{eventId}`
//!
//! What authorizes an event.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1event_authroomideventid>

use axum::extract::State;
use pli_core::federation::Readings;
use ruma::api::federation::authorization::get_event_authorization::v1::{Request, Response};

use super::{FromServer, event::all_raw};
use crate::{Result, Routes, Ruma};

async fn get_event_authorization(
    State(readings): State<Readings>,
    FromServer { origin, request }: FromServer<Request>,
) -> Result<Ruma<Response>> {
    let reader = readings.open(&request.room_id, &origin).await?;
    let chain = reader.auth_chain(&request.event_id).await?;
    Ok(Ruma(Response::new(all_raw(chain)?)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(get_event_authorization)
}
