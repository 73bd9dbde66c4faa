//! `GET /_pli/admin/v1/media`
//! `GET /_pli/admin/v1/media/{mediaId}`
//! `DELETE /_pli/admin/v1/media/{mediaId}`
//! `PUT /_pli/admin/v1/media/{mediaId}/quarantine`
//! `DELETE /_pli/admin/v1/media/{mediaId}/quarantine`
//! `DELETE /_pli/admin/v1/users/{userId}/media`
//!
//! The files of this server. `?user_id=` lists those of one user, the newest first; `?from=` is the
//! `next` of the page before, `?limit=` at most 200. A quarantine is of the content: nobody gets it any
//! more under any identifier. Deleting the files of a user deletes up to 200 of them and says how many;
//! 0 is the end.

use axum::extract::{Path, Query, State, rejection::QueryRejection};
use http::Method;
use pli_core::{
    Error, Media,
    media::{Entry, Page},
};
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Admin, Json, Result, Routes, state::ServerInfo};

const ONE: &str = "/_pli/admin/v1/media/{mediaId}";
const QUARANTINE: &str = "/_pli/admin/v1/media/{mediaId}/quarantine";
const OF_USER: &str = "/_pli/admin/v1/users/{userId}/media";
/// Files in a page whose size nobody said.
const PAGE_DEFAULT: usize = 50;

#[derive(Deserialize)]
struct Wanted {
    user_id: Option<String>,
    from: Option<String>,
    limit: Option<usize>,
}

fn user(text: &str) -> Result<OwnedUserId, Error> {
    UserId::parse(text).map_err(|_| Error::invalid_param("This is not a user id"))
}

fn shown(server: &ServerInfo, entry: &Entry) -> Value {
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    put("media_id", entry.media_id.as_str().into());
    put("uri", format!("mxc://{}/{}", server.server_name, entry.media_id).into());
    put("uploader", entry.record.uploader.as_str().into());
    put("created_ms", entry.record.created_ms.into());
    if let Some(content) = &entry.record.content {
        put("size_bytes", content.size_bytes.into());
        if let Some(content_type) = &content.content_type {
            put("content_type", content_type.as_str().into());
        }
        if let Some(file_name) = &content.file_name {
            put("file_name", file_name.as_str().into());
        }
    }
    if let Some(quarantine) = &entry.quarantine {
        put("quarantined_by", quarantine.by.as_str().into());
        put("quarantined_at_ms", quarantine.at_ms.into());
    }
    Value::Object(out)
}

async fn list(
    State(media): State<Media>,
    State(server): State<ServerInfo>,
    _: Admin,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Value>> {
    let Query(wanted) = query.map_err(|_| Error::invalid_param("`limit` is a number"))?;
    let user_id = wanted.user_id.as_deref().map(user).transpose()?;
    let limit = wanted.limit.unwrap_or(PAGE_DEFAULT);
    let page = media.list(user_id.as_deref(), wanted.from.as_deref(), limit).await?;
    let Page { entries, next } = page;
    let entries: Vec<Value> = entries.iter().map(|entry| shown(&server, entry)).collect();
    let mut answer = json!({ "media": entries });
    if let Some(next) = next {
        answer["next"] = next.into();
    }
    if let Some(user_id) = user_id {
        let usage = media.usage(&user_id).await?;
        answer["usage"] = json!({ "files": usage.files, "bytes": usage.bytes });
    }
    Ok(Json(answer))
}

async fn show(
    State(media): State<Media>,
    State(server): State<ServerInfo>,
    _: Admin,
    Path(media_id): Path<String>,
) -> Result<Json<Value>> {
    Ok(Json(shown(&server, &media.known(&media_id).await?)))
}

async fn delete(
    State(media): State<Media>,
    admin: Admin,
    Path(media_id): Path<String>,
) -> Result<Json<Value>> {
    media.delete(admin.user_id(), &media_id).await?;
    Ok(Json(json!({})))
}

async fn quarantine(
    State(media): State<Media>,
    admin: Admin,
    Path(media_id): Path<String>,
) -> Result<Json<Value>> {
    media.quarantine(admin.user_id(), &media_id, true).await?;
    Ok(Json(json!({})))
}

async fn release(
    State(media): State<Media>,
    admin: Admin,
    Path(media_id): Path<String>,
) -> Result<Json<Value>> {
    media.quarantine(admin.user_id(), &media_id, false).await?;
    Ok(Json(json!({})))
}

async fn delete_of_user(
    State(media): State<Media>,
    admin: Admin,
    Path(user_id): Path<String>,
) -> Result<Json<Value>> {
    let deleted = media.delete_of(admin.user_id(), &user(&user_id)?).await?;
    Ok(Json(json!({ "deleted": deleted })))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .path(&Method::GET, "/_pli/admin/v1/media", list)
        .path(&Method::GET, ONE, show)
        .path(&Method::DELETE, ONE, delete)
        .path(&Method::PUT, QUARANTINE, quarantine)
        .path(&Method::DELETE, QUARANTINE, release)
        .path(&Method::DELETE, OF_USER, delete_of_user)
}
