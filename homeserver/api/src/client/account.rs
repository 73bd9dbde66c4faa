//! `GET /_matrix/client/v3/account/whoami`
//! `POST /_matrix/client/v3/account/password`
//! `POST /_matrix/client/v3/account/deactivate`
//! `GET /_matrix/client/r0/password_policy`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#account-management>; the password policy is
//! MSC2000.

use axum::extract::State;
use http::Method;
use pli_core::{
    Rooms,
    accounts::{Accounts, Operation, PasswordChange, Secret},
};
use ruma::api::client::account::{
    ThirdPartyIdRemovalStatus, change_password, deactivate, whoami,
};
use serde_json::{Map, Value};

use crate::{Anyone, Json, Result, Routes, Ruma, User, UserOrGuest, closing::close_account};

async fn who_am_i(
    user: UserOrGuest,
    Ruma(_): Ruma<whoami::v3::Request>,
) -> Ruma<whoami::v3::Response> {
    let mut response = whoami::v3::Response::new(user.user_id().to_owned(), user.is_guest);
    response.device_id =
        Some(user.device_id().to_owned()).filter(|device_id| !device_id.as_str().is_empty());
    Ruma(response)
}

async fn password(
    State(accounts): State<Accounts>,
    Anyone(who): Anyone,
    Ruma(request): Ruma<change_password::v3::Request>,
) -> Result<Ruma<change_password::v3::Response>> {
    let content = (&request.new_password, request.logout_devices);
    let change = PasswordChange {
        operation: Operation::new("POST /account/password", &content)?,
        new_password: Secret::from(request.new_password.as_str()),
        logout_devices: request.logout_devices,
        auth: request.auth,
    };
    accounts.change_password(who.as_ref(), change).await?;
    Ok(Ruma(change_password::v3::Response::new()))
}

async fn close(
    State(accounts): State<Accounts>,
    State(rooms): State<Rooms>,
    user: User,
    Ruma(request): Ruma<deactivate::v3::Request>,
) -> Result<Ruma<deactivate::v3::Response>> {
    let operation = Operation::new("POST /account/deactivate", &request.erase)?;
    accounts.confirm_operation(&user, &operation, request.auth.as_ref()).await?;
    close_account((&accounts, &rooms), user.user_id(), request.erase, user.user_id()).await?;
    Ok(Ruma(deactivate::v3::Response::new(ThirdPartyIdRemovalStatus::NoSupport)))
}

async fn password_policy(State(accounts): State<Accounts>) -> Json<Map<String, Value>> {
    let rules = &accounts.settings().passwords.rules;
    let flags = [
        ("m.require_digit", rules.require_digit),
        ("m.require_symbol", rules.require_symbol),
        ("m.require_lowercase", rules.require_lowercase),
        ("m.require_uppercase", rules.require_uppercase),
    ];
    let mut policy: Map<String, Value> =
        flags.into_iter().map(|(name, on)| (name.to_owned(), Value::from(on))).collect();
    policy.insert("m.minimum_length".to_owned(), Value::from(rules.minimum_length));
    Json(policy)
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .ruma(who_am_i)
        .ruma(password)
        .ruma(close)
        .path(&Method::GET, "/_matrix/client/r0/password_policy", password_policy)
        .path(&Method::GET, "/_matrix/client/v3/password_policy", password_policy)
        .path(
            &Method::GET,
            "/_matrix/client/unstable/org.matrix.msc2000/password_policy",
            password_policy,
        )
}
