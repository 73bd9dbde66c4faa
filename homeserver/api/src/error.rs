//! The one table from the core's errors to Matrix errors.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#standard-error-response>. Internal detail
//! never reaches the client: it travels beside the response to the request log ([`Internal`]).

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use pli_core::{Error as Core, StoreError, error::PingFailure};
use serde_json::{Map, Value, json};

/// The result of a handler.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error on its way to the client: a decision of the core, or of the api itself.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] pub Core);

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self(Core::Store(error))
    }
}

/// Detail of a failure for the log, carried as an extension of the response.
#[derive(Clone, Debug)]
pub struct Internal(pub String);

/// The errcode of a response, carried as an extension for the log and the metrics.
#[derive(Clone, Copy, Debug)]
pub struct Errcode(pub &'static str);

/// The field in which answers about delayed events have their errcode.
const MSC4140_ERRCODE: &str = "org.matrix.msc4140.errcode";

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The Matrix errcode; empty for user-interactive authentication, whose body has its own form.
    pub errcode: &'static str,
}

const fn row(status: StatusCode, errcode: &'static str) -> Answer {
    Answer { status, errcode }
}

/// Status and errcode of each error. Exhaustive on purpose: a new decision needs its row.
#[must_use]
pub fn answer(error: &Core) -> Answer {
    use StatusCode as S;
    match error {
        Core::Forbidden(_) => row(S::FORBIDDEN, "M_FORBIDDEN"),
        Core::GuestAccessForbidden(_) => row(S::FORBIDDEN, "M_GUEST_ACCESS_FORBIDDEN"),
        Core::NotFound(_) => row(S::NOT_FOUND, "M_NOT_FOUND"),
        Core::MissingToken => row(S::UNAUTHORIZED, "M_MISSING_TOKEN"),
        Core::UnknownToken { .. } => row(S::UNAUTHORIZED, "M_UNKNOWN_TOKEN"),
        Core::BadJson(_) => row(S::BAD_REQUEST, "M_BAD_JSON"),
        Core::NotJson(_) => row(S::BAD_REQUEST, "M_NOT_JSON"),
        Core::MissingParam(_) => row(S::BAD_REQUEST, "M_MISSING_PARAM"),
        Core::InvalidParam(_) => row(S::BAD_REQUEST, "M_INVALID_PARAM"),
        Core::Unrecognized => row(S::NOT_FOUND, "M_UNRECOGNIZED"),
        Core::Unauthorized(_) => row(S::UNAUTHORIZED, "M_UNAUTHORIZED"),
        Core::RemoteUnavailable(_) => row(S::BAD_GATEWAY, "M_UNKNOWN"),
        Core::TooLarge(_) => row(S::PAYLOAD_TOO_LARGE, "M_TOO_LARGE"),
        Core::ProfileTooLarge(_) => row(S::BAD_REQUEST, "M_PROFILE_TOO_LARGE"),
        Core::KeyTooLarge(_) => row(S::BAD_REQUEST, "M_KEY_TOO_LARGE"),
        Core::LimitExceeded { .. } => row(S::TOO_MANY_REQUESTS, "M_LIMIT_EXCEEDED"),
        Core::UserInUse(_) => row(S::BAD_REQUEST, "M_USER_IN_USE"),
        Core::InvalidUsername(_) => row(S::BAD_REQUEST, "M_INVALID_USERNAME"),
        Core::Exclusive(_) => row(S::BAD_REQUEST, "M_EXCLUSIVE"),
        Core::AliasInUse(_) => row(S::CONFLICT, "M_UNKNOWN"),
        Core::InviteBlocked(_) => row(S::FORBIDDEN, "M_INVITE_BLOCKED"),
        Core::RoomInUse(_) => row(S::BAD_REQUEST, "M_ROOM_IN_USE"),
        Core::InvalidRoomState(_) => row(S::BAD_REQUEST, "M_INVALID_ROOM_STATE"),
        Core::UnsupportedRoomVersion(_) => row(S::BAD_REQUEST, "M_UNSUPPORTED_ROOM_VERSION"),
        Core::IncompatibleRoomVersion { .. } => row(S::BAD_REQUEST, "M_INCOMPATIBLE_ROOM_VERSION"),
        Core::BadState(_) => row(S::FORBIDDEN, "M_BAD_STATE"),
        Core::ServerManaged(_) => row(S::METHOD_NOT_ALLOWED, "M_BAD_JSON"),
        Core::BadAlias(_) => row(S::BAD_REQUEST, "M_BAD_ALIAS"),
        Core::ThreepidDenied(_) => row(S::FORBIDDEN, "M_THREEPID_DENIED"),
        Core::ThreepidInUse(_) => row(S::BAD_REQUEST, "M_THREEPID_IN_USE"),
        Core::ThreepidNotFound(_) => row(S::BAD_REQUEST, "M_THREEPID_NOT_FOUND"),
        Core::ThreepidAuthFailed(_) => row(S::BAD_REQUEST, "M_THREEPID_AUTH_FAILED"),
        Core::CannotLeaveServerNoticeRoom(_) => {
            row(S::FORBIDDEN, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM")
        }
        Core::ServerNotTrusted(_) => row(S::BAD_REQUEST, "M_SERVER_NOT_TRUSTED"),
        Core::ThreepidUnverified(_) => row(S::FORBIDDEN, "M_THREEPID_AUTH_FAILED"),
        Core::NoValidSession(_) => row(S::BAD_REQUEST, "M_NO_VALID_SESSION"),
        Core::SessionExpired(_) => row(S::BAD_REQUEST, "M_SESSION_EXPIRED"),
        Core::WeakPassword { errcode, .. } => row(S::BAD_REQUEST, errcode),
        Core::AccountExpired => row(S::FORBIDDEN, "ORG_MATRIX_EXPIRED_ACCOUNT"),
        Core::UserDeactivated => row(S::FORBIDDEN, "M_USER_DEACTIVATED"),
        Core::UserLocked => row(S::UNAUTHORIZED, "M_USER_LOCKED"),
        Core::UserSuspended => row(S::FORBIDDEN, "M_USER_SUSPENDED"),
        Core::WrongRoomKeysVersion { .. } => row(S::FORBIDDEN, "M_WRONG_ROOM_KEYS_VERSION"),
        Core::DuplicateAnnotation(_) => row(S::BAD_REQUEST, "M_DUPLICATE_ANNOTATION"),
        Core::UnableToAuthorizeJoin(_) => row(S::BAD_REQUEST, "M_UNABLE_TO_AUTHORISE_JOIN"),
        Core::UnableToGrantJoin(_) => row(S::BAD_REQUEST, "M_UNABLE_TO_GRANT_JOIN"),
        Core::CannotOverwriteMedia(_) => row(S::CONFLICT, "M_CANNOT_OVERWRITE_MEDIA"),
        Core::NotYetUploaded(_) => row(S::GATEWAY_TIMEOUT, "M_NOT_YET_UPLOADED"),
        Core::UnknownPos => row(S::BAD_REQUEST, "M_UNKNOWN_POS"),
        Core::NotInThread => row(S::BAD_REQUEST, "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD"),
        Core::ConflictingUnsubscription => {
            row(S::CONFLICT, "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION")
        }
        Core::InvalidSignature(_) => row(S::BAD_REQUEST, "M_INVALID_SIGNATURE"),
        Core::MaxDelayExceeded { .. } | Core::MaxDelayedEventsExceeded => {
            row(S::BAD_REQUEST, "M_UNKNOWN")
        }
        Core::DelayedEventFinalised(_) => row(S::CONFLICT, "M_UNKNOWN"),
        Core::UnknownDevice(_) => row(S::BAD_REQUEST, "M_UNKNOWN_DEVICE"),
        Core::Ping(failure) => ping_answer(failure),
        Core::Uia(_) => row(S::UNAUTHORIZED, ""),
        Core::Store(error) => store_answer(error),
        Core::Bug(_) => row(S::INTERNAL_SERVER_ERROR, "M_UNKNOWN"),
    }
}

/// Why a ping failed
/// (<https://spec.matrix.org/v1.19/application-service-api/#post_matrixclientv1appserviceappserviceidping>).
const fn ping_answer(failure: &PingFailure) -> Answer {
    match failure {
        PingFailure::UrlNotSet => row(StatusCode::BAD_REQUEST, "M_URL_NOT_SET"),
        PingFailure::BadStatus { .. } => row(StatusCode::BAD_GATEWAY, "M_BAD_STATUS"),
        PingFailure::ConnectionFailed => row(StatusCode::BAD_GATEWAY, "M_CONNECTION_FAILED"),
        PingFailure::ConnectionTimeout => row(StatusCode::GATEWAY_TIMEOUT, "M_CONNECTION_TIMEOUT"),
    }
}

/// The store's errors: what a client may try again is 503, what it sent too large is its own fault.
const fn store_answer(error: &StoreError) -> Answer {
    match error {
        StoreError::Conflict | StoreError::Closed | StoreError::Full(_) => {
            row(StatusCode::SERVICE_UNAVAILABLE, "M_UNKNOWN")
        }
        StoreError::TooLarge { .. } => row(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE"),
        StoreError::Corrupt(_) | StoreError::Unusable(_) | StoreError::Io(_) => {
            row(StatusCode::INTERNAL_SERVER_ERROR, "M_UNKNOWN")
        }
    }
}

/// The text for the client. Internal errors get one that tells nothing.
fn public_text(error: &Core) -> String {
    match error {
        Core::Store(StoreError::Full(_)) => "The server has no space left; try again later".into(),
        Core::Store(StoreError::Conflict | StoreError::Closed) => "Try again".into(),
        Core::Store(StoreError::TooLarge { .. }) => "Too large to be stored".into(),
        Core::Store(_) | Core::Bug(_) => "Internal server error".into(),
        other => other.to_string(),
    }
}

/// The fields that some errors add to the standard two.
fn extra_fields(error: &Core, fields: &mut Map<String, Value>) {
    match error {
        Core::UnknownToken { soft_logout } => {
            fields.insert("soft_logout".into(), json!(soft_logout));
        }
        // A locked account keeps its sessions: clients must not throw their data away.
        Core::UserLocked => {
            fields.insert("soft_logout".into(), json!(true));
        }
        Core::LimitExceeded { retry_after_ms } => {
            fields.insert("retry_after_ms".into(), json!(retry_after_ms));
        }
        Core::IncompatibleRoomVersion { room_version, .. } => {
            fields.insert("room_version".into(), json!(room_version));
        }
        Core::Ping(PingFailure::BadStatus { status, body }) => {
            fields.insert("status".into(), json!(status));
            fields.insert("body".into(), json!(body));
        }
        // Where clients look for the errcode as long as the proposal is open.
        Core::MaxDelayExceeded { max_delay_ms } => {
            fields.insert(MSC4140_ERRCODE.into(), json!("M_MAX_DELAY_EXCEEDED"));
            fields.insert("org.matrix.msc4140.max_delay".into(), json!(max_delay_ms));
        }
        Core::MaxDelayedEventsExceeded => {
            fields.insert(MSC4140_ERRCODE.into(), json!("M_MAX_DELAYED_EVENTS_EXCEEDED"));
        }
        Core::WrongRoomKeysVersion { current_version } => {
            fields.insert("current_version".into(), json!(current_version));
        }
        _ => {}
    }
}

fn body(error: &Core, errcode: &str) -> Value {
    if let Core::Uia(info) = error {
        // Plain data without maps of odd keys; if it failed to serialize, an empty object would still
        // be a 401 that clients show.
        return serde_json::to_value(info).unwrap_or_else(|_| json!({}));
    }
    let mut fields = Map::new();
    fields.insert("errcode".into(), json!(errcode));
    fields.insert("error".into(), json!(public_text(error)));
    extra_fields(error, &mut fields);
    Value::Object(fields)
}

/// The response for a status, errcode and text that come from no decision of the core: unknown paths,
/// wrong methods, panics.
#[must_use]
pub fn plain(status: StatusCode, errcode: &'static str, text: &str) -> Response {
    let mut response =
        (status, axum::Json(json!({ "errcode": errcode, "error": text }))).into_response();
    response.extensions_mut().insert(Errcode(errcode));
    response
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let Answer { status, errcode } = answer(&self.0);
        let mut response = (status, axum::Json(body(&self.0, errcode))).into_response();
        if let Core::LimitExceeded { retry_after_ms } = &self.0 {
            let seconds = retry_after_ms.div_ceil(1_000).max(1);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status.is_server_error() {
            response.extensions_mut().insert(Internal(self.0.to_string()));
        }
        response.extensions_mut().insert(Errcode(errcode));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(error: Core) -> (StatusCode, Option<String>, Value) {
        let response = Error(error).into_response();
        let retry = response.headers().get(header::RETRY_AFTER).cloned();
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), 65_536).await.unwrap();
        let retry = retry.map(|value| value.to_str().unwrap().to_owned());
        (status, retry, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn limit_exceeded_says_when_to_come_back() {
        let (status, retry, body) = read(Core::LimitExceeded { retry_after_ms: 1_200 }).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(retry.as_deref(), Some("2"));
        assert_eq!(body["errcode"], "M_LIMIT_EXCEEDED");
        assert_eq!(body["retry_after_ms"], 1_200);
    }

    #[tokio::test]
    async fn internal_detail_stays_inside() {
        let (status, _, body) = read(Core::bug("secret detail")).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(body, json!({"errcode": "M_UNKNOWN", "error": "Internal server error"}));
        let (_, _, body) = read(Core::Store(StoreError::Io("/var/lib/pli: bad".into()))).await;
        assert!(!body.to_string().contains("/var"));
    }

    #[tokio::test]
    async fn fields_of_particular_errors() {
        let (_, _, body) = read(Core::UnknownToken { soft_logout: true }).await;
        assert_eq!(body["soft_logout"], true);
        let (_, _, body) = read(Core::WrongRoomKeysVersion { current_version: "7".into() }).await;
        assert_eq!(body["current_version"], "7");
        let error =
            Core::IncompatibleRoomVersion { message: "no".into(), room_version: "9".into() };
        let (_, _, body) = read(error).await;
        assert_eq!(body["room_version"], "9");
    }
}
