//! `POST /_matrix/client/v3/room_keys/version`
//! `GET /_matrix/client/v3/room_keys/version`
//! `GET /_matrix/client/v3/room_keys/version/{version}`
//! `PUT /_matrix/client/v3/room_keys/version/{version}`
//! `DELETE /_matrix/client/v3/room_keys/version/{version}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups>

use axum::extract::State;
use pli_core::encryption::{
    Encryption,
    backup::{BackupDescription, BackupInfo},
};
use ruma::{
    UInt,
    api::client::backup::{
        BackupAlgorithm, create_backup_version, delete_backup_version, get_backup_info,
        get_latest_backup_info, update_backup_version,
    },
    serde::Raw,
};

use crate::{Result, Routes, Ruma, User};

fn description(raw: &Raw<BackupAlgorithm>) -> Result<BackupDescription> {
    Ok(serde_json::from_str(raw.json().get())
        .map_err(|error| pli_core::Error::bad_json(error.to_string()))?)
}

fn algorithm(info: &BackupInfo) -> Result<Raw<BackupAlgorithm>> {
    let json = serde_json::json!({ "algorithm": info.algorithm, "auth_data": info.auth_data });
    let json = serde_json::value::to_raw_value(&json)
        .map_err(|error| pli_core::Error::bug(format!("backup: {error}")))?;
    Ok(Raw::from_json(json))
}

async fn create(
    State(encryption): State<Encryption>,
    user: User,
    Ruma(request): Ruma<create_backup_version::v3::Request>,
) -> Result<Ruma<create_backup_version::v3::Response>> {
    let description = description(&request.algorithm)?;
    let version = encryption.create_backup(user.user_id(), &description).await?;
    Ok(Ruma(create_backup_version::v3::Response::new(version)))
}

async fn latest(
    State(encryption): State<Encryption>,
    user: User,
    Ruma(_): Ruma<get_latest_backup_info::v3::Request>,
) -> Result<Ruma<get_latest_backup_info::v3::Response>> {
    let info = encryption.backup(user.user_id(), None).await?;
    let (algorithm, state) = (algorithm(&info)?, info.state);
    let (count, etag) = (UInt::new_saturating(state.count), state.etag.to_string());
    Ok(Ruma(get_latest_backup_info::v3::Response::new(algorithm, count, etag, info.version)))
}

async fn one(
    State(encryption): State<Encryption>,
    user: User,
    Ruma(request): Ruma<get_backup_info::v3::Request>,
) -> Result<Ruma<get_backup_info::v3::Response>> {
    let info = encryption.backup(user.user_id(), Some(&request.version)).await?;
    let (algorithm, state) = (algorithm(&info)?, info.state);
    let (count, etag) = (UInt::new_saturating(state.count), state.etag.to_string());
    Ok(Ruma(get_backup_info::v3::Response::new(algorithm, count, etag, info.version)))
}

async fn update(
    State(encryption): State<Encryption>,
    user: User,
    Ruma(request): Ruma<update_backup_version::v3::Request>,
) -> Result<Ruma<update_backup_version::v3::Response>> {
    let description = description(&request.algorithm)?;
    encryption.update_backup(user.user_id(), &request.version, &description).await?;
    Ok(Ruma(update_backup_version::v3::Response::new()))
}

async fn delete(
    State(encryption): State<Encryption>,
    user: User,
    Ruma(request): Ruma<delete_backup_version::v3::Request>,
) -> Result<Ruma<delete_backup_version::v3::Response>> {
    encryption.delete_backup(user.user_id(), &request.version).await?;
    Ok(Ruma(delete_backup_version::v3::Response::new()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(create).ruma(latest).ruma(one).ruma(update).ruma(delete)
}
