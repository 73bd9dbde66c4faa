//! `GET /_matrix/client/v3/initialSync`
//! `GET /_matrix/client/v3/rooms/{roomId}/initialSync`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3initialsync> and
//! <https://spec.matrix.org/v1.19/client-server-api/#room-previews>

use axum::extract::{Query, State};
use http::Method;
use pli_core::{Error, sync::Sync};
use ruma::api::client::peeking::get_current_state::v3 as of_room;
use serde::Deserialize;

use super::messages::viewer;
use crate::{RawJson, Result, Routes, Ruma, User, UserOrGuest};

#[derive(Deserialize)]
struct Asked {
    limit: Option<usize>,
    archived: Option<bool>,
}

type AskedQuery = Result<Query<Asked>, axum::extract::rejection::QueryRejection>;

fn asked(query: AskedQuery) -> Result<Asked> {
    let Query(asked) = query.map_err(|error| Error::InvalidParam(error.body_text()))?;
    Ok(asked)
}

async fn initial_sync(
    State(sync): State<Sync>,
    User(user): User,
    query: AskedQuery,
) -> Result<RawJson> {
    let asked = asked(query)?;
    let user = UserOrGuest(user);
    let archived = asked.archived.unwrap_or_default();
    Ok(RawJson(sync.initial_sync(viewer(&user), asked.limit, archived).await?.into()))
}

async fn room_initial_sync(
    State(sync): State<Sync>,
    user: UserOrGuest,
    query: AskedQuery,
    Ruma(request): Ruma<of_room::Request>,
) -> Result<RawJson> {
    let limit = asked(query)?.limit;
    Ok(RawJson(sync.room_initial_sync(&request.room_id, viewer(&user), limit).await?.into()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .path(&Method::GET, "/_matrix/client/v3/initialSync", initial_sync)
        .path(&Method::GET, "/_matrix/client/r0/initialSync", initial_sync)
        .ruma(room_initial_sync)
}
