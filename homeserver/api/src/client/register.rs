//! `POST /_matrix/client/v3/register`
//! `GET /_matrix/client/v3/register/available`
//! `GET /_matrix/client/v1/register/m.login.registration_token/validity`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#account-registration>

use axum::extract::State;
use pli_core::{
    Rooms,
    accounts::{Accounts, DeviceWish, Operation, RegisterRequest, Registered, Secret},
};
use ruma::{UserId, api::client::account::{
    check_registration_token_validity, get_username_availability,
    register::{self, LoginType, RegistrationKind},
}};

use serde_json::{Map, Value, json};

use crate::{GivenToken, Json, PreferredLanguage, Result, Routes, Ruma};

async fn register(
    State(accounts): State<Accounts>,
    State(rooms): State<Rooms>,
    PreferredLanguage(language): PreferredLanguage,
    token: GivenToken,
    Ruma(request): Ruma<register::v3::Request>,
) -> Result<Json<Map<String, Value>>> {
    if request.login_type == Some(LoginType::ApplicationService) {
        return register_for_appservice(&accounts, &token, request).await;
    }
    let operation = operation(&request)?;
    let device = DeviceWish {
        device_id: request.device_id,
        initial_display_name: request.initial_device_display_name,
        refresh_token: request.refresh_token,
    };
    let registered = match request.kind {
        RegistrationKind::Guest => accounts.register_guest(&device).await?,
        RegistrationKind::User => {
            let guest = match &request.guest_access_token {
                Some(token) => Some(accounts.guest_of_token(token).await?),
                None => None,
            };
            refuse_listed(&rooms, request.username.as_deref()).await?;
            let request = RegisterRequest {
                operation,
                username: request.username,
                password: request.password.map(Secret::from),
                device,
                inhibit_login: request.inhibit_login,
                language,
                auth: request.auth,
                guest,
            };
            accounts.register(request).await?
        }
        _ => return Err(pli_core::Error::invalid_param("This kind of account is not known").into()),
    };
    Ok(Json(response(registered)))
}

async fn register_for_appservice(
    accounts: &Accounts,
    token: &GivenToken,
    request: register::v3::Request,
) -> Result<Json<Map<String, Value>>> {
    let service = accounts.appservice(token.as_deref())?;
    let device = DeviceWish {
        device_id: request.device_id,
        initial_display_name: request.initial_device_display_name,
        refresh_token: request.refresh_token,
    };
    let device = (!request.inhibit_login).then_some(&device);
    let username = request.username.as_deref();
    let registered = accounts.register_for_appservice(service, username, device).await?;
    Ok(Json(response(registered)))
}

/// Names that a policy list bans are not given.
async fn refuse_listed(rooms: &Rooms, username: Option<&str>) -> Result<()> {
    let user_id = username.and_then(|name| {
        UserId::parse_with_server_name(name.to_lowercase(), rooms.server_name()).ok()
    });
    match user_id {
        Some(user_id) => Ok(rooms.refuse_listed_user(&user_id).await?),
        // What is no name is refused where names are looked at.
        None => Ok(()),
    }
}

/// What of the request the authentication session is for.
fn operation(request: &register::v3::Request) -> pli_core::Result<Operation> {
    let endpoint = "POST /register";
    if request.username.is_none() && request.password.is_none() {
        return Ok(Operation::without_content(endpoint));
    }
    Operation::new(endpoint, &(&request.username, &request.password, request.inhibit_login))
}

/// Written out, because a type with a place for the device says `null` where there is none.
fn response(registered: Registered) -> Map<String, Value> {
    let mut response = Map::new();
    response.insert("user_id".to_owned(), json!(registered.user_id));
    if let Some(session) = registered.session {
        response.insert("access_token".to_owned(), json!(session.access_token.reveal()));
        response.insert("device_id".to_owned(), json!(session.device_id));
        if let Some(token) = session.refresh_token {
            response.insert("refresh_token".to_owned(), json!(token.reveal()));
        }
        if let Some(expires_in_ms) = session.expires_in_ms {
            response.insert("expires_in_ms".to_owned(), json!(expires_in_ms));
        }
    }
    response
}

async fn available(
    State(accounts): State<Accounts>,
    Ruma(request): Ruma<get_username_availability::v3::Request>,
) -> Result<Ruma<get_username_availability::v3::Response>> {
    accounts.check_username(&request.username).await?;
    Ok(Ruma(get_username_availability::v3::Response::new(true)))
}

async fn token_validity(
    State(accounts): State<Accounts>,
    Ruma(request): Ruma<check_registration_token_validity::v1::Request>,
) -> Result<Ruma<check_registration_token_validity::v1::Response>> {
    let valid = accounts.registration_token_is_valid(&request.token).await?;
    Ok(Ruma(check_registration_token_validity::v1::Response::new(valid)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(register).ruma(available).ruma(token_validity)
}
