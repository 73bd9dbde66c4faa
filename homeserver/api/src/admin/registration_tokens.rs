//! `POST /_pli/admin/v1/registration_tokens`
//!
//! Makes a registration token. It is told once; the server keeps its hash.

use axum::extract::State;
use http::Method;
use pli_core::accounts::{Accounts, Secret, registration_tokens::NewRegistrationToken};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Admin, Json, Result, Routes};

#[derive(Deserialize)]
struct New {
    token: Option<String>,
    #[serde(default)]
    label: String,
    uses_allowed: Option<u32>,
    expires_at_ms: Option<u64>,
    #[serde(default)]
    makes_admin: bool,
}

async fn create(
    State(accounts): State<Accounts>,
    admin: Admin,
    Json(new): Json<New>,
) -> Result<Json<Value>> {
    let token = accounts
        .new_registration_token(NewRegistrationToken {
            token: new.token.map(Secret::from),
            label: new.label,
            uses_allowed: new.uses_allowed,
            expires_at_ms: new.expires_at_ms,
            makes_admin: new.makes_admin,
            created_by: Some(admin.into_user_id()),
        })
        .await?;
    Ok(Json(json!({ "token": token.reveal() })))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.path(&Method::POST, "/_pli/admin/v1/registration_tokens", create)
}
