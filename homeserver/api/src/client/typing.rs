//! `PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#typing-notifications>

use std::time::Duration;

use axum::extract::{Path, State};
use pli_core::{Error, Presence, Typing};
use ruma::{RoomId, UserId, api::client::typing::create_typing_event::v3};
use serde::Deserialize;

use crate::{Json, Result, Routes, Ruma, User};

/// How long a notice counts that does not say it. Clients repeat theirs every few seconds.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// The body. ruma's type wants a `timeout` in every notice; the specification does not.
#[derive(Debug, Deserialize)]
struct Notice {
    typing: bool,
    /// In milliseconds.
    timeout: Option<u64>,
}

async fn create_typing_event(
    State(typing): State<Typing>,
    State(presence): State<Presence>,
    user: User,
    Path((room_id, user_id)): Path<(String, String)>,
    Json(notice): Json<Notice>,
) -> Result<Ruma<v3::Response>> {
    let room_id = RoomId::parse(room_id)
        .map_err(|_| Error::invalid_param("This is not the id of a room"))?;
    let user_id =
        UserId::parse(user_id).map_err(|_| Error::invalid_param("This is not a user id"))?;
    if user.user_id() != user_id {
        return Err(Error::forbidden("You cannot type for another user").into());
    }
    presence.active(user.user_id(), user.device_id());
    let timeout = notice.timeout.map_or(TIMEOUT_DEFAULT, Duration::from_millis);
    typing.set(&room_id, user.user_id(), notice.typing.then_some(timeout)).await?;
    Ok(Ruma(v3::Response::new()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.at::<v3::Request, _, _>(create_typing_event)
}
