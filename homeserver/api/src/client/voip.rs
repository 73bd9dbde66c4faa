//! `GET /_matrix/client/v3/voip/turnServer`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#voice-over-ip>. Without a TURN server the
//! answer is 404: an empty list would make clients fail.

use std::time::Duration;

use axum::extract::State;
use pli_core::{accounts::Accounts, calls::turn_credentials};
use ruma::api::client::voip::get_turn_server_info::v3;

use crate::{Result, Routes, Ruma, User, state::ServerInfo};

async fn turn_server(
    State(accounts): State<Accounts>,
    State(server): State<ServerInfo>,
    user: User,
    Ruma(_): Ruma<v3::Request>,
) -> Result<Ruma<v3::Response>> {
    let settings = server.config.calls.turn.as_ref();
    let turn = turn_credentials(settings, user.user_id(), accounts.now_ms())?;
    let ttl = Duration::from_secs(turn.ttl_s);
    Ok(Ruma(v3::Response::new(turn.username, turn.password, turn.uris, ttl)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(turn_server)
}
