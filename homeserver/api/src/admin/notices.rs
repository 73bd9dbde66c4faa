//! `POST /_pli/admin/v1/notices`
//! `POST /_pli/admin/v1/notices/lift`
//! `POST /_synapse/admin/v1/send_server_notice`
//!
//! Server notices to one user. With `limit_type` and `admin_contact` the notice says that a limit of the
//! server is reached, and is pinned until it is lifted. The third path is Synapse's
//! (<https://element-hq.github.io/synapse/latest/admin_api/server_notices.html>), for its tools.

use axum::extract::State;
use http::Method;
use pli_core::{Error, Notices, notices::NoticeKind};
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Admin, Json, Result, Routes};

#[derive(Deserialize)]
struct New {
    user_id: OwnedUserId,
    body: String,
    limit_type: Option<String>,
    admin_contact: Option<String>,
}

#[derive(Deserialize)]
struct Whose {
    user_id: OwnedUserId,
}

#[derive(Deserialize)]
struct OfSynapse {
    user_id: OwnedUserId,
    content: Content,
}

#[derive(Deserialize)]
struct Content {
    msgtype: String,
    body: String,
}

async fn send(
    State(notices): State<Notices>,
    admin: Admin,
    Json(new): Json<New>,
) -> Result<Json<Value>> {
    let kind = match (new.limit_type, new.admin_contact) {
        (None, None) => NoticeKind::Message,
        (Some(limit_type), Some(admin_contact)) => {
            NoticeKind::UsageLimitReached { limit_type, admin_contact }
        }
        _ => {
            let text = "`limit_type` and `admin_contact` belong together";
            return Err(Error::invalid_param(text).into());
        }
    };
    let sent = notices.send(admin.user_id(), &new.user_id, &new.body, &kind).await?;
    Ok(Json(json!({ "event_id": sent.event_id, "room_id": sent.room_id })))
}

async fn lift(
    State(notices): State<Notices>,
    _: Admin,
    Json(whose): Json<Whose>,
) -> Result<Json<Value>> {
    notices.lift(&whose.user_id).await?;
    Ok(Json(json!({})))
}

async fn send_as_synapse(
    State(notices): State<Notices>,
    admin: Admin,
    Json(new): Json<OfSynapse>,
) -> Result<Json<Value>> {
    if new.content.msgtype != "m.text" {
        return Err(Error::invalid_param("Only `m.text` is sent as a notice").into());
    }
    let kind = NoticeKind::Message;
    let sent = notices.send(admin.user_id(), &new.user_id, &new.content.body, &kind).await?;
    Ok(Json(json!({ "event_id": sent.event_id })))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .path(&Method::POST, "/_pli/admin/v1/notices", send)
        .path(&Method::POST, "/_pli/admin/v1/notices/lift", lift)
        .path(&Method::POST, "/_synapse/admin/v1/send_server_notice", send_as_synapse)
}
