//! `GET /_matrix/client/v3/sync`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync>

use axum::extract::{RawQuery, State};
use pli_core::sync::{StateAfter, Sync, SyncRequest};
use ruma::api::client::sync::sync_events::v3;

use crate::{RawJson, Result, Routes, Ruma, identity::UserOrGuest, sends::Sends};

/// The name of `use_state_after` before MSC4222 was accepted; clients that know only this name look
/// for the state under the old name, too.
const UNSTABLE_STATE_AFTER: &str = "org.matrix.msc4222.use_state_after=true";

async fn sync_events(
    State(sync): State<Sync>,
    State(sends): State<Sends>,
    user: UserOrGuest,
    RawQuery(query): RawQuery,
    Ruma(request): Ruma<v3::Request>,
) -> Result<RawJson> {
    let unstable = query.is_some_and(|query| query.split('&').any(|p| p == UNSTABLE_STATE_AFTER));
    let state_after = match (request.use_state_after, unstable) {
        (true, _) => StateAfter::Stable,
        (false, true) => StateAfter::Unstable,
        (false, false) => StateAfter::No,
    };
    let request = SyncRequest {
        user_id: user.user_id().to_owned(),
        device_id: user.device_id().to_owned(),
        since: request.since,
        filter: request.filter,
        full_state: request.full_state,
        timeout: request.timeout.unwrap_or_default(),
        state_after,
        set_presence: request.set_presence,
    };
    let answer = sync.sync(&request).await?;
    sends.answered(&user).await;
    Ok(RawJson(answer.into()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(sync_events)
}
