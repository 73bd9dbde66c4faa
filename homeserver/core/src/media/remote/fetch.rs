//! One file of another server, as it comes.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream::BoxStream};
use ruma::{
    ServerName,
    api::federation::authenticated_media::get_content::v1 as download,
    exports::http::{HeaderMap, Method, Request, header},
    http_headers::ContentDisposition,
};
use url::Url;

use super::multipart::{Headers, Multipart};
use crate::{
    Error, Result,
    federation::{Remote, RemoteError},
    media::{Meta, no_media},
    outgoing::{BodyStream, OutgoingError},
};

/// Time for a whole file.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Longest time that another server is asked to wait for an upload of its own.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Bytes of an answer that says why not.
const REFUSAL_MAX: usize = 64 * 1024;
/// Longest content type and file name that are kept, in bytes.
const TEXT_MAX: usize = 1_024;

/// The bytes of a file as they come.
pub(super) type Body = BoxStream<'static, Result<Bytes, String>>;

/// Asks for a file: what the other server says of it, and its bytes.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::NotYetUploaded`]; [`Error::RemoteUnavailable`].
pub(super) async fn open(
    remote: &Remote,
    server: &ServerName,
    media_id: &str,
    timeout: Duration,
) -> Result<(Meta, Body)> {
    let mut request = download::Request::new(media_id.to_owned());
    request.timeout_ms = timeout.min(WAIT_MAX);
    let answer = remote.open(server, request, TIMEOUT).await?;
    let (parts, body) = answer.into_parts();
    if parts.status.is_success() {
        let boundary = boundary(&parts.headers);
        let boundary = boundary.ok_or_else(|| unreadable("it is not in parts"))?;
        return read(remote, Multipart::new(body, &boundary)).await;
    }
    let errcode = errcode(body).await;
    match (parts.status.as_u16(), errcode.as_str()) {
        // From before servers asked each other with signatures.
        (404 | 405, "M_UNRECOGNIZED" | "") => old(remote, server, media_id).await,
        (404, _) => Err(no_media()),
        (_, "M_NOT_YET_UPLOADED") => {
            Err(Error::NotYetUploaded("The file has not been uploaded yet".into()))
        }
        (status, errcode) => {
            Err(Error::RemoteUnavailable(format!("it answered {status} {errcode}")))
        }
    }
}

/// The second part: the file, or where it lies.
async fn read(remote: &Remote, mut parts: Multipart) -> Result<(Meta, Body)> {
    parts.headers().await.map_err(unreadable)?;
    parts.skip_body().await.map_err(unreadable)?;
    let headers = parts.headers().await.map_err(unreadable)?;
    let Some(location) = headers.get("location") else {
        return Ok((meta(&headers), parts.into_body().boxed()));
    };
    let url = Url::parse(location).map_err(|_| unreadable("it leads nowhere"))?;
    let answer = remote.open_document(url, TIMEOUT).await.map_err(failed)?;
    let (parts, body) = answer.into_parts();
    Ok((meta(&Headers::of(&parts.headers)), plain(body)))
}

/// The file at the path from before signatures, which newer servers keep for what was uploaded then.
async fn old(remote: &Remote, server: &ServerName, media_id: &str) -> Result<(Meta, Body)> {
    let path = format!("/_matrix/media/v3/download/{server}/{media_id}?allow_remote=false");
    let request = Request::builder().method(Method::GET).uri(path).body(Vec::new());
    let request = request.map_err(|error| Error::bug(format!("a request for a file: {error}")))?;
    let answer = remote.open_unsigned(server, request, TIMEOUT).await?;
    let (parts, body) = answer.into_parts();
    match parts.status.as_u16() {
        200 => Ok((meta(&Headers::of(&parts.headers)), plain(body))),
        404 => Err(no_media()),
        status => Err(Error::RemoteUnavailable(format!("it answered {status}"))),
    }
}

fn plain(body: BodyStream) -> Body {
    body.map(|bytes| bytes.map_err(|error| error.to_string())).boxed()
}

fn unreadable(why: impl std::fmt::Display) -> Error {
    RemoteError::Malformed(why.to_string()).into()
}

fn failed(error: OutgoingError) -> Error {
    match error {
        OutgoingError::Status(404) => no_media(),
        error => RemoteError::NoAnswer(error).into(),
    }
}

/// The errcode of a refusal; empty if there is none.
async fn errcode(mut body: impl Stream<Item = Result<Bytes, OutgoingError>> + Unpin) -> String {
    let mut text = Vec::new();
    while let Some(Ok(bytes)) = body.next().await {
        if text.len().saturating_add(bytes.len()) > REFUSAL_MAX {
            return String::new();
        }
        text.extend_from_slice(&bytes);
    }
    let refusal: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    let errcode = refusal.get("errcode").and_then(serde_json::Value::as_str);
    errcode.unwrap_or_default().to_owned()
}

/// What is said of the file, as far as it can be kept.
fn meta(headers: &Headers) -> Meta {
    let short = |text: &String| text.len() <= TEXT_MAX;
    let disposition = headers.get("content-disposition");
    let disposition = disposition.and_then(|it| ContentDisposition::try_from(it.as_bytes()).ok());
    Meta {
        content_type: headers.get("content-type").map(str::to_owned).filter(short),
        file_name: disposition.and_then(|it| it.filename).filter(short),
    }
}

/// The boundary of `multipart/mixed` (RFC 2046, 5.1.1).
fn boundary(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let mut parts = kind.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("multipart/mixed") {
        return None;
    }
    let value = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })?;
    ((1..=70).contains(&value.len())).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boundary_is_found() {
        let of = |kind: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
            boundary(&headers)
        };
        assert_eq!(of("multipart/mixed; boundary=abc").as_deref(), Some("abc"));
        assert_eq!(of("Multipart/Mixed; x=y; Boundary=\"a b\"").as_deref(), Some("a b"));
        for bad in ["multipart/mixed", "image/png; boundary=a", "multipart/mixed; boundary="] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
