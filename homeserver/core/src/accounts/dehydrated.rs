//! Dehydrated devices: a device without a client that takes room keys for a user who is nowhere signed
//! in ([MSC3814](https://github.com/matrix-org/matrix-spec-proposals/pull/3814)).

use pli_schema::records::{
    accounts::{DeviceKey, DeviceRecord},
    sync::{DehydratedDeviceKey, DehydratedDeviceRecord},
};
use pli_store::Tx;
use ruma::{DeviceId, OwnedDeviceId, UserId};

use super::{Accounts, devices::delete_device};
use crate::{Error, Result, encryption};

/// Largest `device_data`, in bytes.
const DATA_BYTES_MAX: usize = 256 * 1024;

/// A dehydrated device as a client uploads it.
#[derive(Clone, Debug)]
pub struct DehydratedUpload {
    /// Its id.
    pub device_id: OwnedDeviceId,
    /// Its name.
    pub display_name: Option<String>,
    /// With what a client brings it back, a JSON object.
    pub data: String,
    /// Its keys.
    pub keys: encryption::KeyUpload,
}

fn none() -> Error {
    Error::not_found("There is no dehydrated device")
}

impl Accounts {
    /// Puts a dehydrated device in the place of the one before, with its keys: all of it or nothing.
    ///
    /// # Errors
    /// As [`crate::Encryption::upload_keys`]; [`Error::InvalidParam`] if a client is signed in as that
    /// device; [`Error::TooLarge`].
    pub async fn put_dehydrated_device(
        &self,
        user_id: &UserId,
        upload: &DehydratedUpload,
    ) -> Result<()> {
        if upload.data.len() > DATA_BYTES_MAX {
            return Err(Error::too_large("The dehydrated device is too large"));
        }
        let keys = &encryption::check_upload(user_id, &upload.device_id, &upload.keys)?;
        let device = &(user_id.to_owned(), upload.device_id.clone());
        let now_ms = self.clock.now_ms();
        let ended = self
            .store
            .write(|tx| async move {
                let slot = DehydratedDeviceKey { user_id: device.0.clone() };
                let mut ended = Vec::new();
                if let Some(before) = tx.get(&slot).await? {
                    ended = delete_device(&tx, user_id, &before.device_id).await?;
                }
                let key = DeviceKey { user_id: device.0.clone(), device_id: device.1.clone() };
                if tx.get(&key).await?.is_some() {
                    return Err(Error::invalid_param("There is a device of this id already"));
                }
                let record = DeviceRecord {
                    display_name: upload.display_name.clone(),
                    created_ms: now_ms,
                    last_seen_ms: now_ms,
                    last_seen_ip: None,
                    tokens: Vec::new(),
                };
                tx.put(&key, &record)?;
                let (device_id, data) = (device.1.clone(), upload.data.clone());
                tx.put(&slot, &DehydratedDeviceRecord { device_id, data })?;
                encryption::put_upload(&tx, device, keys).await?;
                Ok(ended)
            })
            .await?;
        self.forget_tokens(&ended);
        Ok(())
    }

    /// The dehydrated device of a user.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none.
    pub async fn dehydrated_device(&self, user_id: &UserId) -> Result<DehydratedDeviceRecord> {
        let slot = DehydratedDeviceKey { user_id: user_id.to_owned() };
        self.store.get(&slot).await?.ok_or_else(none)
    }

    /// Removes the dehydrated device of a user; its id.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none.
    pub async fn delete_dehydrated_device(&self, user_id: &UserId) -> Result<OwnedDeviceId> {
        let slot = &DehydratedDeviceKey { user_id: user_id.to_owned() };
        let (device_id, ended) = self
            .store
            .write(|tx| async move {
                let device_id = tx.get(slot).await?.ok_or_else(none)?.device_id;
                let ended = delete_device(&tx, user_id, &device_id).await?;
                // Also if the device itself was gone already.
                tx.delete(slot);
                Ok::<_, Error>((device_id, ended))
            })
            .await?;
        self.forget_tokens(&ended);
        Ok(device_id)
    }
}

/// Notes in a transaction that a device is removed: if it is the dehydrated one, there is none then.
///
/// # Errors
/// Those of the store.
pub(super) async fn forget(tx: &Tx, user_id: &UserId, device_id: &DeviceId) -> Result<()> {
    let slot = DehydratedDeviceKey { user_id: user_id.to_owned() };
    if tx.get(&slot).await?.is_some_and(|record| record.device_id == device_id) {
        tx.delete(&slot);
    }
    Ok(())
}
