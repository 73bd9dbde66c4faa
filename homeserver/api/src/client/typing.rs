//! `PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#typing-notifications>

use axum::extract::State;
use pli_core::{Error, Typing};
use ruma::api::client::typing::create_typing_event::v3;

use crate::{Result, Routes, Ruma, User};

async fn create_typing_event(
    State(typing): State<Typing>,
    user: User,
    Ruma(request): Ruma<v3::Request>,
) -> Result<Ruma<v3::Response>> {
    if user.user_id() != request.user_id {
        return Err(Error::forbidden("You cannot type for another user").into());
    }
    let timeout = match request.state {
        v3::Typing::Yes(info) => Some(info.timeout),
        v3::Typing::No => None,
    };
    typing.set(&request.room_id, user.user_id(), timeout).await?;
    Ok(Ruma(v3::Response::new()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(create_typing_event)
}
