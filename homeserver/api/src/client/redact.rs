//! `PUT /_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#redactions>

use std::sync::Arc;

use axum::{Extension, extract::State};
use pli_core::{Rooms, rooms::Origin};
use ruma::api::client::redact::redact_event::v3::{Request, Response};

use crate::{
    Result, Routes, Ruma, User,
    sends::{Sends, UnderWay},
};

/// Takes the content of an event away.
async fn redact_event(
    State(rooms): State<Rooms>,
    State(sends): State<Sends>,
    user: User,
    Ruma(request): Ruma<Request>,
) -> Result<(Extension<Arc<UnderWay>>, Ruma<Response>)> {
    let under_way = sends.begin(&user);
    let origin = Origin::of_redaction(user.device_id(), &request.txn_id, &request.event_id);
    let Request { room_id, event_id, reason, .. } = request;
    let sent = rooms.redact(user.user_id(), &room_id, event_id, reason.as_deref(), origin).await?;
    Ok((under_way, Ruma(Response::new(sent.event_id))))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(redact_event)
}
