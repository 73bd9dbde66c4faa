//! `GET /_matrix/federation/v1/event/{eventId}`
//! `POST /_matrix/federation/v1/get_missing_events/{roomId}`
//! `GET /_matrix/federation/v1/state/{roomId}`
//! `GET /_matrix/federation/v1/state_ids/{roomId}`
//! `GET /_matrix/federation/v1/timestamp_to_event/{roomId}`
//!
//! Events and states of rooms in which the asking server is.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#retrieving-events>

use axum::extract::State;
use pli_core::{Rooms, federation::Readings, rooms::StoredEvent};
use ruma::{
    MilliSecondsSinceUnixEpoch, UInt,
    api::federation::event::{
        get_event, get_event_by_timestamp, get_missing_events, get_room_state, get_room_state_ids,
    },
};
use serde_json::value::RawValue;

use super::FromServer;
use crate::{
    Result, Routes, Ruma,
    client::messages::{direction, limit},
    state::ServerInfo,
};

/// An event as it is stored.
pub(super) fn raw(json: String) -> Result<Box<RawValue>> {
    Ok(RawValue::from_string(json).map_err(|error| pli_core::Error::bug(error.to_string()))?)
}

/// Events as they are stored.
pub(super) fn all_raw(events: Vec<String>) -> Result<Vec<Box<RawValue>>> {
    events.into_iter().map(raw).collect()
}

async fn get_event(
    State(readings): State<Readings>,
    State(server): State<ServerInfo>,
    State(rooms): State<Rooms>,
    FromServer { origin, request }: FromServer<get_event::v1::Request>,
) -> Result<Ruma<get_event::v1::Response>> {
    let event = raw(readings.event(&request.event_id, &origin).await?)?;
    let (name, now) = (server.server_name.clone(), rooms.clock().now());
    Ok(Ruma(get_event::v1::Response::new(name, now, event)))
}

async fn get_missing_events(
    State(readings): State<Readings>,
    FromServer { origin, request }: FromServer<get_missing_events::v1::Request>,
) -> Result<Ruma<get_missing_events::v1::Response>> {
    let reader = readings.open(&request.room_id, &origin).await?;
    let ends = (request.earliest_events.as_slice(), request.latest_events.as_slice());
    let min_depth = request.min_depth.into();
    let events = reader.missing_events(ends, limit(request.limit), min_depth).await?;
    Ok(Ruma(get_missing_events::v1::Response::new(all_raw(events)?)))
}

async fn get_room_state(
    State(readings): State<Readings>,
    FromServer { origin, request }: FromServer<get_room_state::v1::Request>,
) -> Result<Ruma<get_room_state::v1::Response>> {
    let reader = readings.open(&request.room_id, &origin).await?;
    let before = reader.state_before(&request.event_id).await?;
    let json = |events: Vec<std::sync::Arc<StoredEvent>>| {
        all_raw(events.into_iter().map(|event| event.record.json.clone()).collect())
    };
    let (state, chain) = (json(before.state)?, json(before.auth_chain)?);
    Ok(Ruma(get_room_state::v1::Response::new(chain, state)))
}

async fn get_room_state_ids(
    State(readings): State<Readings>,
    FromServer { origin, request }: FromServer<get_room_state_ids::v1::Request>,
) -> Result<Ruma<get_room_state_ids::v1::Response>> {
    let reader = readings.open(&request.room_id, &origin).await?;
    let before = reader.state_before(&request.event_id).await?;
    let ids = |events: Vec<std::sync::Arc<StoredEvent>>| {
        events.into_iter().map(|event| event.record.event_id.clone()).collect()
    };
    let (state, chain) = (ids(before.state), ids(before.auth_chain));
    Ok(Ruma(get_room_state_ids::v1::Response::new(chain, state)))
}

async fn get_event_by_timestamp(
    State(readings): State<Readings>,
    FromServer { origin, request }: FromServer<get_event_by_timestamp::v1::Request>,
) -> Result<Ruma<get_event_by_timestamp::v1::Response>> {
    let reader = readings.open(&request.room_id, &origin).await?;
    let event = reader.event_by_time(request.ts.0.into(), direction(request.dir)).await?;
    let sent = UInt::new_saturating(event.origin_server_ts_ms()?);
    let sent = MilliSecondsSinceUnixEpoch(sent);
    let event_id = event.record.event_id.clone();
    Ok(Ruma(get_event_by_timestamp::v1::Response::new(event_id, sent)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .ruma(get_event)
        .ruma(get_missing_events)
        .ruma(get_room_state)
        .ruma(get_room_state_ids)
        .ruma(get_event_by_timestamp)
}
