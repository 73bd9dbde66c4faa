//! The keys in a backup, one row per session.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups>

use pli_schema::records::encryption::{
    BackupKeyKey, BackupKeyRecord, BackupVersionKey, BackupVersionRecord,
};
use pli_store::{Scan, Tx};
use ruma::{OwnedRoomId, OwnedUserId, UserId};
use serde_json::value::RawValue;

use super::{
    Encryption,
    backup::{
        BackedUpKey, BackedUpKeys, BackupState, current, parse_version, unknown_version,
        version_key,
    },
};
use crate::{Error, Result};

/// Largest encrypted key, in bytes.
const KEY_MAX_BYTES: usize = 65_536;
/// Keys written in one transaction.
const KEYS_PER_COMMIT: usize = 200;

impl Encryption {
    /// Puts keys into the current backup. A key that is there is replaced by a better one only:
    /// verified, from an earlier message on, less often forwarded.
    ///
    /// # Errors
    /// [`Error::WrongRoomKeysVersion`] if the version is not the current one; [`Error::NotFound`] if
    /// there is no backup; [`Error::TooLarge`] for a key above 64 KiB. Keys are written in parts of
    /// 200; when the store fails half-way, uploading them again does no harm.
    pub async fn put_backup_keys(
        &self,
        user_id: &UserId,
        version: &str,
        keys: &BackedUpKeys,
    ) -> Result<BackupState> {
        let user = user_id.to_owned();
        let number = parse_version(version)?;
        let mut rows = Vec::new();
        for (room_id, sessions) in keys {
            for (session_id, key) in sessions {
                let row = backup_key(&user, number, room_id, session_id);
                rows.push((row, record(key)?));
            }
        }
        let place = &version_key(&user, number);
        let mut state = self.put_backup_part(place, &[]).await?;
        for part in rows.chunks(KEYS_PER_COMMIT) {
            state = self.put_backup_part(place, part).await?;
        }
        Ok(state)
    }

    async fn put_backup_part(
        &self,
        place: &BackupVersionKey,
        part: &[(BackupKeyKey, BackupKeyRecord)],
    ) -> Result<BackupState> {
        self.store
            .write(|tx| async move {
                let mut backup = current_backup(&tx, place).await?;
                let mut changed = false;
                for (key, new) in part {
                    let old = tx.get(key).await?;
                    if old.is_none() {
                        backup.count = backup.count.saturating_add(1);
                    }
                    if old.is_none_or(|old| is_better(new, &old)) {
                        tx.put(key, new)?;
                        changed = true;
                    }
                }
                if changed {
                    backup.etag = backup.etag.saturating_add(1);
                    tx.put(place, &backup)?;
                }
                Ok(BackupState { count: backup.count, etag: backup.etag })
            })
            .await
    }

    /// Keys of a backup: all, of a room, or one.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such backup, or not the one key that was asked for.
    pub async fn backup_keys(
        &self,
        user_id: &UserId,
        version: &str,
        room_id: Option<&OwnedRoomId>,
        session_id: Option<&str>,
    ) -> Result<BackedUpKeys> {
        let user = user_id.to_owned();
        let number = parse_version(version)?;
        let backup = self.store.get(&version_key(&user, number)).await?;
        if backup.is_none_or(|backup| backup.deleted) {
            return Err(unknown_version());
        }
        let mut found = BackedUpKeys::new();
        if let (Some(room_id), Some(session_id)) = (room_id, session_id) {
            let record = self.store.get(&backup_key(&user, number, room_id, session_id)).await?;
            let record = record.ok_or_else(|| Error::not_found("Key not found."))?;
            let sessions = found.entry(room_id.clone()).or_default();
            sessions.insert(session_id.to_owned(), key_of(record)?);
            return Ok(found);
        }
        for row in self.store.scan(&range(&user, number, room_id)).await? {
            let sessions = found.entry(row.key.room_id).or_default();
            sessions.insert(row.key.session_id, key_of(row.record)?);
        }
        Ok(found)
    }

    /// Deletes keys of the current backup: all, of a room, or one.
    ///
    /// # Errors
    /// [`Error::WrongRoomKeysVersion`], [`Error::NotFound`] as in [`Self::put_backup_keys`].
    pub async fn delete_backup_keys(
        &self,
        user_id: &UserId,
        version: &str,
        room_id: Option<&OwnedRoomId>,
        session_id: Option<&str>,
    ) -> Result<BackupState> {
        let user = user_id.to_owned();
        let number = parse_version(version)?;
        let place = &version_key(&user, number);
        loop {
            let keys = match (room_id, session_id) {
                (Some(room_id), Some(session_id)) => {
                    let key = backup_key(&user, number, room_id, session_id);
                    let found = self.store.get(&key).await?.is_some();
                    if found { vec![key] } else { Vec::new() }
                }
                _ => {
                    let part = range(&user, number, room_id).limit(KEYS_PER_COMMIT);
                    self.store.scan(&part).await?.into_iter().map(|row| row.key).collect()
                }
            };
            let state = self.delete_backup_part(place, &keys).await?;
            if keys.is_empty() || session_id.is_some() {
                return Ok(state);
            }
        }
    }

    async fn delete_backup_part(
        &self,
        place: &BackupVersionKey,
        keys: &[BackupKeyKey],
    ) -> Result<BackupState> {
        self.store
            .write(|tx| async move {
                let mut backup = current_backup(&tx, place).await?;
                let mut deleted: u64 = 0;
                for key in keys {
                    if tx.get(key).await?.is_some() {
                        tx.delete(key);
                        deleted = deleted.saturating_add(1);
                    }
                }
                if deleted > 0 {
                    backup.count = backup.count.saturating_sub(deleted);
                    backup.etag = backup.etag.saturating_add(1);
                    tx.put(place, &backup)?;
                }
                Ok(BackupState { count: backup.count, etag: backup.etag })
            })
            .await
    }
}

/// The backup, which must be the current one.
async fn current_backup(tx: &Tx, place: &BackupVersionKey) -> Result<BackupVersionRecord> {
    match current(tx, &place.user_id).await? {
        Some(version) if version == place.version => {
            tx.get(place).await?.ok_or_else(unknown_version)
        }
        Some(version) => Err(Error::WrongRoomKeysVersion { current_version: version.to_string() }),
        None => Err(unknown_version()),
    }
}

fn is_better(new: &BackupKeyRecord, old: &BackupKeyRecord) -> bool {
    if new.is_verified != old.is_verified {
        return new.is_verified;
    }
    if new.first_message_index != old.first_message_index {
        return new.first_message_index < old.first_message_index;
    }
    new.forwarded_count < old.forwarded_count
}

fn backup_key(
    user: &OwnedUserId,
    version: u64,
    room_id: &OwnedRoomId,
    session_id: &str,
) -> BackupKeyKey {
    let session_id = session_id.to_owned();
    BackupKeyKey { user_id: user.clone(), version, room_id: room_id.clone(), session_id }
}

fn range(user: &OwnedUserId, version: u64, room_id: Option<&OwnedRoomId>) -> Scan<BackupKeyKey> {
    match room_id {
        Some(room_id) => Scan::prefix((user.clone(), version, room_id.clone())),
        None => Scan::prefix((user.clone(), version)),
    }
}

fn record(key: &BackedUpKey) -> Result<BackupKeyRecord> {
    if !key.session_data.get().trim_start().starts_with('{') {
        return Err(Error::bad_json("`session_data` must be an object"));
    }
    if key.session_data.get().len() > KEY_MAX_BYTES {
        return Err(Error::too_large("A backed up key is larger than 64 KiB"));
    }
    Ok(BackupKeyRecord {
        first_message_index: key.first_message_index,
        forwarded_count: key.forwarded_count,
        is_verified: key.is_verified,
        session_data: key.session_data.get().to_owned(),
    })
}

fn key_of(record: BackupKeyRecord) -> Result<BackedUpKey> {
    let session_data = RawValue::from_string(record.session_data)
        .map_err(|error| Error::bug(format!("stored backup key: {error}")))?;
    Ok(BackedUpKey {
        first_message_index: record.first_message_index,
        forwarded_count: record.forwarded_count,
        is_verified: record.is_verified,
        session_data,
    })
}
