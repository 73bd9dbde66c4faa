//! `GET /_matrix/client/v3/login`
//! `POST /_matrix/client/v3/login`
//! `POST /_matrix/client/v1/login/get_token`
//! `POST /_matrix/client/v3/refresh`
//! `POST /_matrix/client/v3/logout`
//! `POST /_matrix/client/v3/logout/all`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#login>

use std::time::Duration;

use axum::extract::State;
use pli_core::{
    Error, Oauth,
    accounts::{Accounts, DeviceWish, LoginIdentifier, LoginRequest, Operation, Secret, Session},
};
use ruma::{
    OwnedDeviceId,
    api::client::session::{
        get_login_token, get_login_types, login, logout, logout_all, refresh_token,
    },
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{EvenLocked, GivenToken, Json, PreferredLanguage, Result, Routes, Ruma, User};

/// The flows, written out: ruma does not know the older name of `oauth_aware_preferred` (MSC3824).
async fn login_types(
    State(accounts): State<Accounts>,
    State(oauth): State<Oauth>,
    PreferredLanguage(language): PreferredLanguage,
) -> axum::Json<Value> {
    let mut flows = Vec::new();
    if accounts.settings().passwords.enabled {
        flows.push(json!({ "type": "m.login.password" }));
    }
    if oauth.is_enabled() {
        let providers = oauth.upstream().providers(language);
        let providers: Vec<Value> =
            providers.iter().map(|it| json!({ "id": it.id, "name": it.label })).collect();
        let mut flow = json!({
            "type": "m.login.sso",
            "oauth_aware_preferred": true,
            "delegated_oidc_compatibility": true,
            "org.matrix.msc3824.delegated_oidc_compatibility": true,
        });
        if !providers.is_empty() {
            flow["identity_providers"] = Value::Array(providers);
        }
        flows.push(flow);
    }
    flows.push(json!({ "type": "m.login.token", "get_login_token": true }));
    if !accounts.appservices().is_empty() {
        flows.push(json!({ "type": "m.login.application_service" }));
    }
    axum::Json(json!({ "flows": flows }))
}

/// The body of a login. Our own type, because every wrong form must be a clear error, and old clients
/// name the user in three other ways.
#[derive(Deserialize)]
struct LoginBody {
    #[serde(rename = "type")]
    login_type: String,
    identifier: Option<Identifier>,
    user: Option<String>,
    medium: Option<String>,
    address: Option<String>,
    password: Option<String>,
    token: Option<String>,
    device_id: Option<OwnedDeviceId>,
    initial_device_display_name: Option<String>,
    #[serde(default)]
    refresh_token: bool,
}

#[derive(Deserialize)]
struct Identifier {
    #[serde(rename = "type")]
    identifier_type: String,
    user: Option<Value>,
    medium: Option<Value>,
    address: Option<Value>,
}

fn text(value: Option<Value>, name: &str) -> Result<String, Error> {
    match value {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Error::BadJson(format!("{name} is not a string"))),
        None => Err(Error::MissingParam(format!("{name} is missing"))),
    }
}

fn identifier(body: &mut LoginBody) -> Result<LoginIdentifier, Error> {
    if let Some(identifier) = body.identifier.take() {
        return match identifier.identifier_type.as_str() {
            "m.id.user" => Ok(LoginIdentifier::User(text(identifier.user, "identifier.user")?)),
            "m.id.thirdparty" => {
                let medium = text(identifier.medium, "identifier.medium")?;
                let address = text(identifier.address, "identifier.address")?;
                Ok(third_party(&medium, address))
            }
            "m.id.phone" => Ok(LoginIdentifier::Unknown),
            _ => Err(Error::invalid_param("This type of identifier is not known")),
        };
    }
    match (body.user.take(), body.medium.take(), body.address.take()) {
        (Some(user), ..) => Ok(LoginIdentifier::User(user)),
        (None, Some(medium), Some(address)) => Ok(third_party(&medium, address)),
        _ => Err(Error::missing_param("identifier is missing")),
    }
}

fn third_party(medium: &str, address: String) -> LoginIdentifier {
    if medium == "email" { LoginIdentifier::Email(address) } else { LoginIdentifier::Unknown }
}

async fn log_in(
    State(accounts): State<Accounts>,
    token: GivenToken,
    Json(mut body): Json<LoginBody>,
) -> Result<Ruma<login::v3::Response>> {
    if body.login_type == "m.login.application_service" {
        let service = accounts.appservice(token.as_deref())?;
        let (user, wish) = (identifier(&mut body)?, wish(&mut body));
        let session = accounts.login_for_appservice(service, &user, &wish).await?;
        return Ok(Ruma(login_response(session)));
    }
    let request = match body.login_type.as_str() {
        "m.login.password" => LoginRequest::Password {
            identifier: identifier(&mut body)?,
            password: body
                .password
                .take()
                .map(Secret::from)
                .ok_or_else(|| Error::missing_param("password is missing"))?,
        },
        "m.login.token" => LoginRequest::Token(
            body.token.take().map(Secret::from).ok_or_else(|| Error::missing_param("token is missing"))?,
        ),
        // Spec: "400 Part of the request was invalid. For example, the login type may not be
        // recognised." with M_UNKNOWN or better.
        _ => return Err(Error::invalid_param("This type of login is not known").into()),
    };
    let wish = wish(&mut body);
    Ok(Ruma(login_response(accounts.login(request, &wish).await?)))
}

fn wish(body: &mut LoginBody) -> DeviceWish {
    DeviceWish {
        device_id: body.device_id.take().filter(|id| !id.as_str().is_empty()),
        initial_display_name: body.initial_device_display_name.take(),
        refresh_token: body.refresh_token,
    }
}

fn login_response(session: Session) -> login::v3::Response {
    let token = session.access_token.reveal().to_owned();
    let mut response = login::v3::Response::new(session.user_id, token, session.device_id);
    response.refresh_token = session.refresh_token.map(|token| token.reveal().to_owned());
    response.expires_in = session.expires_in_ms.map(Duration::from_millis);
    response
}

async fn login_token(
    State(accounts): State<Accounts>,
    user: User,
    Ruma(request): Ruma<get_login_token::v1::Request>,
) -> Result<Ruma<get_login_token::v1::Response>> {
    let operation = Operation::without_content("POST /login/get_token");
    accounts.confirm_operation(&user, &operation, request.auth.as_ref()).await?;
    let (token, lifetime_ms) = accounts.new_login_token(&user).await?;
    let lifetime = Duration::from_millis(lifetime_ms);
    Ok(Ruma(get_login_token::v1::Response::new(lifetime, token.reveal().to_owned())))
}

async fn refresh(
    State(accounts): State<Accounts>,
    Ruma(request): Ruma<refresh_token::v3::Request>,
) -> Result<Ruma<refresh_token::v3::Response>> {
    let session = accounts.refresh(&request.refresh_token).await?;
    let mut response = refresh_token::v3::Response::new(session.access_token.reveal().to_owned());
    response.refresh_token = session.refresh_token.map(|token| token.reveal().to_owned());
    response.expires_in_ms = session.expires_in_ms.map(Duration::from_millis);
    Ok(Ruma(response))
}

async fn log_out(
    State(accounts): State<Accounts>,
    user: EvenLocked,
    Ruma(_): Ruma<logout::v3::Request>,
) -> Result<Ruma<logout::v3::Response>> {
    accounts.logout(&user).await?;
    Ok(Ruma(logout::v3::Response::new()))
}

async fn log_out_everywhere(
    State(accounts): State<Accounts>,
    user: EvenLocked,
    Ruma(_): Ruma<logout_all::v3::Request>,
) -> Result<Ruma<logout_all::v3::Response>> {
    accounts.logout_all(user.user_id(), None).await?;
    Ok(Ruma(logout_all::v3::Response::new()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .at::<get_login_types::v3::Request, _, _>(login_types)
        .at::<login::v3::Request, _, _>(log_in)
        .ruma(login_token)
        .ruma(refresh)
        .ruma(log_out)
        .ruma(log_out_everywhere)
}
