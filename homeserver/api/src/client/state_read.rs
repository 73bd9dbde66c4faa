//! `GET /_matrix/client/v3/rooms/{roomId}/state`
//! `GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#getting-events-for-a-room>

use axum::extract::State;
use pli_core::History;
use ruma::api::client::state::{
    get_state_event_for_key::v3::{self as one, StateEventFormat},
    get_state_events::v3 as all,
};

use super::messages::{raw, viewer};
use crate::{Result, Routes, Ruma, UserOrGuest};

async fn state(
    State(history): State<History>,
    user: UserOrGuest,
    Ruma(request): Ruma<all::Request>,
) -> Result<Ruma<all::Response>> {
    let reader = history.open(&request.room_id, user.user_id()).await?;
    let state = history.state(&reader, viewer(&user)).await?;
    Ok(Ruma(all::Response::new(raw(state))))
}

async fn state_event(
    State(history): State<History>,
    user: UserOrGuest,
    Ruma(request): Ruma<one::Request>,
) -> Result<Ruma<one::Response>> {
    let reader = history.open(&request.room_id, user.user_id()).await?;
    let event_type = request.event_type.to_string();
    let key = (&*event_type, &*request.state_key);
    let whole = request.format == StateEventFormat::Event;
    let event = history.state_event(&reader, viewer(&user), key, whole).await?;
    Ok(Ruma(one::Response::new(event)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(state).ruma(state_event)
}
