//! `POST /_pli/oauth/register`
//! `POST /_pli/oauth/token`
//! `POST /_pli/oauth/revoke`
//! `POST /_pli/oauth/device`
//!
//! The endpoints of OAuth that clients call by themselves. Their errors are those of the RFCs.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#oauth-20-api>

use axum::{
    Form, RequestExt,
    extract::{FromRequest, Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Method, StatusCode, header};
use pli_core::{
    Error as Core, Oauth,
    oauth::{
        CodeExchange, Issued, OauthError, OauthResult,
        authorization::{one, required},
    },
};
use pli_schema::limits;
use serde_json::{Map, Value, json};

use crate::{
    AppState, Json, Routes,
    error::{Errcode, Internal},
    state::ServerInfo,
};

/// Client registration.
pub(crate) const REGISTER: &str = "/_pli/oauth/register";
/// Tokens.
pub(crate) const TOKEN: &str = "/_pli/oauth/token";
/// Revocation.
pub(crate) const REVOKE: &str = "/_pli/oauth/revoke";
/// Device authorization.
pub(crate) const DEVICE: &str = "/_pli/oauth/device";

/// Largest registration, in bytes.
const REGISTRATION_BYTES: usize = 64 * 1024;
/// Largest form, in bytes.
const FORM_BYTES: usize = 16 * 1024;

/// A refusal on its way to the client: the one table from OAuth's errors to statuses.
struct Refused(OauthError);

impl From<OauthError> for Refused {
    fn from(error: OauthError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            OauthError::InvalidClient => StatusCode::UNAUTHORIZED,
            OauthError::Core(Core::LimitExceeded { .. }) => StatusCode::TOO_MANY_REQUESTS,
            OauthError::Core(Core::Store(_)) => StatusCode::SERVICE_UNAVAILABLE,
            OauthError::Core(Core::Bug(_)) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let text = match status.is_server_error() {
            true => "The server cannot answer right now".to_owned(),
            false => self.0.to_string(),
        };
        let code = self.0.code();
        let body = json!({ "error": code, "error_description": text });
        let mut response = no_store((status, axum::Json(body)).into_response());
        if status.is_server_error() {
            response.extensions_mut().insert(Internal(self.0.to_string()));
        }
        if let OauthError::Core(Core::LimitExceeded { retry_after_ms }) = &self.0 {
            let seconds = retry_after_ms.div_ceil(1_000).max(1);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Errcode(code));
        response
    }
}

fn no_store(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// The parameters of a request, `application/x-www-form-urlencoded`.
struct Pairs(Vec<(String, String)>);

impl FromRequest<AppState> for Pairs {
    type Rejection = Response;

    async fn from_request(request: Request, _: &AppState) -> Result<Self, Response> {
        match request.extract::<Form<Vec<(String, String)>>, _>().await {
            Ok(Form(pairs)) => Ok(Self(pairs)),
            Err(_) => {
                let text = "The body is application/x-www-form-urlencoded, of at most 16 KiB";
                Err(Refused(OauthError::InvalidRequest(text)).into_response())
            }
        }
    }
}

/// The object of a registration.
struct Registration(Map<String, Value>);

impl FromRequest<AppState> for Registration {
    type Rejection = Response;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Response> {
        match Json::<Map<String, Value>>::from_request(request, state).await {
            Ok(Json(object)) => Ok(Self(object)),
            Err(_) => {
                let text = "The body is a JSON object, of at most 64 KiB";
                Err(Refused(OauthError::InvalidClientMetadata(text)).into_response())
            }
        }
    }
}

/// Where OAuth is off, nothing of it is there.
fn check_enabled(oauth: &Oauth) -> crate::Result<()> {
    if oauth.is_enabled() {
        return Ok(());
    }
    Err(Core::Unrecognized.into())
}

async fn register(
    State(oauth): State<Oauth>,
    Registration(given): Registration,
) -> Result<Response, Response> {
    check_enabled(&oauth).map_err(IntoResponse::into_response)?;
    let registered = async {
        let client = oauth.register_client(&given).await?;
        Ok::<_, OauthError>(client.answer()?)
    };
    match registered.await {
        Ok(answer) => Ok(no_store((StatusCode::CREATED, axum::Json(answer)).into_response())),
        Err(error) => Err(Refused(error).into_response()),
    }
}

fn tokens(issued: &Issued) -> Value {
    let mut answer = json!({
        "access_token": issued.access_token.reveal(),
        "token_type": "Bearer",
        "scope": issued.scope,
    });
    if let Some(token) = &issued.refresh_token {
        answer["refresh_token"] = json!(token.reveal());
    }
    if let Some(seconds) = issued.expires_in_s {
        answer["expires_in"] = json!(seconds);
    }
    answer
}

async fn issue(oauth: &Oauth, pairs: &[(String, String)]) -> OauthResult<Issued> {
    let grant_type = required(pairs, "grant_type")?;
    // All clients are public: a name must be there, a password means a client that is not ours.
    let client_id = one(pairs, "client_id")?.ok_or(OauthError::InvalidClient)?;
    match grant_type {
        "authorization_code" => {
            let exchange = CodeExchange {
                client_id,
                code: required(pairs, "code")?,
                redirect_uri: required(pairs, "redirect_uri")?,
                code_verifier: required(pairs, "code_verifier")?,
            };
            oauth.exchange_code(&exchange).await
        }
        "refresh_token" => oauth.refresh(client_id, required(pairs, "refresh_token")?).await,
        "urn:ietf:params:oauth:grant-type:device_code" => {
            oauth.exchange_device_code(client_id, required(pairs, "device_code")?).await
        }
        _ => Err(OauthError::UnsupportedGrantType),
    }
}

async fn token(State(oauth): State<Oauth>, Pairs(pairs): Pairs) -> Result<Response, Response> {
    check_enabled(&oauth).map_err(IntoResponse::into_response)?;
    match issue(&oauth, &pairs).await {
        Ok(issued) => Ok(no_store(axum::Json(tokens(&issued)).into_response())),
        Err(error) => Err(Refused(error).into_response()),
    }
}

async fn revoke(State(oauth): State<Oauth>, Pairs(pairs): Pairs) -> Result<Response, Response> {
    check_enabled(&oauth).map_err(IntoResponse::into_response)?;
    let revoked = async {
        let hint = one(&pairs, "token_type_hint")?;
        if !matches!(hint, None | Some("access_token" | "refresh_token")) {
            return Err(OauthError::InvalidRequest("The type of the token is not known"));
        }
        oauth.revoke(required(&pairs, "token")?).await
    };
    match revoked.await {
        Ok(()) => Ok(no_store(axum::Json(json!({})).into_response())),
        Err(error) => Err(Refused(error).into_response()),
    }
}

async fn device(
    State(oauth): State<Oauth>,
    State(server): State<ServerInfo>,
    Pairs(pairs): Pairs,
) -> Result<Response, Response> {
    check_enabled(&oauth).map_err(IntoResponse::into_response)?;
    let asked = async {
        let client_id = one(&pairs, "client_id")?.ok_or(OauthError::InvalidClient)?;
        oauth.authorize_device(client_id, required(&pairs, "scope")?).await
    };
    let asked = asked.await.map_err(|error| Refused(error).into_response())?;
    let uri = format!("{}{}", server.base_url, crate::pages::authorize::LINK);
    let answer = json!({
        "device_code": asked.device_code.reveal(),
        "user_code": asked.user_code,
        "verification_uri": uri,
        "verification_uri_complete": format!("{uri}?user_code={}", asked.user_code),
        "expires_in": asked.expires_in_s,
        "interval": asked.interval_s,
    });
    Ok(no_store(axum::Json(answer).into_response()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .body_limit(REGISTRATION_BYTES)
        .path(&Method::POST, REGISTER, register)
        .body_limit(FORM_BYTES)
        .path(&Method::POST, TOKEN, token)
        .path(&Method::POST, REVOKE, revoke)
        .path(&Method::POST, DEVICE, device)
        .body_limit(limits::BODY_BYTES)
}
