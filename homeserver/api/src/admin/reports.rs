//! `GET /_pli/admin/v1/reports`
//! `GET /_pli/admin/v1/reports/{report}`
//! `POST /_pli/admin/v1/reports/{report}/close`
//!
//! What people have reported, the newest first; `?closed=true` shows those that are closed too,
//! `?before=NUMBER&limit=N` older ones.

use axum::extract::{Path, Query, State};
use http::Method;
use pli_core::{
    Error, Reports,
    reports::{Report, ReportsQuery},
};
use pli_schema::records::administration::ReportSubject;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Admin, Json, Result, Routes};

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    closed: bool,
    before: Option<u64>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
struct Closing {
    note: Option<String>,
}

fn number(text: &str) -> Result<u64, Error> {
    text.parse().map_err(|_| Error::not_found("There is no such report"))
}

fn told(report: Report) -> Value {
    let Report { number, record } = report;
    let mut out = Map::new();
    out.insert("number".to_owned(), json!(number));
    out.insert("at_ms".to_owned(), json!(record.at_ms));
    out.insert("reporter".to_owned(), json!(record.reporter));
    let subject = match record.subject {
        ReportSubject::Room(room_id) => json!({ "kind": "room", "room_id": room_id }),
        ReportSubject::Event { room_id, event_id, sender } => {
            json!({ "kind": "event", "room_id": room_id, "event_id": event_id, "sender": sender })
        }
        ReportSubject::User(user_id) => json!({ "kind": "user", "user_id": user_id }),
    };
    out.insert("subject".to_owned(), subject);
    out.extend(record.reason.map(|reason| ("reason".to_owned(), json!(reason))));
    if let Some(closing) = record.closing {
        let mut closed = Map::new();
        closed.insert("by".to_owned(), json!(closing.by));
        closed.insert("at_ms".to_owned(), json!(closing.at_ms));
        closed.extend(closing.note.map(|note| ("note".to_owned(), json!(note))));
        out.insert("closed".to_owned(), Value::Object(closed));
    }
    Value::Object(out)
}

async fn list(
    State(reports): State<Reports>,
    _: Admin,
    query: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>> {
    let text = "`before` and `limit` are numbers, `closed` is true or false";
    let Query(page) = query.map_err(|_| Error::invalid_param(text))?;
    let query = ReportsQuery {
        with_closed: page.closed,
        before: page.before,
        limit: page.limit.unwrap_or(100),
    };
    let reports: Vec<Value> = reports.list(query).await?.into_iter().map(told).collect();
    Ok(Json(json!({ "reports": reports })))
}

async fn one(
    State(reports): State<Reports>,
    _: Admin,
    Path(report): Path<String>,
) -> Result<Json<Value>> {
    Ok(Json(told(reports.get(number(&report)?).await?)))
}

async fn close(
    State(reports): State<Reports>,
    admin: Admin,
    Path(report): Path<String>,
    Json(closing): Json<Closing>,
) -> Result<Json<Value>> {
    reports.close(admin.user_id(), number(&report)?, closing.note).await?;
    Ok(Json(json!({})))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .path(&Method::GET, "/_pli/admin/v1/reports", list)
        .path(&Method::GET, "/_pli/admin/v1/reports/{report}", one)
        .path(&Method::POST, "/_pli/admin/v1/reports/{report}/close", close)
}
