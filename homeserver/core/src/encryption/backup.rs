//! Backups of room keys: their versions. The keys in them are in `backup_keys`.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups>

use std::collections::BTreeMap;

use pli_schema::records::encryption::{
    BackupHeadKey, BackupKeyKey, BackupVersionKey, BackupVersionRecord,
};
use pli_store::{Scan, Tx};
use ruma::{OwnedRoomId, OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Encryption;
use crate::{Error, Result};

/// Largest `auth_data`, in bytes.
const AUTH_DATA_MAX_BYTES: usize = 65_536;
/// Keys deleted in one transaction.
const DELETIONS_PER_COMMIT: usize = 500;

/// What a client says of a backup.
#[derive(Clone, Debug, Deserialize)]
pub struct BackupDescription {
    /// The algorithm.
    pub algorithm: String,
    /// Data of the algorithm.
    pub auth_data: Box<RawValue>,
    /// The version, in updates only.
    #[serde(default)]
    pub version: Option<String>,
}

/// A backup.
#[derive(Clone, Debug)]
pub struct BackupInfo {
    /// Its version.
    pub version: String,
    /// The algorithm.
    pub algorithm: String,
    /// Data of the algorithm.
    pub auth_data: Box<RawValue>,
    /// State of the keys.
    pub state: BackupState,
}

/// Changes with the keys in a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupState {
    /// How many keys are stored.
    pub count: u64,
    /// Another number after each change.
    pub etag: u64,
}

/// The backup of one room key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackedUpKey {
    /// The first message that the key can decrypt.
    pub first_message_index: u64,
    /// How often it was forwarded.
    pub forwarded_count: u64,
    /// The device verified the device it got the key from.
    pub is_verified: bool,
    /// The encrypted key.
    pub session_data: Box<RawValue>,
}

/// Keys by room and session.
pub type BackedUpKeys = BTreeMap<OwnedRoomId, BTreeMap<String, BackedUpKey>>;

pub(super) fn unknown_version() -> Error {
    Error::not_found("Unknown backup version")
}

/// A version's number from its text on the wire.
pub(super) fn parse_version(version: &str) -> Result<u64> {
    version.parse().map_err(|_| unknown_version())
}

pub(super) fn version_key(user: &UserId, version: u64) -> BackupVersionKey {
    BackupVersionKey { user_id: user.to_owned(), version }
}

/// The newest backup that was not deleted.
pub(super) async fn current(tx: &Tx, user: &OwnedUserId) -> Result<Option<u64>> {
    let rows = tx.scan(&Scan::<BackupVersionKey>::prefix((user.clone(),)).backward()).await?;
    Ok(rows.into_iter().find(|row| !row.record.deleted).map(|row| row.key.version))
}

fn check(description: &BackupDescription) -> Result<()> {
    if !description.auth_data.get().trim_start().starts_with('{') {
        return Err(Error::bad_json("`auth_data` must be an object"));
    }
    if description.auth_data.get().len() > AUTH_DATA_MAX_BYTES || description.algorithm.len() > 255
    {
        return Err(Error::too_large("The description of the backup is too large"));
    }
    Ok(())
}

impl Encryption {
    /// Begins a backup; it is the current one from now on. Returns its version.
    ///
    /// # Errors
    /// [`Error::BadJson`], [`Error::TooLarge`] for a wrong description; those of the store.
    pub async fn create_backup(
        &self,
        user_id: &UserId,
        description: &BackupDescription,
    ) -> Result<String> {
        check(description)?;
        let user = &user_id.to_owned();
        self.store
            .write(|tx| async move {
                let head = BackupHeadKey { user_id: user.clone() };
                let version = tx.get(&head).await?.unwrap_or(0).saturating_add(1);
                tx.put(&head, &version)?;
                let record = BackupVersionRecord {
                    algorithm: description.algorithm.clone(),
                    auth_data: description.auth_data.get().to_owned(),
                    etag: 0,
                    count: 0,
                    deleted: false,
                };
                tx.put(&version_key(user, version), &record)?;
                Ok(version.to_string())
            })
            .await
    }

    /// A backup; the current one if no version is given.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none; those of the store.
    pub async fn backup(&self, user_id: &UserId, version: Option<&str>) -> Result<BackupInfo> {
        let (number, record) = match version {
            Some(version) => {
                let number = parse_version(version)?;
                let record = self.store.get(&version_key(user_id, number)).await?;
                (number, record.filter(|record| !record.deleted).ok_or_else(unknown_version)?)
            }
            None => {
                let versions = Scan::<BackupVersionKey>::prefix((user_id.to_owned(),)).backward();
                let rows = self.store.scan(&versions).await?;
                let row = rows.into_iter().find(|row| !row.record.deleted);
                let row = row.ok_or_else(|| Error::not_found("No current backup version"))?;
                (row.key.version, row.record)
            }
        };
        let auth_data = RawValue::from_string(record.auth_data)
            .map_err(|error| Error::bug(format!("stored backup: {error}")))?;
        Ok(BackupInfo {
            version: number.to_string(),
            algorithm: record.algorithm,
            auth_data,
            state: BackupState { count: record.count, etag: record.etag },
        })
    }

    /// Replaces the `auth_data` of a backup.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such backup; [`Error::InvalidParam`] for another algorithm or
    /// version.
    pub async fn update_backup(
        &self,
        user_id: &UserId,
        version: &str,
        description: &BackupDescription,
    ) -> Result<()> {
        check(description)?;
        if description.version.as_deref().is_some_and(|other| other != version) {
            return Err(Error::invalid_param("The version in the body is another one"));
        }
        let key = &version_key(user_id, parse_version(version)?);
        self.store
            .write(|tx| async move {
                let record = tx.get(key).await?.filter(|record| !record.deleted);
                let mut record = record.ok_or_else(unknown_version)?;
                if record.algorithm != description.algorithm {
                    return Err(Error::invalid_param("Algorithm does not match"));
                }
                record.auth_data = description.auth_data.get().to_owned();
                tx.put(key, &record)?;
                Ok(())
            })
            .await
    }

    /// Deletes a backup with its keys. Deleting it again is no error.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there never was such a backup; those of the store.
    pub async fn delete_backup(&self, user_id: &UserId, version: &str) -> Result<()> {
        let number = parse_version(version)?;
        let key = &version_key(user_id, number);
        self.store
            .write(|tx| async move {
                let mut record = tx.get(key).await?.ok_or_else(unknown_version)?;
                record.deleted = true;
                record.count = 0;
                tx.put(key, &record)?;
                Ok::<_, Error>(())
            })
            .await?;
        let user = user_id.to_owned();
        let part = &Scan::<BackupKeyKey>::prefix((user, number)).limit(DELETIONS_PER_COMMIT);
        loop {
            let deleted = self
                .store
                .write(|tx| async move {
                    let rows = tx.scan(part).await?;
                    for row in &rows {
                        tx.delete(&row.key);
                    }
                    Ok::<_, Error>(rows.len())
                })
                .await?;
            if deleted < DELETIONS_PER_COMMIT {
                return Ok(());
            }
        }
    }
}
