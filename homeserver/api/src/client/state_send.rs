//! `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#sending-events-to-a-room>

use axum::{
    extract::{Query, State},
    response::{IntoResponse, Response as HttpResponse},
};
use pli_core::{
    DelayedEvents, Presence,
    delayed_events::NewDelayedEvent,
    federation::RemoteRooms,
    rooms::{NewState, Sending},
};
use ruma::{
    api::client::state::send_state_event::v3::{Request, Response},
    serde::Raw,
};

use super::delayed_events::{Delay, scheduled};
use crate::{Result, Routes, Ruma, UserOrGuest, timestamps};

/// Sends a state event, or schedules it.
async fn send_state_event(
    State(rooms): State<RemoteRooms>,
    State(delayed): State<DelayedEvents>,
    State(presence): State<Presence>,
    user: UserOrGuest,
    Query(delay): Query<Delay>,
    Ruma(request): Ruma<Request>,
) -> Result<HttpResponse> {
    presence.active(user.user_id(), user.device_id());
    let event_type = request.event_type.to_string();
    let origin_server_ts = timestamps::allowed(request.timestamp, &user);
    let sticky_duration_ms = request.sticky_duration_ms.map(|duration| duration.get());
    if let Some(delay_ms) = delay.delay_ms {
        let new = NewDelayedEvent {
            user_id: user.into_user_id(),
            room_id: request.room_id,
            event_type,
            state_key: Some(request.state_key),
            content: Raw::into_json(request.body),
            delay_ms,
            origin_server_ts,
            sticky_duration_ms,
            transaction: None,
        };
        return Ok(scheduled(delayed.schedule(new).await?).into_response());
    }
    let state = NewState {
        sender: user.into_user_id(),
        event_type,
        state_key: request.state_key,
        content: Raw::into_json(request.body),
    };
    let sending = Sending { origin: None, origin_server_ts, sticky_duration_ms };
    let sent = rooms.send_state_as(&request.room_id, state, sending).await?;
    Ok(Ruma(Response::new(sent)).into_response())
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(send_state_event)
}
