//! `GET /_matrix/client/v1/admin/lock/{userId}`
//! `PUT /_matrix/client/v1/admin/lock/{userId}`
//! `GET /_matrix/client/v1/admin/suspend/{userId}`
//! `PUT /_matrix/client/v1/admin/suspend/{userId}`
//! `GET /_matrix/client/v3/admin/whois/{userId}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#server-administration>

use axum::extract::State;
use pli_core::{
    Error,
    accounts::{Accounts, Restriction},
};
use ruma::api::client::admin::{
    get_user_info, is_user_locked, is_user_suspended, lock_user, suspend_user,
};
use serde_json::{Map, Value, json};

use crate::{Admin, Json, Result, Routes, Ruma, User};

async fn is_locked(
    State(accounts): State<Accounts>,
    admin: Admin,
    Ruma(request): Ruma<is_user_locked::v1::Request>,
) -> Result<Ruma<is_user_locked::v1::Response>> {
    let asked = accounts.is_restricted(admin.user_id(), &request.user_id, Restriction::Lock);
    Ok(Ruma(is_user_locked::v1::Response::new(asked.await?)))
}

async fn lock(
    State(accounts): State<Accounts>,
    admin: Admin,
    Ruma(request): Ruma<lock_user::v1::Request>,
) -> Result<Ruma<lock_user::v1::Response>> {
    let lock_user::v1::Request { user_id, locked, .. } = request;
    accounts.restrict(admin.user_id(), &user_id, Restriction::Lock, locked).await?;
    Ok(Ruma(lock_user::v1::Response::new(locked)))
}

async fn is_suspended(
    State(accounts): State<Accounts>,
    admin: Admin,
    Ruma(request): Ruma<is_user_suspended::v1::Request>,
) -> Result<Ruma<is_user_suspended::v1::Response>> {
    let asked = accounts.is_restricted(admin.user_id(), &request.user_id, Restriction::Suspension);
    Ok(Ruma(is_user_suspended::v1::Response::new(asked.await?)))
}

async fn suspend(
    State(accounts): State<Accounts>,
    admin: Admin,
    Ruma(request): Ruma<suspend_user::v1::Request>,
) -> Result<Ruma<suspend_user::v1::Response>> {
    let suspend_user::v1::Request { user_id, suspended, .. } = request;
    accounts.restrict(admin.user_id(), &user_id, Restriction::Suspension, suspended).await?;
    Ok(Ruma(suspend_user::v1::Response::new(suspended)))
}

/// Where and when the devices of a user were seen. For admins, and for each user about themselves.
async fn whois(
    State(accounts): State<Accounts>,
    user: User,
    Ruma(request): Ruma<get_user_info::v3::Request>,
) -> Result<Json<Value>> {
    if !user.is_admin && user.user_id() != request.user_id {
        return Err(Error::forbidden("Only admins may ask about other users").into());
    }
    accounts.require_local(&request.user_id)?;
    if accounts.account(&request.user_id).await?.is_none() {
        return Err(Error::not_found("There is no such user").into());
    }
    let mut devices = Map::new();
    for device in accounts.devices(&request.user_id).await? {
        let mut connection = Map::from_iter([("last_seen".to_owned(), json!(device.last_seen_ms))]);
        connection.extend(device.last_seen_ip.map(|ip| ("ip".to_owned(), Value::from(ip))));
        let sessions = json!({ "sessions": [{ "connections": [connection] }] });
        devices.insert(device.device_id.to_string(), sessions);
    }
    Ok(Json(json!({ "user_id": request.user_id, "devices": devices })))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(is_locked).ruma(lock).ruma(is_suspended).ruma(suspend).ruma(whois)
}
