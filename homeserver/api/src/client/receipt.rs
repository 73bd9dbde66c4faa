//! `POST /_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#receipts>

use axum::extract::State;
use pli_core::{Error, Presence, Receipts, receipts::Markers};
use ruma::api::client::receipt::create_receipt::v3;

use crate::{Result, Routes, Ruma, User};

async fn create_receipt(
    State(receipts): State<Receipts>,
    State(presence): State<Presence>,
    user: User,
    Ruma(request): Ruma<v3::Request>,
) -> Result<Ruma<v3::Response>> {
    let event_id = Some(request.event_id);
    let mut markers = Markers { thread: request.thread, ..Markers::default() };
    match request.receipt_type {
        v3::ReceiptType::Read => markers.read = event_id,
        v3::ReceiptType::ReadPrivate => markers.read_private = event_id,
        v3::ReceiptType::FullyRead => markers.fully_read = event_id,
        _ => return Err(Error::invalid_param("Unknown receipt type").into()),
    }
    presence.active(user.user_id(), user.device_id());
    receipts.set(&request.room_id, user.user_id(), &markers).await?;
    Ok(Ruma(v3::Response::new()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(create_receipt)
}
