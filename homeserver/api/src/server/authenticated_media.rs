//! `GET /_matrix/federation/v1/media/download/{mediaId}`
//! `GET /_matrix/federation/v1/media/thumbnail/{mediaId}`
//!
//! Files of this server's users for other servers, in two parts: metadata (none are known) and the file.
//! Files of third servers are never handed on.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#content-repository>

use std::fmt::Write;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderValue, header};
use pli_core::{
    Media,
    federation::{Signed, Use},
    media::File,
};
use ruma::{
    ServerName,
    api::federation::authenticated_media::{
        get_content::v1 as content, get_content_thumbnail::v1 as thumbnail,
    },
};

use super::FromServer;
use crate::{
    Result, Routes,
    client::media::{described, fit},
    state::ServerInfo,
};

async fn require(signed: &Signed, origin: &ServerName) -> Result<()> {
    Ok(signed.partners().require(origin, Use::Media).await?)
}

/// The file as the second of two parts, streamed from the disk.
async fn in_parts(media: &Media, file: &File) -> Result<Response> {
    // Long and random enough that no file has it.
    let boundary = format!("{:032x}", rand::random::<u128>());
    let mut head = format!(
        "--{boundary}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n--{boundary}\r\n"
    );
    for (name, value) in described(file) {
        let value = value.to_str().unwrap_or_default();
        // A string takes everything.
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("\r\n");
    let tail = format!("\r\n--{boundary}--\r\n");
    let around = u64::try_from(head.len().saturating_add(tail.len())).unwrap_or(u64::MAX);
    let length = file.size_bytes.saturating_add(around);
    let part = |text: String| stream::once(async { Ok(Bytes::from(text)) });
    let body = part(head).chain(media.read(file, None).await?).chain(part(tail));
    let mut response = Body::from_stream(body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if let Ok(kind) = HeaderValue::try_from(format!("multipart/mixed; boundary={boundary}")) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    Ok(response)
}

async fn download(
    State(signed): State<Signed>,
    State(media): State<Media>,
    State(server): State<ServerInfo>,
    FromServer { origin, request }: FromServer<content::Request>,
) -> Result<Response> {
    require(&signed, &origin).await?;
    let file = media.file(&server.server_name, &request.media_id, request.timeout_ms).await?;
    in_parts(&media, &file).await
}

async fn thumbnail(
    State(signed): State<Signed>,
    State(media): State<Media>,
    State(server): State<ServerInfo>,
    FromServer { origin, request }: FromServer<thumbnail::Request>,
) -> Result<Response> {
    require(&signed, &origin).await?;
    let fit = fit((request.width, request.height, request.method, request.animated))?;
    let place = (&*server.server_name, request.media_id.as_str());
    let file = media.thumbnail(place, fit, request.timeout_ms).await?;
    in_parts(&media, &file).await
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(download).ruma(thumbnail)
}
