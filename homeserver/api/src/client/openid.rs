//! `POST /_matrix/client/v3/user/{userId}/openid/request_token`
//! `GET /_matrix/federation/v1/openid/userinfo`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#openid>,
//! <https://spec.matrix.org/v1.19/server-server-api/#openid>. The second is for services beside the
//! server, so it is on the listener for clients, too.

use std::time::Duration;

use axum::extract::{Query, State};
use http::Method;
use pli_core::{
    Error,
    accounts::{Accounts, openid::OPENID_LIFETIME_MS},
};
use ruma::{
    api::client::account::request_openid_token::v3::{Request, Response},
    authentication::TokenType,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Json, Result, Routes, Ruma, User};

async fn request_token(
    State(accounts): State<Accounts>,
    user: User,
    Ruma(request): Ruma<Request>,
) -> Result<Ruma<Response>> {
    if user.user_id() != request.user_id {
        return Err(Error::forbidden("A token is for the user who asks").into());
    }
    let token = accounts.new_openid_token(user.user_id()).await?;
    Ok(Ruma(Response::new(
        token.reveal().to_owned(),
        TokenType::Bearer,
        accounts.server_name().to_owned(),
        Duration::from_millis(OPENID_LIFETIME_MS),
    )))
}

#[derive(Deserialize)]
struct Presented {
    access_token: String,
}

async fn userinfo(
    State(accounts): State<Accounts>,
    query: Result<Query<Presented>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>> {
    let Query(presented) = query.map_err(|_| Error::MissingToken)?;
    let user_id = accounts.openid_user(&presented.access_token).await?;
    Ok(Json(json!({ "sub": user_id })))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .ruma(request_token)
        .path(&Method::GET, "/_matrix/federation/v1/openid/userinfo", userinfo)
}
