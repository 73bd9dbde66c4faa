//! `GET /_matrix/client/v3/account/3pid`
//! `POST /_matrix/client/v3/account/3pid`
//! `POST /_matrix/client/v3/account/3pid/add`
//! `POST /_matrix/client/v3/account/3pid/bind`
//! `POST /_matrix/client/v3/account/3pid/delete`
//! `POST /_matrix/client/v3/account/3pid/unbind`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#adding-account-administrative-contact-information>

use axum::extract::State;
use http::Method;
use pli_core::{
    Error,
    accounts::{Accounts, Operation, Secret},
};
use ruma::{
    OwnedClientSecret, OwnedSessionId,
    api::client::account::{
        ThirdPartyIdRemovalStatus, add_3pid, bind_3pid, delete_3pid, get_3pids, unbind_3pid,
    },
    thirdparty::Medium,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Json, Result, Routes, Ruma, User};

/// All of them, also when there are none: some clients cannot do without the list.
async fn list(
    State(accounts): State<Accounts>,
    user: User,
    Ruma(_): Ruma<get_3pids::v3::Request>,
) -> Result<Json<Value>> {
    let emails = accounts.emails(user.user_id()).await?;
    let threepids: Vec<Value> = emails
        .into_iter()
        .map(|email| {
            json!({
                "medium": "email",
                "address": email.address,
                "validated_at": email.validated_at_ms,
                "added_at": email.added_at_ms,
            })
        })
        .collect();
    Ok(Json(json!({ "threepids": threepids })))
}

async fn add(
    State(accounts): State<Accounts>,
    user: User,
    Ruma(request): Ruma<add_3pid::v3::Request>,
) -> Result<Ruma<add_3pid::v3::Response>> {
    let operation = Operation::new("POST /account/3pid/add", &request.sid)?;
    accounts.confirm_operation(&user, &operation, request.auth.as_ref()).await?;
    let secret = Secret::from(request.client_secret.as_str());
    accounts.add_email(user.user_id(), request.sid.as_str(), &secret).await?;
    Ok(Ruma(add_3pid::v3::Response::new()))
}

/// The three ways of naming a proof that an identity server has.
#[derive(Deserialize)]
struct Legacy {
    three_pid_creds: Credentials,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "what must be there, although no identity server is asked")]
struct Credentials {
    client_secret: OwnedClientSecret,
    id_server: String,
    sid: OwnedSessionId,
}

/// The deprecated way, which has an identity server vouch and asks for no password: nothing is added so.
async fn add_legacy(_: User, Json(request): Json<Legacy>) -> Result<Json<Value>> {
    let Credentials { .. } = request.three_pid_creds;
    let text = "This server asks no identity server; use /account/3pid/add";
    Err(Error::ThreepidUnverified(text.to_owned()).into())
}

async fn bind(
    _: User,
    Ruma(_): Ruma<bind_3pid::v3::Request>,
) -> Result<Ruma<bind_3pid::v3::Response>> {
    let text = "This server works with no identity server";
    Err(Error::ServerNotTrusted(text.to_owned()).into())
}

async fn delete(
    State(accounts): State<Accounts>,
    user: User,
    Ruma(request): Ruma<delete_3pid::v3::Request>,
) -> Result<Ruma<delete_3pid::v3::Response>> {
    if request.medium != Medium::Email {
        let text = "This account has no such address";
        return Err(Error::ThreepidNotFound(text.to_owned()).into());
    }
    accounts.remove_email(user.user_id(), &request.address).await?;
    Ok(Ruma(delete_3pid::v3::Response::new(ThirdPartyIdRemovalStatus::NoSupport)))
}

async fn unbind(
    _: User,
    Ruma(_): Ruma<unbind_3pid::v3::Request>,
) -> Ruma<unbind_3pid::v3::Response> {
    Ruma(unbind_3pid::v3::Response::new(ThirdPartyIdRemovalStatus::NoSupport))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .ruma(list)
        .ruma(add)
        .ruma(bind)
        .ruma(delete)
        .ruma(unbind)
        .path(&Method::POST, "/_matrix/client/r0/account/3pid", add_legacy)
        .path(&Method::POST, "/_matrix/client/v3/account/3pid", add_legacy)
}
