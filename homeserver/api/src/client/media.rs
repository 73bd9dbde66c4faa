//! `GET /_matrix/client/v1/media/config`
//! `GET /_matrix/client/v1/media/download/{serverName}/{mediaId}`
//! `GET /_matrix/client/v1/media/download/{serverName}/{mediaId}/{fileName}`
//! `GET /_matrix/client/v1/media/thumbnail/{serverName}/{mediaId}`
//! `GET /_matrix/media/v3/config`
//! `GET /_matrix/media/v3/download/{serverName}/{mediaId}`
//! `GET /_matrix/media/v3/download/{serverName}/{mediaId}/{fileName}`
//! `GET /_matrix/media/v3/thumbnail/{serverName}/{mediaId}`
//!
//! The paths below `/_matrix/media/` without a token are served if the configuration says so only.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#content-repository>

#![expect(deprecated, reason = "the paths from before v1.11 are served too")]

use std::{ops::Range, time::Duration};

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use pli_core::media::{File, Fit, Media, Method, Size};
use ruma::{
    ServerName, UInt,
    api::client::{
        authenticated_media as authenticated,
        media::{self as legacy},
    },
    http_headers::{ContentDisposition, ContentDispositionType},
};

use crate::{Result, Routes, Ruma, User, state::ServerInfo};

/// Types that browsers show without running anything
/// (<https://spec.matrix.org/v1.19/client-server-api/#serving-inline-content>).
const INLINE: [&str; 26] = [
    "text/css", "text/plain", "text/csv", "application/json", "application/ld+json", "image/jpeg",
    "image/gif", "image/png", "image/apng", "image/webp", "image/avif", "video/mp4", "video/webm",
    "video/ogg", "video/quicktime", "audio/mp4", "audio/webm", "audio/aac", "audio/mpeg",
    "audio/ogg", "audio/wave", "audio/wav", "audio/x-wav", "audio/x-pn-wav", "audio/flac",
    "audio/x-flac",
];

/// What a browser may do with a file: nothing.
const CONTENT_SECURITY_POLICY: &str = "sandbox; default-src 'none'; script-src 'none'; \
     plugin-types application/pdf; style-src 'unsafe-inline'; object-src 'self';";

/// Who may read files, and which: everyone with a token; others those of this server, if it allows it.
fn require_open(server: &ServerInfo, of: &ServerName) -> Result<()> {
    // Nobody without a token makes this server ask others.
    if server.config.media.allow_unauthenticated && server.server_name == of {
        Ok(())
    } else {
        let text = "Files are served at the authenticated paths below /_matrix/client/v1/media";
        Err(pli_core::Error::not_found(text).into())
    }
}

/// Which file, and how long it may take to come.
struct Wanted<'a> {
    place: (&'a ServerName, &'a str),
    name: Option<String>,
    timeout: Duration,
}

async fn send(media: &Media, wanted: Wanted<'_>, headers: &HeaderMap) -> Result<Response> {
    let (server_name, media_id) = wanted.place;
    let mut file = media.file(server_name, media_id, wanted.timeout).await?;
    if wanted.name.is_some() {
        file.file_name = wanted.name;
    }
    answer(media, &file, headers).await
}

/// Width, height, method, and whether it may be animated, as requests say it.
type WantedFit = (UInt, UInt, Option<ruma::media::Method>, Option<bool>);

/// What a thumbnail is to be.
pub(crate) fn fit((width, height, method, animated): WantedFit) -> Result<Fit> {
    let side = |side: UInt| u32::try_from(u64::from(side)).unwrap_or(u32::MAX);
    let size = Size { width: side(width), height: side(height) };
    let method = match method {
        Some(ruma::media::Method::Crop) => Method::Crop,
        Some(ruma::media::Method::Scale) | None => Method::Scale,
        Some(_) => return Err(pli_core::Error::invalid_param("There is no such method").into()),
    };
    Ok(Fit { size, method, animated: animated.unwrap_or(false) })
}

async fn send_thumbnail(
    media: &Media,
    wanted: Wanted<'_>,
    wanted_fit: WantedFit,
    headers: &HeaderMap,
) -> Result<Response> {
    let fit = fit(wanted_fit)?;
    let file = media.thumbnail(wanted.place, fit, wanted.timeout).await?;
    answer(media, &file, headers).await
}

/// The file as an answer: whole, or the one range that was asked for.
async fn answer(media: &Media, file: &File, headers: &HeaderMap) -> Result<Response> {
    let wanted = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let range = match wanted.map(|wanted| parse_range(wanted, file.size_bytes)) {
        Some(Some(Ok(range))) => Some(range),
        Some(Some(Err(NotSatisfiable))) => {
            let total = [(header::CONTENT_RANGE, format!("bytes */{}", file.size_bytes))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, total).into_response());
        }
        Some(None) | None => None,
    };
    let length = range.as_ref().map_or(file.size_bytes, |range| range.end.saturating_sub(range.start));
    let stream = media.read(file, range.clone()).await?;
    let mut response = Body::from_stream(stream).into_response();
    let out = response.headers_mut();
    out.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    describe(file, out);
    if let Some(range) = range {
        let last = range.end.saturating_sub(1);
        let shown = format!("bytes {}-{last}/{}", range.start, file.size_bytes);
        if let Ok(value) = HeaderValue::try_from(shown) {
            out.insert(header::CONTENT_RANGE, value);
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// The headers: what the file is, and that nothing in it may act.
fn describe(file: &File, headers: &mut HeaderMap) {
    headers.extend(described(file));
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "private, max-age=86400, immutable"),
        (header::ACCEPT_RANGES, "bytes"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// What the file is.
pub(crate) fn described(file: &File) -> [(HeaderName, HeaderValue); 2] {
    let given = file.content_type.as_deref().and_then(|kind| HeaderValue::try_from(kind).ok());
    let unknown = HeaderValue::from_static("application/octet-stream");
    let kind = if is_inline(file.content_type.as_deref()) {
        ContentDispositionType::Inline
    } else {
        ContentDispositionType::Attachment
    };
    let disposition = ContentDisposition::new(kind).with_filename(file.file_name.clone());
    let disposition = HeaderValue::try_from(disposition.to_string());
    let plain = HeaderValue::from_static("attachment");
    [
        (header::CONTENT_TYPE, given.unwrap_or(unknown)),
        (header::CONTENT_DISPOSITION, disposition.unwrap_or(plain)),
    ]
}

fn is_inline(content_type: Option<&str>) -> bool {
    let essence = content_type.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    INLINE.contains(&essence.as_str())
}

struct NotSatisfiable;

/// One range of bytes (RFC 9110, 14.2); `None` for anything else, which is answered with the whole.
fn parse_range(text: &str, size: u64) -> Option<Result<Range<u64>, NotSatisfiable>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let range = if first.is_empty() {
        size.saturating_sub(number(last)?)..size
    } else if last.is_empty() {
        number(first)?..size
    } else {
        let (first, last) = (number(first)?, number(last)?);
        if last < first {
            return None;
        }
        first..last.saturating_add(1).min(size)
    };
    Some(if range.start < range.end { Ok(range) } else { Err(NotSatisfiable) })
}

async fn download(
    State(media): State<Media>,
    _: User,
    headers: HeaderMap,
    Ruma(request): Ruma<authenticated::get_content::v1::Request>,
) -> Result<Response> {
    let place = (&*request.server_name, request.media_id.as_str());
    let wanted = Wanted { place, name: None, timeout: request.timeout_ms };
    send(&media, wanted, &headers).await
}

async fn download_named(
    State(media): State<Media>,
    _: User,
    headers: HeaderMap,
    Ruma(request): Ruma<authenticated::get_content_as_filename::v1::Request>,
) -> Result<Response> {
    let place = (&*request.server_name, request.media_id.as_str());
    let wanted = Wanted { place, name: Some(request.filename), timeout: request.timeout_ms };
    send(&media, wanted, &headers).await
}

async fn thumbnail(
    State(media): State<Media>,
    _: User,
    headers: HeaderMap,
    Ruma(request): Ruma<authenticated::get_content_thumbnail::v1::Request>,
) -> Result<Response> {
    let place = (&*request.server_name, request.media_id.as_str());
    let wanted = Wanted { place, name: None, timeout: request.timeout_ms };
    let size = (request.width, request.height, request.method, request.animated);
    send_thumbnail(&media, wanted, size, &headers).await
}

async fn open_download(
    State(media): State<Media>,
    State(server): State<ServerInfo>,
    headers: HeaderMap,
    Ruma(request): Ruma<legacy::get_content::v3::Request>,
) -> Result<Response> {
    require_open(&server, &request.server_name)?;
    let place = (&*request.server_name, request.media_id.as_str());
    let wanted = Wanted { place, name: None, timeout: request.timeout_ms };
    send(&media, wanted, &headers).await
}

async fn open_download_named(
    State(media): State<Media>,
    State(server): State<ServerInfo>,
    headers: HeaderMap,
    Ruma(request): Ruma<legacy::get_content_as_filename::v3::Request>,
) -> Result<Response> {
    require_open(&server, &request.server_name)?;
    let place = (&*request.server_name, request.media_id.as_str());
    let wanted = Wanted { place, name: Some(request.filename), timeout: request.timeout_ms };
    send(&media, wanted, &headers).await
}

async fn open_thumbnail(
    State(media): State<Media>,
    State(server): State<ServerInfo>,
    headers: HeaderMap,
    Ruma(request): Ruma<legacy::get_content_thumbnail::v3::Request>,
) -> Result<Response> {
    require_open(&server, &request.server_name)?;
    let place = (&*request.server_name, request.media_id.as_str());
    let wanted = Wanted { place, name: None, timeout: request.timeout_ms };
    let size = (request.width, request.height, request.method, request.animated);
    send_thumbnail(&media, wanted, size, &headers).await
}

async fn config(
    State(media): State<Media>,
    _: User,
    Ruma(_): Ruma<authenticated::get_media_config::v1::Request>,
) -> Ruma<authenticated::get_media_config::v1::Response> {
    let limit = UInt::new_saturating(media.upload_limit_bytes());
    Ruma(authenticated::get_media_config::v1::Response::new(limit))
}

async fn legacy_config(
    State(media): State<Media>,
    _: User,
    Ruma(_): Ruma<legacy::get_media_config::v3::Request>,
) -> Ruma<legacy::get_media_config::v3::Response> {
    let limit = UInt::new_saturating(media.upload_limit_bytes());
    Ruma(legacy::get_media_config::v3::Response::new(limit))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .ruma(config)
        .ruma(download)
        .ruma(download_named)
        .ruma(thumbnail)
        .ruma(legacy_config)
        .ruma(open_download)
        .ruma(open_download_named)
        .ruma(open_thumbnail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Option<Option<(u64, u64)>> {
        parse_range(text, 10).map(|range| range.ok().map(|range| (range.start, range.end)))
    }

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        assert_eq!(range("bytes=0-3"), Some(Some((0, 4))));
        assert_eq!(range("bytes=8-99"), Some(Some((8, 10))));
        assert_eq!(range("bytes=4-"), Some(Some((4, 10))));
        assert_eq!(range("bytes=-3"), Some(Some((7, 10))));
        assert_eq!(range("bytes=-99"), Some(Some((0, 10))));
        assert_eq!(range("bytes=10-"), Some(None));
        assert_eq!(range("bytes=-0"), Some(None));
        for whole in ["bytes=3-1", "bytes=a-b", "bytes=0-1,3-4", "lines=0-1", "bytes", "bytes=+1-2"] {
            assert_eq!(range(whole), None, "{whole}");
        }
    }

    #[test]
    fn only_safe_types_are_shown_and_nothing_acts() {
        for (kind, inline) in [
            ("image/png", true),
            ("IMAGE/PNG", true),
            ("text/plain; charset=utf-8", true),
            ("text/html", false),
            ("Text/HTML", false),
            ("image/svg+xml", false),
            ("application/pdf", false),
            ("text/html;image/png", false),
            ("", false),
        ] {
            assert_eq!(is_inline(Some(kind)), inline, "{kind}");
        }
        assert!(!is_inline(None));
    }
}
