//! `GET /_pli/admin/v1/registration_tokens`
//! `POST /_pli/admin/v1/registration_tokens`
//! `DELETE /_pli/admin/v1/registration_tokens/{id}`
//!
//! Registration tokens. A token is told once, when it is made; the server keeps its hash, whose
//! beginning is the id by which it is listed and taken back.

use axum::extract::{Path, State};
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

async fn list(State(accounts): State<Accounts>, _: Admin) -> Result<Json<Value>> {
    let tokens = accounts.registration_tokens().await?.into_iter().map(|token| {
        let record = token.record;
        let mut out = json!({
            "id": token.id,
            "label": record.label,
            "uses": record.uses,
            "makes_admin": record.makes_admin,
            "created_ms": record.created_ms,
        });
        for (key, value) in [
            ("uses_allowed", record.uses_allowed.map(Value::from)),
            ("expires_at_ms", record.expires_at_ms.map(Value::from)),
            ("created_by", record.created_by.map(|by| json!(by))),
        ] {
            if let Some(value) = value {
                out[key] = value;
            }
        }
        out
    });
    Ok(Json(json!({ "registration_tokens": tokens.collect::<Vec<Value>>() })))
}

async fn remove(
    State(accounts): State<Accounts>,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<Json<Value>> {
    accounts.delete_registration_token(admin.user_id(), &id).await?;
    Ok(Json(json!({})))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    const ALL: &str = "/_pli/admin/v1/registration_tokens";
    const ONE: &str = "/_pli/admin/v1/registration_tokens/{id}";
    routes.path(&Method::GET, ALL, list).path(&Method::POST, ALL, create).path(
        &Method::DELETE,
        ONE,
        remove,
    )
}
