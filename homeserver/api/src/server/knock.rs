//! `GET /_matrix/federation/v1/make_knock/{roomId}/{userId}`
//! `PUT /_matrix/federation/v1/send_knock/{roomId}/{eventId}`
//!
//! Users of other servers ask to be let into rooms of this one.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#knocking-rooms>

use axum::extract::State;
use pli_core::{
    federation::{Handing, RemoteRooms},
    rooms::Step,
};
use ruma::api::federation::membership::{
    RawStrippedState, create_knock_event::v1 as send_knock, prepare_knock_event::v1 as make_knock,
};
use serde_json::value::RawValue;

use super::FromServer;
use crate::{Result, Routes, Ruma};

async fn make_knock(
    State(rooms): State<RemoteRooms>,
    FromServer { origin, request }: FromServer<make_knock::Request>,
) -> Result<Ruma<make_knock::Response>> {
    let place = (&*request.room_id, &*request.user_id);
    let template = rooms.offer(Step::Knock, place, &origin, Some(&request.ver)).await?;
    Ok(Ruma(make_knock::Response::new(template.version, template.event)))
}

async fn send_knock(
    State(rooms): State<RemoteRooms>,
    FromServer { origin, request }: FromServer<send_knock::Request>,
) -> Result<Ruma<send_knock::Response>> {
    let handing = Handing {
        step: Step::Knock,
        room_id: request.room_id,
        event_id: request.event_id,
        origin,
        json: request.pdu.get().to_owned(),
    };
    let mut state = Vec::new();
    for event in rooms.take_knock(handing).await? {
        let event = RawValue::from_string(event);
        let event = event.map_err(|error| pli_core::Error::bug(error.to_string()))?;
        state.push(RawStrippedState::Pdu(event));
    }
    Ok(Ruma(send_knock::Response::new(state)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(make_knock).ruma(send_knock)
}
