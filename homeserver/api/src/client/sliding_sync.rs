//! `POST /_matrix/client/unstable/org.matrix.simplified_msc3575/sync`
//!
//! Spec: [MSC4186](https://github.com/matrix-org/matrix-spec-proposals/pull/4186)

use std::time::Duration;

use axum::extract::{Query, State};
use http::Method;
use pli_core::sync::{SlidingBody, SlidingRequest, Sync};
use ruma::presence::PresenceState;

use crate::{Json, RawJson, Result, Routes, identity::UserOrGuest, sends::Sends};

/// What stands in the query.
#[derive(Debug, serde::Deserialize)]
struct InQuery {
    pos: Option<String>,
    /// Milliseconds.
    timeout: Option<u64>,
    #[serde(default)]
    set_presence: PresenceState,
}

async fn sliding_sync(
    State(sync): State<Sync>,
    State(sends): State<Sends>,
    user: UserOrGuest,
    Query(query): Query<InQuery>,
    Json(body): Json<SlidingBody>,
) -> Result<RawJson> {
    let request = SlidingRequest {
        user_id: user.user_id().to_owned(),
        device_id: user.device_id().to_owned(),
        pos: query.pos.filter(|pos| !pos.is_empty()),
        timeout: Duration::from_millis(query.timeout.unwrap_or_default()),
        set_presence: query.set_presence,
        body,
    };
    let answer = sync.sliding(&request).await?;
    sends.answered(&user).await;
    Ok(RawJson(answer.into()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
    routes.path(&Method::POST, path, sliding_sync)
}
