//! `GET /_pli/admin/v1/audit`
//!
//! The newest entries of the audit log, newest first; `?before=POSITION&limit=N` for older ones.

use axum::extract::{Query, State};
use http::Method;
use pli_core::{Error, accounts::Accounts};
use pli_schema::Position;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Admin, Json, Result, Routes};

#[derive(Deserialize)]
struct Page {
    before: Option<u64>,
    limit: Option<usize>,
}

async fn list(
    State(accounts): State<Accounts>,
    _: Admin,
    query: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>> {
    let Query(page) =
        query.map_err(|_| Error::invalid_param("`before` and `limit` are numbers"))?;
    let entries =
        accounts.audit().newest(page.before.map(Position), page.limit.unwrap_or(100)).await?;
    let entries: Vec<Value> = entries
        .into_iter()
        .map(|(position, entry)| {
            json!({
                "position": position.0,
                "at_ms": entry.at_ms,
                "actor": entry.actor,
                "action": entry.action,
                "subject": entry.subject,
                "details": serde_json::from_str::<Value>(&entry.details_json).unwrap_or_default(),
            })
        })
        .collect();
    Ok(Json(json!({ "entries": entries })))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.path(&Method::GET, "/_pli/admin/v1/audit", list)
}
