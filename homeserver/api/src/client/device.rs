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
use ruma::{
    MilliSecondsSinceUnixEpoch, UInt,
    api::client::device::{
        self, delete_device, delete_devices, get_device, get_devices, update_device,
    },
};

use crate::{Json, Result, Routes, Ruma, User, UserOrGuest};

fn as_ruma(device: Device) -> device::Device {
    let mut out = device::Device::new(device.device_id);
    out.display_name = Some(device.display_name);
    out.last_seen_ip = device.last_seen_ip;
    let seen = UInt::new_saturating(device.last_seen_ms);
    out.last_seen_ts = Some(MilliSecondsSinceUnixEpoch(seen));
    out
}

async fn list(
    State(accounts): State<Accounts>,
    user: UserOrGuest,
    Ruma(_): Ruma<get_devices::v3::Request>,
) -> Result<Ruma<get_devices::v3::Response>> {
    let devices = accounts.devices(user.user_id()).await?;
    Ok(Ruma(get_devices::v3::Response::new(devices.into_iter().map(as_ruma).collect())))
}

async fn one(
    State(accounts): State<Accounts>,
    user: UserOrGuest,
    Ruma(request): Ruma<get_device::v3::Request>,
) -> Result<Ruma<get_device::v3::Response>> {
    let device = accounts.device(user.user_id(), &request.device_id).await?;
    Ok(Ruma(get_device::v3::Response::new(as_ruma(device))))
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
    routes.ruma(list).ruma(one).ruma(update).ruma(delete).ruma(delete_several)
}
