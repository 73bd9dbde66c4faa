//! `POST /_synapse/client/email_account_validity/send_mail`
//! `POST /_matrix/client/unstable/account_validity/send_mail`
//! `POST /_synapse/client/email_account_validity/admin`
//!
//! Accounts that end unless they are renewed, under the paths of Synapse's module for it, which clients
//! and tools of administrations call.

use axum::extract::State;
use http::Method;
use pli_core::accounts::Accounts;
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Admin, EvenExpired, Json, Result, Routes};

#[derive(Deserialize)]
struct Change {
    user_id: OwnedUserId,
    expiration_ts: Option<u64>,
}

async fn send_mail(
    State(accounts): State<Accounts>,
    user: EvenExpired,
    Json(_): Json<Map<String, Value>>,
) -> Result<Json<Value>> {
    accounts.request_renewal(user.user_id()).await?;
    Ok(Json(json!({})))
}

async fn change(
    State(accounts): State<Accounts>,
    admin: Admin,
    Json(change): Json<Change>,
) -> Result<Json<Value>> {
    let (by, user_id) = (admin.user_id(), &change.user_id);
    let expiration_ts = accounts.set_expiration(by, user_id, change.expiration_ts).await?;
    Ok(Json(json!({ "expiration_ts": expiration_ts })))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    const MODULE: &str = "/_synapse/client/email_account_validity";
    routes
        .path(&Method::POST, &format!("{MODULE}/send_mail"), send_mail)
        .path(
            &Method::POST,
            "/_matrix/client/unstable/account_validity/send_mail",
            send_mail,
        )
        .path(&Method::POST, &format!("{MODULE}/admin"), change)
}
