//! `GET /_matrix/federation/v1/user/devices/{userId}`
//! `POST /_matrix/federation/v1/user/keys/query`
//! `POST /_matrix/federation/v1/user/keys/claim`
//!
//! The devices and keys of this server's users, and of nobody else.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#end-to-end-encryption>

use axum::extract::State;
use pli_core::{Encryption, federation::Devices};
use ruma::{
    UInt,
    api::federation::{
        device::get_devices::v1::{self as get_devices, UserDevice},
        keys::{claim_keys::v1 as claim_keys, get_keys::v1 as get_keys},
    },
};

use super::FromServer;
use crate::{Error, Result, Routes, Ruma};

/// Largest request for keys of many users.
const LIMIT_BYTES: usize = 4 * 1024 * 1024;
/// Users of whom one request may ask.
const USERS_MAX: usize = 2_000;
/// Devices whose keys one request may claim.
const CLAIMS_MAX: usize = 5_000;

async fn devices(
    State(devices): State<Devices>,
    FromServer { request, .. }: FromServer<get_devices::Request>,
) -> Result<Ruma<get_devices::Response>> {
    let list = devices.of_own_user(&request.user_id).await?;
    let stream_id = UInt::new_saturating(list.stream_id);
    let mut response = get_devices::Response::new(request.user_id, stream_id);
    let devices = list.keys.devices.into_iter();
    response.devices = devices.map(|(id, keys)| UserDevice::new(id, keys)).collect();
    response.master_key = list.keys.master_key;
    response.self_signing_key = list.keys.self_signing_key;
    Ok(Ruma(response))
}

async fn query(
    State(encryption): State<Encryption>,
    FromServer { request, .. }: FromServer<get_keys::Request>,
) -> Result<Ruma<get_keys::Response>> {
    if request.device_keys.len() > USERS_MAX {
        return Err(Error::from(pli_core::Error::invalid_param("Too many users in one request")));
    }
    let mut response = get_keys::Response::default();
    for (user_id, wanted) in request.device_keys {
        let mut keys = encryption.published_keys(&user_id).await?;
        keys.devices.retain(|device_id, _| wanted.is_empty() || wanted.contains(device_id));
        if let Some(key) = keys.master_key {
            response.master_keys.insert(user_id.clone(), key);
        }
        if let Some(key) = keys.self_signing_key {
            response.self_signing_keys.insert(user_id.clone(), key);
        }
        if !keys.devices.is_empty() {
            response.device_keys.insert(user_id, keys.devices);
        }
    }
    Ok(Ruma(response))
}

async fn claim(
    State(encryption): State<Encryption>,
    FromServer { request, .. }: FromServer<claim_keys::Request>,
) -> Result<Ruma<claim_keys::Response>> {
    if request.one_time_keys.values().map(|devices| devices.len()).sum::<usize>() > CLAIMS_MAX {
        return Err(Error::from(pli_core::Error::invalid_param("Too many keys in one request")));
    }
    let keys = encryption.claim_keys(&request.one_time_keys).await?;
    Ok(Ruma(claim_keys::Response::new(keys)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.body_limit(LIMIT_BYTES).ruma(query).ruma(claim).ruma(devices)
}
