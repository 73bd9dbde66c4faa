//! `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags`
//! `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`
//! `DELETE /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#room-tagging>

use axum::extract::State;
use pli_core::AccountData;
use ruma::api::client::tag::{
    create_tag::v3 as create, delete_tag::v3 as delete, get_tags::v3 as get,
};
use serde_json::json;

use super::config::require_own;
use crate::{RawJson, Result, Routes, Ruma, identity::UserOrGuest};

async fn get_tags(
    State(account_data): State<AccountData>,
    user: UserOrGuest,
    Ruma(request): Ruma<get::Request>,
) -> Result<RawJson> {
    require_own(&user, &request.user_id)?;
    let tags = account_data.tags(user.user_id(), &request.room_id).await?;
    Ok(RawJson(json!({ "tags": tags }).to_string().into()))
}

async fn create_tag(
    State(account_data): State<AccountData>,
    user: UserOrGuest,
    Ruma(request): Ruma<create::Request>,
) -> Result<Ruma<create::Response>> {
    require_own(&user, &request.user_id)?;
    let content = json!(request.tag_info);
    account_data.set_tag(user.user_id(), &request.room_id, &request.tag, &content).await?;
    Ok(Ruma(create::Response::new()))
}

async fn delete_tag(
    State(account_data): State<AccountData>,
    user: UserOrGuest,
    Ruma(request): Ruma<delete::Request>,
) -> Result<Ruma<delete::Response>> {
    require_own(&user, &request.user_id)?;
    account_data.delete_tag(user.user_id(), &request.room_id, &request.tag).await?;
    Ok(Ruma(delete::Response::new()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(get_tags).ruma(create_tag).ruma(delete_tag)
}
