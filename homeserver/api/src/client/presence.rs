//! `PUT /_matrix/client/v3/presence/{userId}/status`
//! `GET /_matrix/client/v3/presence/{userId}/status`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#presence>

use axum::extract::State;
use pli_core::{Error, Presence};
use ruma::api::client::presence::{get_presence::v3 as get, set_presence::v3 as set};

use crate::{RawJson, Result, Routes, Ruma, User};

async fn set_presence(
    State(presence): State<Presence>,
    user: User,
    Ruma(request): Ruma<set::Request>,
) -> Result<Ruma<set::Response>> {
    if user.user_id() != request.user_id {
        return Err(Error::forbidden("You cannot set the presence of another user").into());
    }
    let (state, text) = (&request.presence, request.status_msg);
    presence.set(user.user_id(), user.device_id(), state, text).await?;
    Ok(Ruma(set::Response::new()))
}

async fn get_presence(
    State(presence): State<Presence>,
    user: User,
    Ruma(request): Ruma<get::Request>,
) -> Result<RawJson> {
    let seen = presence.get(user.user_id(), &request.user_id).await?;
    Ok(RawJson(seen.content().finish().into()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(set_presence).ruma(get_presence)
}
