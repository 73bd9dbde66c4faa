//! Devices: listed, renamed, ended with their sessions.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#device-management>

use pli_schema::{
    Topic,
    records::accounts::{DeviceKey, DeviceRecord, SecretHash},
};
use pli_store::{Scan, Tx};
use ruma::{DeviceId, OwnedDeviceId, UserId};

use super::{Accounts, Authenticated, oauth_sessions::forget_oauth_session, tokens::end_tokens};
use crate::{Error, Result, account_data, encryption, push};

/// Longest name of a device, in characters.
const DISPLAY_NAME_MAX: usize = 256;

/// A device of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub device_id: OwnedDeviceId,
    /// Its name; the id where it has none, because some clients cannot do without.
    pub display_name: String,
    /// When it was last seen, in milliseconds since 1970.
    pub last_seen_ms: u64,
    /// From where it was last seen.
    pub last_seen_ip: Option<String>,
}

impl Device {
    fn new(device_id: OwnedDeviceId, record: DeviceRecord) -> Self {
        let display_name = record.display_name.unwrap_or_else(|| device_id.to_string());
        let DeviceRecord { last_seen_ms, last_seen_ip, .. } = record;
        Self { device_id, display_name, last_seen_ms, last_seen_ip }
    }
}

fn key(user_id: &UserId, device_id: &DeviceId) -> DeviceKey {
    DeviceKey { user_id: user_id.to_owned(), device_id: device_id.to_owned() }
}

fn no_such_device() -> Error {
    Error::not_found("There is no such device")
}

impl Accounts {
    /// The devices of a user, by id.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn devices(&self, user_id: &UserId) -> Result<Vec<Device>> {
        let rows = self.store.scan(&Scan::<DeviceKey>::prefix((user_id.to_owned(),))).await?;
        Ok(rows.into_iter().map(|row| Device::new(row.key.device_id, row.record)).collect())
    }

    /// A device of a user.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn device(&self, user_id: &UserId, device_id: &DeviceId) -> Result<Device> {
        let record = self.store.get(&key(user_id, device_id)).await?.ok_or_else(no_such_device)?;
        Ok(Device::new(device_id.to_owned(), record))
    }

    /// Gives a device a name.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::TooLarge`] for a name above 256 characters.
    pub async fn rename_device(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        name: Option<&str>,
    ) -> Result<()> {
        if name.is_some_and(|name| name.chars().count() > DISPLAY_NAME_MAX) {
            return Err(Error::too_large("The name of a device has at most 256 characters"));
        }
        let key = &key(user_id, device_id);
        self.store
            .write(|tx| async move {
                let mut record = tx.get(key).await?.ok_or_else(no_such_device)?;
                if name.is_some() {
                    record.display_name = name.map(str::to_owned);
                    tx.put(key, &record)?;
                    // The name is part of what others see of the device.
                    encryption::device_list_changed(&tx, user_id).await?;
                }
                Ok(())
            })
            .await
    }

    /// Removes devices with their sessions and keys. Those that do not exist are left out.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn delete_devices(&self, user_id: &UserId, devices: &[OwnedDeviceId]) -> Result<()> {
        let ended = self
            .store
            .write(|tx| async move {
                let mut ended = Vec::new();
                for device_id in devices {
                    ended.extend(delete_device(&tx, user_id, device_id).await?);
                }
                Ok::<_, Error>(ended)
            })
            .await?;
        self.forget_tokens(&ended);
        Ok(())
    }

    /// Ends a session; its device goes with it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn logout(&self, who: &Authenticated) -> Result<()> {
        self.delete_devices(&who.user_id, std::slice::from_ref(&who.device_id)).await
    }

    /// Ends every session of a user, but that of one device if one is given.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn logout_all(&self, user_id: &UserId, but: Option<&DeviceId>) -> Result<()> {
        let ended = self
            .store
            .write(|tx| async move { delete_all_devices(&tx, user_id, but).await })
            .await?;
        self.forget_tokens(&ended);
        Ok(())
    }
}

/// The account data in which a client keeps whether a device is silent, before the device's id
/// ([MSC3890](https://github.com/matrix-org/matrix-spec-proposals/pull/3890)): it goes with the device.
const NOTIFICATION_SETTINGS: [&str; 2] =
    ["m.local_notification_settings", "org.matrix.msc3890.local_notification_settings"];

/// Removes a device in a transaction; returns the access tokens that end with it.
pub(super) async fn delete_device(
    tx: &Tx,
    user_id: &UserId,
    device_id: &DeviceId,
) -> Result<Vec<SecretHash>> {
    let key = key(user_id, device_id);
    if tx.get(&key).await?.is_none() {
        return Ok(Vec::new());
    }
    let ended = end_tokens(tx, user_id, device_id, |_| true).await?;
    forget_oauth_session(tx, user_id, device_id).await?;
    encryption::remove_device(tx, user_id, device_id).await?;
    push::remove_pushers_of_device(tx, user_id, device_id).await?;
    for settings in NOTIFICATION_SETTINGS {
        account_data::delete(tx, user_id, None, &format!("{settings}.{device_id}")).await?;
    }
    super::dehydrated::forget(tx, user_id, device_id).await?;
    tx.delete(&key);
    tx.wake(Topic::Device(key.user_id, key.device_id));
    Ok(ended)
}

/// Removes every device of a user, but one if one is given.
pub(super) async fn delete_all_devices(
    tx: &Tx,
    user_id: &UserId,
    but: Option<&DeviceId>,
) -> Result<Vec<SecretHash>> {
    let mut ended = Vec::new();
    for row in tx.scan(&Scan::<DeviceKey>::prefix((user_id.to_owned(),))).await? {
        if but != Some(&*row.key.device_id) {
            ended.extend(delete_device(tx, user_id, &row.key.device_id).await?);
        }
    }
    Ok(ended)
}
