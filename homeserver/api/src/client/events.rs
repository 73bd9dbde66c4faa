//! `GET /_matrix/client/v3/events`
//! `GET /_matrix/client/v3/events/{eventId}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3events>; with `room_id` it
//! is the stream of one room, which may be peeked into.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use http::Method;
use pli_core::{
    Error,
    sync::{EventsRequest, Sync},
};
use ruma::{EventId, OwnedRoomId, RoomId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::messages::{boundary, viewer};
use crate::{Json, Result, Routes, UserOrGuest};

#[derive(Deserialize)]
struct Asked {
    from: Option<String>,
    timeout: Option<u64>,
    room_id: Option<String>,
}

#[derive(Serialize)]
struct Answer {
    start: String,
    chunk: Vec<Box<RawValue>>,
    end: String,
}

type AskedQuery = Result<Query<Asked>, axum::extract::rejection::QueryRejection>;

fn room_id(text: Option<String>) -> Result<Option<OwnedRoomId>> {
    let parse = |text: String| {
        RoomId::parse(&text).map_err(|_| Error::invalid_param("`room_id` is not a room id"))
    };
    Ok(text.map(parse).transpose()?)
}

async fn events(
    State(sync): State<Sync>,
    user: UserOrGuest,
    query: AskedQuery,
) -> Result<Json<Answer>> {
    let Query(asked) = query.map_err(|error| Error::InvalidParam(error.body_text()))?;
    let room_id = room_id(asked.room_id)?;
    if user.is_guest && room_id.is_none() {
        // Guests listen to one room that they preview.
        return Err(Error::GuestAccessForbidden("Guests must name a room".to_owned()).into());
    }
    let request = EventsRequest {
        from: boundary(asked.from.as_ref())?,
        timeout: Duration::from_millis(asked.timeout.unwrap_or_default()),
        room_id,
    };
    let page = sync.events(viewer(&user), &request).await?;
    Ok(Json(Answer { start: page.start.to_string(), chunk: page.chunk, end: page.end.to_string() }))
}

async fn event(
    State(sync): State<Sync>,
    user: UserOrGuest,
    Path(event_id): Path<String>,
) -> Result<Json<Box<RawValue>>> {
    let event_id = EventId::parse(&event_id)
        .map_err(|_| Error::invalid_param("The event id is malformed"))?;
    Ok(Json(sync.one_event(viewer(&user), &event_id).await?))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let get = &Method::GET;
    routes
        .path(get, "/_matrix/client/v3/events", events)
        .path(get, "/_matrix/client/r0/events", events)
        .path(get, "/_matrix/client/v3/events/{event_id}", event)
        .path(get, "/_matrix/client/r0/events/{event_id}", event)
}
