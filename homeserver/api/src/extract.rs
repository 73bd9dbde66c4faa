//! Requests into ruma's types, ruma's answers into responses.

use axum::{
    RequestExt,
    body::Body,
    extract::{FromRequest, RawPathParams, Request},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{Method, header};
use http_body_util::{BodyExt, LengthLimitError};
use pli_core::Error as Core;
use ruma::api::{
    IncomingRequest, IncomingRequestExt, OutgoingResponse, OutgoingResponseExt,
    error::{DeserializationError, FromHttpRequestError},
};

use crate::{AppState, Error, error::plain};

/// A request (as the last argument of a handler) or an answer (as its result) of ruma's types.
///
/// Identity is not in here: a handler takes [`crate::User`] or another identity before it.
#[derive(Clone, Debug)]
pub struct Ruma<T>(pub T);

impl<T: IncomingRequest + Send> FromRequest<AppState> for Ruma<T> {
    type Rejection = Error;

    async fn from_request(mut request: Request, _: &AppState) -> Result<Self, Error> {
        let params: RawPathParams = request
            .extract_parts()
            .await
            .map_err(|_| Core::invalid_param("A path parameter is not UTF-8"))?;
        let args: Vec<&str> = params.iter().map(|(_, value)| value).collect();
        let (parts, body) = request.with_limited_body().into_parts();
        let body = read_body(body).await?;
        let bytes = or_empty_object(body, &parts.method, parts.uri.path())?;
        refuse_what_is_no_json(&bytes, &parts)?;
        let request = http::Request::from_parts(parts, bytes.as_ref());
        T::try_from_http_request(request, &args).map(Self).map_err(|error| refusal(&error).into())
    }
}

/// Clients leave the body out where the specification has an object without required members
/// (matrix-nio when it joins, matrix-js-sdk when it logs out, bots with receipts): that is an empty
/// object. Not so where an empty object would make something: a room, an event, account data.
fn or_empty_object(body: Bytes, method: &Method, path: &str) -> Result<Bytes, Error> {
    const MAKES: [&str; 3] = ["/account_data/", "/send/", "/state/"];
    if !body.is_empty() || *method == Method::GET {
        return Ok(body);
    }
    let is_put = *method == Method::PUT;
    if path.ends_with("/createRoom") || (is_put && MAKES.iter().any(|part| path.contains(part))) {
        return Err(Core::NotJson("There is no body".into()).into());
    }
    Ok(Bytes::from_static(b"{}"))
}

/// The whole body, up to the limit of the route.
pub(crate) async fn read_body(body: Body) -> Result<Bytes, Error> {
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => {
            let mut cause: Option<&dyn std::error::Error> = Some(&error);
            while let Some(inner) = cause {
                if inner.is::<LengthLimitError>() {
                    return Err(Core::too_large("The request is too large").into());
                }
                cause = inner.source();
            }
            Err(Core::NotJson("The body ended too early".into()).into())
        }
    }
}

/// The whole body must be JSON, also the parts that the endpoint passes over or keeps as they came.
///
/// Half of a surrogate pair (`"\ud800"`) is no text: kept, it would reach other clients, whose parsers
/// refuse it. A body with an escaped surrogate is therefore parsed whole.
pub(crate) fn refuse_what_is_no_json(
    body: &[u8],
    parts: &http::request::Parts,
) -> Result<(), Error> {
    if body.is_empty() || parts.uri.path().contains("/media/") {
        return Ok(());
    }
    if std::str::from_utf8(body).is_err() {
        return Err(Core::NotJson("The body is not UTF-8".into()).into());
    }
    let has_surrogate = body.windows(3).any(|window| matches!(window, [b'\\', b'u', b'd' | b'D']));
    let parsed = if has_surrogate {
        serde_json::from_slice::<serde_json::Value>(body).map(drop)
    } else {
        serde_json::from_slice::<serde::de::IgnoredAny>(body).map(drop)
    };
    parsed.map_err(|error| not_what(&error).into())
}

/// Why ruma did not take a request, in the specification's terms.
pub(crate) fn refusal(error: &FromHttpRequestError) -> Core {
    match error {
        FromHttpRequestError::Deserialization(error) => deserialization(error),
        _ => Core::Unrecognized,
    }
}

fn deserialization(error: &DeserializationError) -> Core {
    match error {
        DeserializationError::Json(error) => not_what(error),
        DeserializationError::Query(error) => parameter(&error.to_string()),
        DeserializationError::Header(error) => parameter(&error.to_string()),
        other => Core::InvalidParam(other.to_string()),
    }
}

/// No JSON at all, or JSON of another shape ("e.g. missing required keys").
fn not_what(error: &serde_json::Error) -> Core {
    if error.is_data() {
        Core::BadJson(error.to_string())
    } else {
        Core::NotJson(error.to_string())
    }
}

fn parameter(text: &str) -> Core {
    if text.starts_with("missing ") {
        Core::MissingParam(text.to_owned())
    } else {
        Core::InvalidParam(text.to_owned())
    }
}

/// A JSON body of a type that is not ruma's. An empty body counts as `{}`.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

impl<T: serde::de::DeserializeOwned> FromRequest<AppState> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &AppState) -> Result<Self, Error> {
        let (parts, body) = request.with_limited_body().into_parts();
        let bytes = read_body(body).await?;
        refuse_what_is_no_json(&bytes, &parts)?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text).map(Self).map_err(|error| not_what(&error).into())
    }
}

impl<T: serde::Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => RawJson(bytes.into()).into_response(),
            Err(error) => Error(Core::Bug(format!("answer: {error}"))).into_response(),
        }
    }
}

impl<T: OutgoingResponse> IntoResponse for Ruma<T> {
    fn into_response(self) -> Response {
        match self.0.try_into_http_response::<Vec<u8>>() {
            Ok(response) => response.map(Body::from),
            Err(error) => Error(Core::Bug(format!("answer: {error}"))).into_response(),
        }
    }
}

/// JSON that is ready: goes out as it is.
#[derive(Clone, Debug)]
pub struct RawJson(pub Bytes);

impl IntoResponse for RawJson {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

/// The answer to a path that the server does not know.
pub(crate) async fn unknown_path() -> Response {
    plain(http::StatusCode::NOT_FOUND, "M_UNRECOGNIZED", "Unrecognized request")
}

/// The answer to a method that a known path does not take.
pub(crate) async fn wrong_method() -> Response {
    plain(http::StatusCode::METHOD_NOT_ALLOWED, "M_UNRECOGNIZED", "Unrecognized method")
}
