//! `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#sending-events-to-a-room>

use axum::extract::State;
use pli_core::{Rooms, rooms::NewState};
use ruma::{api::client::state::send_state_event::v3::{Request, Response}, serde::Raw};

use crate::{Result, Routes, Ruma, User};

/// Sends a state event.
async fn send_state_event(
    State(rooms): State<Rooms>,
    user: User,
    Ruma(request): Ruma<Request>,
) -> Result<Ruma<Response>> {
    let state = NewState {
        sender: user.into_user_id(),
        event_type: request.event_type.to_string(),
        state_key: request.state_key,
        content: Raw::into_json(request.body),
    };
    let sent = rooms.send_state(&request.room_id, state).await?;
    Ok(Ruma(Response::new(sent.event_id)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(send_state_event)
}
