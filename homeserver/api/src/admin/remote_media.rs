//! `GET /_pli/admin/v1/remote_media/{serverName}/{mediaId}`
//! `DELETE /_pli/admin/v1/remote_media/{serverName}/{mediaId}`
//! `PUT /_pli/admin/v1/remote_media/{serverName}/{mediaId}/quarantine`
//! `DELETE /_pli/admin/v1/remote_media/{serverName}/{mediaId}/quarantine`
//!
//! Files of other servers that are here because somebody asked for them. A quarantine is of the content,
//! as that of this server's files; it holds when the file is fetched again.

use axum::extract::{Path, State};
use http::Method;
use pli_core::Media;
use serde_json::{Map, Value, json};

use super::federation::server_name;
use crate::{Admin, Json, Result, Routes};

const ONE: &str = "/_pli/admin/v1/remote_media/{serverName}/{mediaId}";
const QUARANTINE: &str = "/_pli/admin/v1/remote_media/{serverName}/{mediaId}/quarantine";

async fn show(
    State(media): State<Media>,
    _: Admin,
    Path((server, media_id)): Path<(String, String)>,
) -> Result<Json<Value>> {
    let server = server_name(&server)?;
    let (record, quarantine) = media.known_remote(&server, &media_id).await?;
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    put("uri", format!("mxc://{server}/{media_id}").into());
    put("fetched_ms", record.fetched_ms.into());
    put("used_ms", record.used_ms.into());
    put("size_bytes", record.content.size_bytes.into());
    if let Some(content_type) = record.content.content_type {
        put("content_type", content_type.into());
    }
    if let Some(file_name) = record.content.file_name {
        put("file_name", file_name.into());
    }
    if let Some(quarantine) = quarantine {
        put("quarantined_by", quarantine.by.as_str().into());
        put("quarantined_at_ms", quarantine.at_ms.into());
    }
    Ok(Json(Value::Object(out)))
}

async fn delete(
    State(media): State<Media>,
    admin: Admin,
    Path((server, media_id)): Path<(String, String)>,
) -> Result<Json<Value>> {
    media.delete_remote(admin.user_id(), &server_name(&server)?, &media_id).await?;
    Ok(Json(json!({})))
}

async fn quarantine(
    State(media): State<Media>,
    admin: Admin,
    Path((server, media_id)): Path<(String, String)>,
) -> Result<Json<Value>> {
    let server = server_name(&server)?;
    media.quarantine_remote(admin.user_id(), (&server, &media_id), true).await?;
    Ok(Json(json!({})))
}

async fn release(
    State(media): State<Media>,
    admin: Admin,
    Path((server, media_id)): Path<(String, String)>,
) -> Result<Json<Value>> {
    let server = server_name(&server)?;
    media.quarantine_remote(admin.user_id(), (&server, &media_id), false).await?;
    Ok(Json(json!({})))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .path(&Method::GET, ONE, show)
        .path(&Method::DELETE, ONE, delete)
        .path(&Method::PUT, QUARANTINE, quarantine)
        .path(&Method::DELETE, QUARANTINE, release)
}
