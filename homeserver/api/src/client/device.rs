//! `GET /_matrix/client/v3/devices`
//! `GET /_matrix/client/v3/devices/{deviceId}`
//! `PUT /_matrix/client/v3/devices/{deviceId}`
//! `DELETE /_matrix/client/v3/devices/{deviceId}`
//! `POST /_matrix/client/v3/delete_devices`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#device-management>

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use pli_core::accounts::{Accounts, Device, Operation};
use ruma::api::client::device::{
    delete_device, delete_devices, get_device, get_devices, update_device,
};
use serde_json::{Value, json};

use crate::{Json, Result, Routes, Ruma, User, UserOrGuest};

/// A device as JSON: what is not known of it is left out, which ruma's type does not do.
fn as_json(device: Device) -> Value {
    let mut out = json!({
        "device_id": device.device_id,
        "display_name": device.display_name,
        "last_seen_ts": device.last_seen_ms,
    });
    if let Some(address) = device.last_seen_ip {
        out["last_seen_ip"] = address.into();
    }
    out
}

async fn list(
    State(accounts): State<Accounts>,
    user: UserOrGuest,
    Ruma(_): Ruma<get_devices::v3::Request>,
) -> Result<Json<Value>> {
    let devices = accounts.devices(user.user_id()).await?;
    let devices: Vec<Value> = devices.into_iter().map(as_json).collect();
    Ok(Json(json!({ "devices": devices })))
}

async fn one(
    State(accounts): State<Accounts>,
    user: UserOrGuest,
    Ruma(request): Ruma<get_device::v3::Request>,
) -> Result<Json<Value>> {
    let device = accounts.device(user.user_id(), &request.device_id).await?;
    Ok(Json(as_json(device)))
}

async fn update(
    State(accounts): State<Accounts>,
    user: UserOrGuest,
    Ruma(request): Ruma<update_device::v3::Request>,
) -> Result<Response> {
    let name = request.display_name.as_deref();
    if user.appservice.is_some() {
        let made = accounts.put_device(user.user_id(), &request.device_id, name).await?;
        let status = if made { StatusCode::CREATED } else { StatusCode::OK };
        return Ok((status, Json(serde_json::json!({}))).into_response());
    }
    accounts.rename_device(user.user_id(), &request.device_id, name).await?;
    Ok(Ruma(update_device::v3::Response::new()).into_response())
}

async fn delete(
    State(accounts): State<Accounts>,
    user: User,
    Ruma(request): Ruma<delete_device::v3::Request>,
) -> Result<Ruma<delete_device::v3::Response>> {
    let operation = Operation::new("DELETE /devices", &request.device_id)?;
    if user.appservice.is_none() {
        accounts.confirm_operation(&user, &operation, request.auth.as_ref()).await?;
    }
    accounts.delete_devices(user.user_id(), &[request.device_id]).await?;
    Ok(Ruma(delete_device::v3::Response::new()))
}

async fn delete_several(
    State(accounts): State<Accounts>,
    user: User,
    Ruma(request): Ruma<delete_devices::v3::Request>,
) -> Result<Ruma<delete_devices::v3::Response>> {
    let operation = Operation::new("POST /delete_devices", &request.devices)?;
    if user.appservice.is_none() {
        accounts.confirm_operation(&user, &operation, request.auth.as_ref()).await?;
    }
    accounts.delete_devices(user.user_id(), &request.devices).await?;
    Ok(Ruma(delete_devices::v3::Response::new()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.at::<get_devices::v3::Request, _, _>(list).at::<get_device::v3::Request, _, _>(one).ruma(update).ruma(delete).ruma(delete_several)
}
