//! `GET /_matrix/client/v3/profile/{userId}`
//! `GET /_matrix/client/v3/profile/{userId}/{keyName}`
//! `PUT /_matrix/client/v3/profile/{userId}/{keyName}`
//! `DELETE /_matrix/client/v3/profile/{userId}/{keyName}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#profiles>

use std::sync::Arc;

use axum::extract::{Path, State};
use http::Method;
use pli_core::{
    Error, Rooms,
    accounts::{Accounts, profiles::DISPLAY_NAME},
    federation::Queries,
};
use ruma::{OwnedUserId, UserId};
use serde_json::{Map, Value, json};

use crate::{Anyone, Json, Result, Routes, UserOrGuest, state::ServerInfo};

/// The paths before the user's id.
const PREFIXES: [&str; 3] = [
    "/_matrix/client/r0/profile",
    "/_matrix/client/v3/profile",
    "/_matrix/client/unstable/uk.tcpip.msc4133/profile",
];

fn user(text: &str) -> Result<OwnedUserId, Error> {
    UserId::parse(text).map_err(|_| Error::invalid_param("This is not a user id"))
}

/// Who may read profiles: everyone with a token; others if the server allows it.
fn may_look(server: &ServerInfo, caller: &Anyone) -> Result<(), Error> {
    if caller.0.is_some() || server.config.profiles.lookup_without_token {
        return Ok(());
    }
    Err(Error::forbidden("Profiles of this server are shown to its users only"))
}

/// The profile of a user of another server; `None` for one of this server. Strangers do not make this
/// server ask others.
async fn elsewhere(
    queries: &Queries,
    server: &ServerInfo,
    caller: &Anyone,
    user_id: &UserId,
) -> Result<Option<Arc<Map<String, Value>>>> {
    if user_id.server_name() == server.server_name {
        return Ok(None);
    }
    if caller.0.is_none() {
        return Err(Error::not_found("This user is of another server").into());
    }
    Ok(Some(queries.profile(user_id).await?))
}

async fn whole(
    State(accounts): State<Accounts>,
    State(server): State<ServerInfo>,
    State(queries): State<Queries>,
    caller: Anyone,
    Path(user_id): Path<String>,
) -> Result<Json<Map<String, Value>>> {
    may_look(&server, &caller)?;
    let user_id = user(&user_id)?;
    if let Some(profile) = elsewhere(&queries, &server, &caller, &user_id).await? {
        return Ok(Json(Map::clone(&profile)));
    }
    Ok(Json(accounts.profile(&user_id).await?))
}

async fn one(
    State(accounts): State<Accounts>,
    State(server): State<ServerInfo>,
    State(queries): State<Queries>,
    caller: Anyone,
    Path((user_id, field)): Path<(String, String)>,
) -> Result<Json<Value>> {
    may_look(&server, &caller)?;
    let user_id = user(&user_id)?;
    let value = match elsewhere(&queries, &server, &caller, &user_id).await? {
        Some(profile) => profile.get(&field).cloned(),
        None => accounts.profile_field(&user_id, &field).await?,
    };
    let value = value.ok_or_else(|| Error::not_found("This field of the profile is not set"))?;
    Ok(Json(json!({ field: value })))
}

/// Only a user's own profile can be changed, and of a guest's only the display name.
fn own(caller: &UserOrGuest, user_id: &str, field: &str) -> Result<(), Error> {
    if user(user_id)? == caller.user_id() {
        if caller.is_guest && field != DISPLAY_NAME {
            let text = "Guests may only change their display name".to_owned();
            return Err(Error::GuestAccessForbidden(text));
        }
        return Ok(());
    }
    Err(Error::forbidden("This is another user's profile"))
}

/// The profile is set, whatever the rooms say; a room that refuses keeps the old one.
async fn show(rooms: &Rooms, caller: &UserOrGuest) {
    if let Err(error) = rooms.profile_changed(caller.user_id()).await {
        tracing::warn!(%error, "a room did not take a changed profile");
    }
}

async fn set(
    State(accounts): State<Accounts>,
    State(rooms): State<Rooms>,
    caller: UserOrGuest,
    Path((user_id, field)): Path<(String, String)>,
    Json(mut body): Json<Map<String, Value>>,
) -> Result<Json<Value>> {
    own(&caller, &user_id, &field)?;
    let value = body.remove(&field);
    let value = value.ok_or_else(|| Error::MissingParam(format!("`{field}` is missing")))?;
    if accounts.set_profile_field(caller.user_id(), &field, Some(value)).await? {
        show(&rooms, &caller).await;
    }
    Ok(Json(json!({})))
}

async fn remove(
    State(accounts): State<Accounts>,
    State(rooms): State<Rooms>,
    caller: UserOrGuest,
    Path((user_id, field)): Path<(String, String)>,
) -> Result<Json<Value>> {
    own(&caller, &user_id, &field)?;
    if accounts.set_profile_field(caller.user_id(), &field, None).await? {
        show(&rooms, &caller).await;
    }
    Ok(Json(json!({})))
}

/// The routes of this file.
pub fn routes(mut routes: Routes) -> Routes {
    for prefix in PREFIXES {
        let profile = format!("{prefix}/{{userId}}");
        let field = format!("{profile}/{{keyName}}");
        routes = routes
            .path(&Method::GET, &profile, whole)
            .path(&Method::GET, &field, one)
            .path(&Method::PUT, &field, set)
            .path(&Method::DELETE, &field, remove);
    }
    routes
}
