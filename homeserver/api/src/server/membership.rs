//! `GET /_matrix/federation/v1/make_join/{roomId}/{userId}`
//! `PUT /_matrix/federation/v1/send_join/{roomId}/{eventId}`
//! `PUT /_matrix/federation/v2/send_join/{roomId}/{eventId}`
//! `GET /_matrix/federation/v1/make_leave/{roomId}/{userId}`
//! `PUT /_matrix/federation/v1/send_leave/{roomId}/{eventId}`
//! `PUT /_matrix/federation/v2/send_leave/{roomId}/{eventId}`
//!
//! Users of other servers come into rooms of this one, and go out of them.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#joining-rooms>

use axum::extract::State;
use http::Method;
use pli_core::{
    federation::{Given, Handing, RemoteRooms},
    rooms::Step,
};
use ruma::{
    OwnedEventId, OwnedRoomId, OwnedServerName,
    api::federation::membership::{
        create_join_event::v2::{self as send_join, RoomState},
        create_leave_event::v2 as send_leave,
        prepare_join_event::v1 as make_join,
        prepare_leave_event::v1 as make_leave,
    },
};
use serde_json::value::RawValue;

use super::FromServer;
use crate::{Json, Result, Routes, Ruma};

async fn make_join(
    State(rooms): State<RemoteRooms>,
    FromServer { origin, request }: FromServer<make_join::Request>,
) -> Result<Ruma<make_join::Response>> {
    let place = (&*request.room_id, &*request.user_id);
    let template = rooms.offer(Step::Join, place, &origin, Some(&request.ver)).await?;
    let mut response = make_join::Response::new(template.event);
    response.room_version = Some(template.version);
    Ok(Ruma(response))
}

fn handing(
    step: Step,
    origin: OwnedServerName,
    (room_id, event_id): (OwnedRoomId, OwnedEventId),
    pdu: &RawValue,
) -> Handing {
    Handing { step, room_id, event_id, origin, json: pdu.get().to_owned() }
}

fn raw(events: Vec<String>) -> Result<Vec<Box<RawValue>>> {
    events.into_iter().map(one_raw).collect()
}

fn one_raw(event: String) -> Result<Box<RawValue>> {
    let raw = RawValue::from_string(event);
    Ok(raw.map_err(|error| pli_core::Error::bug(error.to_string()))?)
}

async fn join(
    rooms: &RemoteRooms,
    origin: OwnedServerName,
    request: send_join::Request,
) -> Result<RoomState> {
    let place = (request.room_id, request.event_id);
    let handing = handing(Step::Join, origin, place, &request.pdu);
    let Given { room, event, servers } = rooms.take_join(handing, request.omit_members).await?;
    let mut state = RoomState::new();
    state.state = raw(room.state)?;
    state.auth_chain = raw(room.auth_chain)?;
    state.members_omitted = room.members_omitted;
    state.event = Some(one_raw(event)?);
    state.servers_in_room = Some(servers.iter().map(ToString::to_string).collect());
    Ok(state)
}

async fn send_join(
    State(rooms): State<RemoteRooms>,
    FromServer { origin, request }: FromServer<send_join::Request>,
) -> Result<Ruma<send_join::Response>> {
    Ok(Ruma(send_join::Response::new(join(&rooms, origin, request).await?)))
}

/// The answer of version 1 stands in a list behind a status.
async fn send_join_v1(
    State(rooms): State<RemoteRooms>,
    FromServer { origin, mut request }: FromServer<send_join::Request>,
) -> Result<Json<(u16, RoomState)>> {
    request.omit_members = false;
    Ok(Json((200, join(&rooms, origin, request).await?)))
}

async fn make_leave(
    State(rooms): State<RemoteRooms>,
    FromServer { origin, request }: FromServer<make_leave::Request>,
) -> Result<Ruma<make_leave::Response>> {
    let place = (&*request.room_id, &*request.user_id);
    let template = rooms.offer(Step::Leave, place, &origin, None).await?;
    Ok(Ruma(make_leave::Response::new(Some(template.version), template.event)))
}

async fn leave(
    rooms: &RemoteRooms,
    origin: OwnedServerName,
    request: send_leave::Request,
) -> Result<()> {
    let place = (request.room_id, request.event_id);
    rooms.take(handing(Step::Leave, origin, place, &request.pdu)).await?;
    Ok(())
}

async fn send_leave(
    State(rooms): State<RemoteRooms>,
    FromServer { origin, request }: FromServer<send_leave::Request>,
) -> Result<Ruma<send_leave::Response>> {
    leave(&rooms, origin, request).await?;
    Ok(Ruma(send_leave::Response::new()))
}

async fn send_leave_v1(
    State(rooms): State<RemoteRooms>,
    FromServer { origin, request }: FromServer<send_leave::Request>,
) -> Result<Json<(u16, serde_json::Value)>> {
    leave(&rooms, origin, request).await?;
    Ok(Json((200, serde_json::json!({}))))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let v1 = |name: &str| format!("/_matrix/federation/v1/{name}/{{room_id}}/{{event_id}}");
    routes
        .ruma(make_join)
        .ruma(send_join)
        .path(&Method::PUT, &v1("send_join"), send_join_v1)
        .ruma(make_leave)
        .ruma(send_leave)
        .path(&Method::PUT, &v1("send_leave"), send_leave_v1)
}
