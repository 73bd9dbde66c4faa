//! `POST /_matrix/client/v3/rooms/{roomId}/read_markers`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#fully-read-markers>

use axum::extract::State;
use pli_core::{Presence, Receipts, receipts::Markers};
use ruma::api::client::read_marker::set_read_marker::v3;

use crate::{Result, Routes, Ruma, User};

async fn set_read_marker(
    State(receipts): State<Receipts>,
    State(presence): State<Presence>,
    user: User,
    Ruma(request): Ruma<v3::Request>,
) -> Result<Ruma<v3::Response>> {
    let markers = Markers {
        read: request.read_receipt,
        read_private: request.private_read_receipt,
        fully_read: request.fully_read,
        ..Markers::default()
    };
    presence.active(user.user_id(), user.device_id());
    receipts.set(&request.room_id, user.user_id(), &markers).await?;
    Ok(Ruma(v3::Response::new()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(set_read_marker)
}
