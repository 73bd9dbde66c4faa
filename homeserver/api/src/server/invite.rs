//! `PUT /_matrix/federation/v1/invite/{roomId}/{eventId}`
//! `PUT /_matrix/federation/v2/invite/{roomId}/{eventId}`
//!
//! Users of this server are invited into rooms of others.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room>

use axum::extract::State;
use http::Method;
use pli_core::federation::{Invited, RemoteRooms};
use ruma::{
    RoomVersionId,
    api::federation::membership::{
        RawStrippedState, create_invite::v2, create_join_event::v2 as whole_event,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::FromServer;
use crate::{Json, Result, Routes, Ruma};

fn raw(event: String) -> Result<Box<RawValue>> {
    let raw = RawValue::from_string(event);
    Ok(raw.map_err(|error| pli_core::Error::bug(error.to_string()))?)
}

async fn create_invite(
    State(rooms): State<RemoteRooms>,
    FromServer { origin, request }: FromServer<v2::Request>,
) -> Result<Ruma<v2::Response>> {
    let state: &[RawStrippedState] = &request.invite_room_state;
    let state = state.iter().filter_map(|event| serde_json::to_string(event).ok());
    let invited = Invited {
        room_id: request.room_id,
        event_id: request.event_id,
        origin,
        version: request.room_version,
        json: request.event.get().to_owned(),
        state: state.collect(),
    };
    let signed = rooms.invited(invited).await?;
    Ok(Ruma(v2::Response::new(raw(signed)?)))
}

/// What is read of an event of the old endpoint beside the event itself.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Unsigned {
    invite_room_state: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct WithUnsigned {
    #[serde(default)]
    unsigned: Unsigned,
}

#[derive(Serialize)]
struct Signed {
    event: Box<RawValue>,
}

/// The body is the event itself, as that of `send_join`, and its room is of version 1 or 2, which have
/// the same events. The answer stands in a list behind a status.
async fn create_invite_v1(
    State(rooms): State<RemoteRooms>,
    FromServer { origin, request }: FromServer<whole_event::Request>,
) -> Result<Json<(u16, Signed)>> {
    let json = request.pdu.get().to_owned();
    let told: WithUnsigned = serde_json::from_str(&json)
        .map_err(|error| pli_core::Error::BadJson(error.to_string()))?;
    let state = told.unsigned.invite_room_state.iter().map(|event| event.get().to_owned());
    let invited = Invited {
        room_id: request.room_id,
        event_id: request.event_id,
        origin,
        version: RoomVersionId::V1,
        json,
        state: state.collect(),
    };
    let event = raw(rooms.invited(invited).await?)?;
    Ok(Json((200, Signed { event })))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let v1 = "/_matrix/federation/v1/invite/{room_id}/{event_id}";
    routes.ruma(create_invite).path(&Method::PUT, v1, create_invite_v1)
}
