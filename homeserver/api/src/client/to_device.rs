//! `PUT /_matrix/client/v3/sendToDevice/{eventType}/{txnId}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#send-to-device-messaging>

use axum::extract::State;
use pli_core::encryption::Encryption;
use ruma::api::client::to_device::send_event_to_device::v3;

use crate::{Result, Routes, Ruma, UserOrGuest};

/// Largest request: room keys for many devices at once.
const LIMIT_BYTES: usize = 4 * 1024 * 1024;

async fn send(
    State(encryption): State<Encryption>,
    user: UserOrGuest,
    Ruma(request): Ruma<v3::Request>,
) -> Result<Ruma<v3::Response>> {
    let sender = (user.user_id(), user.device_id());
    let messages = &request.messages;
    encryption.send_to_device(sender, &request.event_type, &request.txn_id, messages).await?;
    Ok(Ruma(v3::Response::new()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.body_limit(LIMIT_BYTES).ruma(send)
}
