//! `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#sending-events-to-a-room>

use axum::extract::State;
use pli_core::{Rooms, rooms::Origin};
use ruma::{api::client::message::send_message_event::v3::{Request, Response}, serde::Raw};

use crate::{Result, Routes, Ruma, User};

/// Sends an event that is not state.
async fn send_message_event(
    State(rooms): State<Rooms>,
    user: User,
    Ruma(request): Ruma<Request>,
) -> Result<Ruma<Response>> {
    let event_type = request.event_type.to_string();
    let origin = Origin::of_send(user.device_id(), &request.txn_id, &event_type);
    let content = Raw::into_json(request.body);
    let event_type = event_type.into();
    let sent =
        rooms.send(user.user_id(), &request.room_id, event_type, content, origin).await?;
    Ok(Ruma(Response::new(sent.event_id)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(send_message_event)
}
