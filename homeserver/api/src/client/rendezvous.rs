//! `POST /_matrix/client/unstable/org.matrix.msc4108/rendezvous`
//! `GET /_matrix/client/unstable/org.matrix.msc4108/rendezvous/{id}`
//! `PUT /_matrix/client/unstable/org.matrix.msc4108/rendezvous/{id}`
//! `DELETE /_matrix/client/unstable/org.matrix.msc4108/rendezvous/{id}`
//! `GET /_matrix/client/unstable/io.element.msc4388/rendezvous`
//! `POST /_matrix/client/unstable/io.element.msc4388/rendezvous`
//! `GET /_matrix/client/unstable/io.element.msc4388/rendezvous/{id}`
//! `PUT /_matrix/client/unstable/io.element.msc4388/rendezvous/{id}`
//! `DELETE /_matrix/client/unstable/io.element.msc4388/rendezvous/{id}`
//!
//! Mailboxes in which two devices of a person meet: MSC4108 (the version of 2024, with entity tags) and
//! MSC4388 (with sequence tokens).

use std::time::{Duration, UNIX_EPOCH};

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pli_core::{
    Error, Rendezvous,
    rendezvous::{CONTENT_BYTES, Mailbox, WriteError},
};
use pli_schema::limits;
use ruma::http_headers::system_time_to_http_date;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Json, Result, Routes, error::plain, state::ServerInfo};

const WITH_TAGS: &str = "/_matrix/client/unstable/org.matrix.msc4108/rendezvous";
const WITH_SEQUENCES: &str = "/_matrix/client/unstable/io.element.msc4388/rendezvous";

fn not_found() -> Response {
    plain(StatusCode::NOT_FOUND, "M_NOT_FOUND", "There is no such mailbox, or not any more")
}

fn refused(error: WriteError, concurrent: StatusCode) -> Response {
    match error {
        WriteError::NotFound => not_found(),
        WriteError::TooLarge => {
            plain(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", "At most 4096 bytes")
        }
        WriteError::Concurrent => {
            plain(concurrent, "M_CONCURRENT_WRITE", "Somebody else has written in between")
        }
    }
}

fn tag(mailbox: &Mailbox) -> String {
    format!("\"{}\"", mailbox.sequence)
}

/// An answer with what the headers say of a mailbox. Pages in browsers read the tag.
fn described(mailbox: &Mailbox, response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    let headers = response.headers_mut();
    let date = |ms| system_time_to_http_date(&(UNIX_EPOCH + Duration::from_millis(ms))).ok();
    let dated = [
        (header::EXPIRES, date(mailbox.expires_at_ms)),
        (header::LAST_MODIFIED, date(mailbox.modified_ms)),
        (header::ETAG, HeaderValue::from_str(&tag(mailbox)).ok()),
    ];
    for (name, value) in dated {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::PRAGMA, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "ETag, Expires, Last-Modified"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn text(headers: &HeaderMap, body: &Bytes) -> Result<String> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("text/plain")) {
        return Err(Error::invalid_param("Content-Type must be text/plain").into());
    }
    if body.len() > CONTENT_BYTES {
        return Err(Error::too_large("At most 4096 bytes").into());
    }
    let text = std::str::from_utf8(body).map_err(|_| Error::invalid_param("No UTF-8"))?;
    Ok(text.to_owned())
}

async fn create(
    State(boxes): State<Rendezvous>,
    State(server): State<ServerInfo>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    match boxes.create(&text(&headers, &body)?) {
        Ok(mailbox) => {
            let url = format!("{}{WITH_TAGS}/{}", server.base_url, mailbox.id);
            let body = (StatusCode::CREATED, axum::Json(json!({ "url": url })));
            Ok(described(&mailbox, body))
        }
        Err(error) => Ok(refused(error, StatusCode::PRECONDITION_FAILED)),
    }
}

async fn read(
    State(boxes): State<Rendezvous>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(mailbox) = boxes.read(&id) else {
        return not_found();
    };
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| known == tag(&mailbox)) {
        return described(&mailbox, StatusCode::NOT_MODIFIED);
    }
    let kind = [(header::CONTENT_TYPE, "text/plain")];
    described(&mailbox, (kind, mailbox.content.clone()))
}

async fn write(
    State(boxes): State<Rendezvous>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let Some(known) = headers.get(header::IF_MATCH) else {
        return Err(Error::missing_param("If-Match is missing").into());
    };
    let known = known.to_str().unwrap_or_default().trim_matches('"');
    let text = text(&headers, &body)?;
    Ok(match boxes.write(&id, known, &text) {
        Ok(mailbox) => described(&mailbox, StatusCode::ACCEPTED),
        Err(error) => refused(error, StatusCode::PRECONDITION_FAILED),
    })
}

async fn remove(State(boxes): State<Rendezvous>, Path(id): Path<String>) -> Response {
    if boxes.remove(&id) { StatusCode::NO_CONTENT.into_response() } else { not_found() }
}

#[derive(Deserialize)]
struct Content {
    data: String,
    sequence_token: Option<String>,
}

fn remaining(boxes: &Rendezvous, mailbox: &Mailbox) -> u64 {
    mailbox.expires_at_ms.saturating_sub(boxes.now_ms())
}

async fn available() -> axum::Json<Value> {
    axum::Json(json!({ "create_available": true }))
}

async fn create_sequence(
    State(boxes): State<Rendezvous>,
    Json(content): Json<Content>,
) -> Response {
    match boxes.create(&content.data) {
        Ok(mailbox) => axum::Json(json!({
            "id": mailbox.id,
            "sequence_token": mailbox.sequence,
            "expires_in_ms": remaining(&boxes, &mailbox),
        }))
        .into_response(),
        Err(error) => refused(error, StatusCode::CONFLICT),
    }
}

/// A browser that is led here by a link shows nothing: what is in the mailbox is anybody's.
fn is_navigation(headers: &HeaderMap) -> bool {
    let is = |name, expected: &str| headers.get(name).is_some_and(|value| value == expected);
    is("sec-fetch-mode", "navigate") || is("sec-fetch-dest", "document")
}

async fn read_sequence(
    State(boxes): State<Rendezvous>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    if is_navigation(&headers) {
        return Err(Error::forbidden("Not for browsing").into());
    }
    Ok(match boxes.read(&id) {
        Some(mailbox) => axum::Json(json!({
            "data": mailbox.content,
            "sequence_token": mailbox.sequence,
            "expires_in_ms": remaining(&boxes, &mailbox),
        }))
        .into_response(),
        None => not_found(),
    })
}

async fn write_sequence(
    State(boxes): State<Rendezvous>,
    Path(id): Path<String>,
    Json(content): Json<Content>,
) -> Result<Response> {
    let Some(sequence) = content.sequence_token else {
        return Err(Error::missing_param("sequence_token is missing").into());
    };
    Ok(match boxes.write(&id, &sequence, &content.data) {
        Ok(mailbox) => axum::Json(json!({ "sequence_token": mailbox.sequence })).into_response(),
        Err(error) => refused(error, StatusCode::CONFLICT),
    })
}

async fn remove_sequence(State(boxes): State<Rendezvous>, Path(id): Path<String>) -> Response {
    if boxes.remove(&id) { axum::Json(json!({})).into_response() } else { not_found() }
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let (tags, sequences) = (format!("{WITH_TAGS}/{{id}}"), format!("{WITH_SEQUENCES}/{{id}}"));
    routes
        .body_limit(16 * 1024)
        .path(&Method::POST, WITH_TAGS, create)
        .path(&Method::GET, &tags, read)
        .path(&Method::PUT, &tags, write)
        .path(&Method::DELETE, &tags, remove)
        .path(&Method::GET, WITH_SEQUENCES, available)
        // JSON may write each byte with six.
        .body_limit(64 * 1024)
        .path(&Method::POST, WITH_SEQUENCES, create_sequence)
        .path(&Method::GET, &sequences, read_sequence)
        .path(&Method::PUT, &sequences, write_sequence)
        .path(&Method::DELETE, &sequences, remove_sequence)
        .body_limit(limits::BODY_BYTES)
}
