//! `GET /_matrix/client/v3/user/{userId}/account_data/{type}`
//! `PUT /_matrix/client/v3/user/{userId}/account_data/{type}`
//! `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`
//! `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`
//! `DELETE /_matrix/client/unstable/org.matrix.msc3391/user/{userId}/account_data/{type}`
//! `DELETE /_matrix/client/unstable/org.matrix.msc3391/user/{userId}/rooms/{roomId}/account_data/{type}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#client-config>,
//! [MSC3391](https://github.com/matrix-org/matrix-spec-proposals/pull/3391)

use axum::extract::{Path, State};
use http::Method;
use pli_core::{AccountData, Push};
use ruma::{
    OwnedRoomId, OwnedUserId, UserId,
    api::client::config::{
        get_global_account_data::v3 as get_global, get_room_account_data::v3 as get_room,
        set_global_account_data::v3 as set_global, set_room_account_data::v3 as set_room,
    },
};

use crate::{Json, RawJson, Result, Routes, Ruma, identity::UserOrGuest};

/// The user in the path must be the one who asks.
///
/// # Errors
/// `M_FORBIDDEN` for another user's path.
pub(super) fn require_own(user: &UserOrGuest, path: &UserId) -> Result<()> {
    if user.user_id() == path {
        Ok(())
    } else {
        Err(pli_core::Error::forbidden("This belongs to another user").into())
    }
}

async fn get_global_account_data(
    State(account_data): State<AccountData>,
    State(push): State<Push>,
    user: UserOrGuest,
    Ruma(request): Ruma<get_global::Request>,
) -> Result<RawJson> {
    require_own(&user, &request.user_id)?;
    let data_type = request.event_type.to_string();
    // The push rules are account data to clients; they are kept elsewhere.
    if data_type == "m.push_rules" {
        let rules = push.rules(user.user_id()).await?;
        return Ok(RawJson(serde_json::json!({ "global": &*rules }).to_string().into()));
    }
    let content = account_data.get(user.user_id(), None, &data_type).await?;
    Ok(RawJson(content.into()))
}

async fn set_global_account_data(
    State(account_data): State<AccountData>,
    user: UserOrGuest,
    Ruma(request): Ruma<set_global::Request>,
) -> Result<Ruma<set_global::Response>> {
    require_own(&user, &request.user_id)?;
    let data_type = request.event_type.to_string();
    account_data.set(user.user_id(), None, &data_type, request.data.json()).await?;
    Ok(Ruma(set_global::Response::new()))
}

async fn get_room_account_data(
    State(account_data): State<AccountData>,
    user: UserOrGuest,
    Ruma(request): Ruma<get_room::Request>,
) -> Result<RawJson> {
    require_own(&user, &request.user_id)?;
    let data_type = request.event_type.to_string();
    let content = account_data.get(user.user_id(), Some(&request.room_id), &data_type).await?;
    Ok(RawJson(content.into()))
}

async fn set_room_account_data(
    State(account_data): State<AccountData>,
    user: UserOrGuest,
    Ruma(request): Ruma<set_room::Request>,
) -> Result<Ruma<set_room::Response>> {
    require_own(&user, &request.user_id)?;
    let data_type = request.event_type.to_string();
    let (user_id, room_id) = (user.user_id(), Some(&*request.room_id));
    account_data.set(user_id, room_id, &data_type, request.data.json()).await?;
    Ok(Ruma(set_room::Response::new()))
}

async fn delete_global_account_data(
    State(account_data): State<AccountData>,
    user: UserOrGuest,
    Path((user_id, data_type)): Path<(OwnedUserId, String)>,
) -> Result<Json<serde_json::Value>> {
    require_own(&user, &user_id)?;
    account_data.delete(user.user_id(), None, &data_type).await?;
    Ok(Json(serde_json::json!({})))
}

async fn delete_room_account_data(
    State(account_data): State<AccountData>,
    user: UserOrGuest,
    Path((user_id, room_id, data_type)): Path<(OwnedUserId, OwnedRoomId, String)>,
) -> Result<Json<serde_json::Value>> {
    require_own(&user, &user_id)?;
    account_data.delete(user.user_id(), Some(&room_id), &data_type).await?;
    Ok(Json(serde_json::json!({})))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    const DELETE: &str = "/_matrix/client/unstable/org.matrix.msc3391/user/{userId}";
    routes
        .path(
            &Method::DELETE,
            &format!("{DELETE}/account_data/{{type}}"),
            delete_global_account_data,
        )
        .path(
            &Method::DELETE,
            &format!("{DELETE}/rooms/{{roomId}}/account_data/{{type}}"),
            delete_room_account_data,
        )
        .ruma(get_global_account_data)
        .ruma(set_global_account_data)
        .ruma(get_room_account_data)
        .ruma(set_room_account_data)
}
