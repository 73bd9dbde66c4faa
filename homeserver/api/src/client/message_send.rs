//! `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#sending-events-to-a-room>

use axum::{
    extract::{Query, State},
    response::{IntoResponse, Response as HttpResponse},
};
use pli_core::{
    DelayedEvents, Presence, Rooms,
    delayed_events::NewDelayedEvent,
    rooms::{NewMessage, Origin, Sending},
};
use ruma::{
    api::client::message::send_message_event::v3::{Request, Response},
    serde::Raw,
};

use super::delayed_events::{Delay, scheduled};
use crate::{Result, Routes, Ruma, UserOrGuest, sends::Sends, timestamps};

/// Sends an event that is not state, or schedules it.
async fn send_message_event(
    State(rooms): State<Rooms>,
    State(delayed): State<DelayedEvents>,
    State(sends): State<Sends>,
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
            user_id: user.user_id().to_owned(),
            room_id: request.room_id,
            event_type,
            state_key: None,
            content: Raw::into_json(request.body),
            delay_ms,
            origin_server_ts,
            sticky_duration_ms,
            transaction: Some((user.device_id().to_owned(), request.txn_id)),
        };
        return Ok(scheduled(delayed.schedule(new).await?).into_response());
    }
    let under_way = sends.begin(&user);
    let sending = Sending {
        origin: Some(Origin::of_send(user.device_id(), &request.txn_id, &event_type)),
        origin_server_ts,
        sticky_duration_ms,
    };
    let new = NewMessage {
        sender: user.into_user_id(),
        event_type: event_type.into(),
        content: Raw::into_json(request.body),
    };
    let sent = rooms.send_message(&request.room_id, new, sending).await?;
    Ok((under_way, Ruma(Response::new(sent.event_id))).into_response())
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(send_message_event)
}
