//! `PUT /_matrix/client/v3/room_keys/keys`
//! `GET /_matrix/client/v3/room_keys/keys`
//! `DELETE /_matrix/client/v3/room_keys/keys`
//! `PUT /_matrix/client/v3/room_keys/keys/{roomId}`
//! `GET /_matrix/client/v3/room_keys/keys/{roomId}`
//! `DELETE /_matrix/client/v3/room_keys/keys/{roomId}`
//! `PUT /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}`
//! `GET /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}`
//! `DELETE /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups>

use std::collections::BTreeMap;

use axum::extract::State;
use pli_core::encryption::{
    Encryption,
    backup::{BackedUpKey, BackedUpKeys, BackupState},
};
use ruma::{
    OwnedRoomId, UInt,
    api::client::backup::{
        KeyBackupData, RoomKeyBackup, add_backup_keys, add_backup_keys_for_room,
        add_backup_keys_for_session, delete_backup_keys, delete_backup_keys_for_room,
        delete_backup_keys_for_session, get_backup_keys, get_backup_keys_for_room,
        get_backup_keys_for_session,
    },
    serde::Raw,
};

use crate::{Result, Routes, Ruma, User};

/// Largest upload: clients send 100 keys at once, some all they have.
const LIMIT_BYTES: usize = 32 * 1024 * 1024;

type Sessions = BTreeMap<String, Raw<KeyBackupData>>;

fn parse(sessions: Sessions) -> Result<BTreeMap<String, BackedUpKey>> {
    let mut keys = BTreeMap::new();
    for (session_id, raw) in sessions {
        if session_id.len() > 255 {
            return Err(pli_core::Error::invalid_param("A session id is too long").into());
        }
        let key = serde_json::from_str(raw.json().get())
            .map_err(|error| pli_core::Error::bad_json(error.to_string()))?;
        keys.insert(session_id, key);
    }
    Ok(keys)
}

fn sessions(keys: BTreeMap<String, BackedUpKey>) -> Result<Sessions> {
    let mut out = BTreeMap::new();
    for (session_id, key) in keys {
        let json = serde_json::value::to_raw_value(&key)
            .map_err(|error| pli_core::Error::bug(format!("backup key: {error}")))?;
        out.insert(session_id, Raw::from_json(json));
    }
    Ok(out)
}

fn room(room_id: OwnedRoomId, sessions: Sessions) -> Result<BackedUpKeys> {
    Ok(BackedUpKeys::from([(room_id, parse(sessions)?)]))
}

fn answer(state: BackupState) -> (String, UInt) {
    (state.etag.to_string(), UInt::new_saturating(state.count))
}

async fn put_all(
    State(encryption): State<Encryption>,
    user: User,
    Ruma(request): Ruma<add_backup_keys::v3::Request>,
) -> Result<Ruma<add_backup_keys::v3::Response>> {
    let mut keys = BackedUpKeys::new();
    for (room_id, backup) in request.rooms {
        keys.insert(room_id, parse(backup.sessions)?);
    }
    let state = encryption.put_backup_keys(user.user_id(), &request.version, &keys).await?;
    let (etag, count) = answer(state);
    Ok(Ruma(add_backup_keys::v3::Response::new(etag, count)))
}

async fn put_room(
    State(encryption): State<Encryption>,
    user: User,
    Ruma(request): Ruma<add_backup_keys_for_room::v3::Request>,
) -> Result<Ruma<add_backup_keys_for_room::v3::Response>> {
    let keys = room(request.room_id, request.sessions)?;
    let state = encryption.put_backup_keys(user.user_id(), &request.version, &keys).await?;
    let (etag, count) = answer(state);
    Ok(Ruma(add_backup_keys_for_room::v3::Response::new(etag, count)))
}

async fn put_one(
    State(encryption): State<Encryption>,
    user: User,
    Ruma(request): Ruma<add_backup_keys_for_session::v3::Request>,
) -> Result<Ruma<add_backup_keys_for_session::v3::Response>> {
    let sessions = Sessions::from([(request.session_id, request.session_data)]);
    let keys = room(request.room_id, sessions)?;
    let state = encryption.put_backup_keys(user.user_id(), &request.version, &keys).await?;
    let (etag, count) = answer(state);
    Ok(Ruma(add_backup_keys_for_session::v3::Response::new(etag, count)))
}

async fn get_all(
    State(encryption): State<Encryption>,
    user: User,
    Ruma(request): Ruma<get_backup_keys::v3::Request>,
) -> Result<Ruma<get_backup_keys::v3::Response>> {
    let keys = encryption.backup_keys(user.user_id(), &request.version, None, None).await?;
    let mut rooms = BTreeMap::new();
    for (room_id, keys) in keys {
        rooms.insert(room_id, RoomKeyBackup::new(sessions(keys)?));
    }
    Ok(Ruma(get_backup_keys::v3::Response::new(rooms)))
}

async fn get_room(
    State(encryption): State<Encryption>,
    user: User,
    Ruma(request): Ruma<get_backup_keys_for_room::v3::Request>,
) -> Result<Ruma<get_backup_keys_for_room::v3::Response>> {
    let room_id = &request.room_id;
    let version = &request.version;
    let mut keys = encryption.backup_keys(user.user_id(), version, Some(room_id), None).await?;
    let sessions = sessions(keys.remove(room_id).unwrap_or_default())?;
    Ok(Ruma(get_backup_keys_for_room::v3::Response::new(sessions)))
}

async fn get_one(
    State(encryption): State<Encryption>,
    user: User,
    Ruma(request): Ruma<get_backup_keys_for_session::v3::Request>,
) -> Result<Ruma<get_backup_keys_for_session::v3::Response>> {
    let (room_id, session_id) = (&request.room_id, request.session_id.as_str());
    let version = &request.version;
    let keys =
        encryption.backup_keys(user.user_id(), version, Some(room_id), Some(session_id)).await?;
    let found = keys.into_values().next().map(sessions).transpose()?;
    let found = found.and_then(|sessions| sessions.into_values().next());
    let key = found.ok_or_else(|| pli_core::Error::not_found("Key not found."))?;
    Ok(Ruma(get_backup_keys_for_session::v3::Response::new(key)))
}

async fn delete_all(
    State(encryption): State<Encryption>,
    user: User,
    Ruma(request): Ruma<delete_backup_keys::v3::Request>,
) -> Result<Ruma<delete_backup_keys::v3::Response>> {
    let version = &request.version;
    let state = encryption.delete_backup_keys(user.user_id(), version, None, None).await?;
    let (etag, count) = answer(state);
    Ok(Ruma(delete_backup_keys::v3::Response::new(etag, count)))
}

async fn delete_room(
    State(encryption): State<Encryption>,
    user: User,
    Ruma(request): Ruma<delete_backup_keys_for_room::v3::Request>,
) -> Result<Ruma<delete_backup_keys_for_room::v3::Response>> {
    let (version, room_id) = (&request.version, Some(&request.room_id));
    let state = encryption.delete_backup_keys(user.user_id(), version, room_id, None).await?;
    let (etag, count) = answer(state);
    Ok(Ruma(delete_backup_keys_for_room::v3::Response::new(etag, count)))
}

async fn delete_one(
    State(encryption): State<Encryption>,
    user: User,
    Ruma(request): Ruma<delete_backup_keys_for_session::v3::Request>,
) -> Result<Ruma<delete_backup_keys_for_session::v3::Response>> {
    let (version, room_id) = (&request.version, Some(&request.room_id));
    let session_id = Some(request.session_id.as_str());
    let state = encryption.delete_backup_keys(user.user_id(), version, room_id, session_id).await?;
    let (etag, count) = answer(state);
    Ok(Ruma(delete_backup_keys_for_session::v3::Response::new(etag, count)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .body_limit(LIMIT_BYTES)
        .ruma(put_all)
        .body_limit(LIMIT_BYTES)
        .ruma(put_room)
        .ruma(put_one)
        .ruma(get_all)
        .ruma(get_room)
        .ruma(get_one)
        .ruma(delete_all)
        .ruma(delete_room)
        .ruma(delete_one)
}
