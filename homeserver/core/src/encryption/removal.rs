//! What goes with a device.

use pli_schema::records::encryption::{
    DeviceKeysKey, FallbackKeyKey, KeySignatureKey, KeyStockKey, OneTimeKeyByIdKey, OneTimeKeyKey,
    ToDeviceKey,
};
use pli_store::{Scan, Tx};
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};

use super::device_list_changed;
use crate::Result;

/// Removes, in a transaction, everything this area keeps of a device: keys, stock, inbox, signatures.
/// To be called where the device itself is removed. Those who share a room learn of it.
///
/// # Errors
/// Those of the store.
pub async fn remove_device(tx: &Tx, user_id: &UserId, device_id: &DeviceId) -> Result<()> {
    let (user, device) = (user_id.to_owned(), device_id.to_owned());
    let key = DeviceKeysKey { user_id: user.clone(), device_id: device.clone() };
    if tx.get(&key).await?.is_some() {
        tx.delete(&key);
        device_list_changed(tx, user_id).await?;
    }
    remove_one_time_keys(tx, &user, &device).await?;
    let signatures = Scan::<KeySignatureKey>::prefix((user.clone(), device.to_string()));
    for row in tx.scan(&signatures).await? {
        tx.delete(&row.key);
    }
    for row in tx.scan(&Scan::<ToDeviceKey>::prefix((user, device))).await? {
        tx.delete(&row.key);
    }
    Ok(())
}

/// Removes the one-time and fallback keys of a device and what is known of them.
pub(super) async fn remove_one_time_keys(
    tx: &Tx,
    user: &OwnedUserId,
    device: &OwnedDeviceId,
) -> Result<()> {
    let prefix = || (user.clone(), device.clone());
    for row in tx.scan(&Scan::<OneTimeKeyKey>::prefix(prefix())).await? {
        tx.delete(&row.key);
    }
    for row in tx.scan(&Scan::<OneTimeKeyByIdKey>::prefix(prefix())).await? {
        tx.delete(&row.key);
    }
    for row in tx.scan(&Scan::<FallbackKeyKey>::prefix(prefix())).await? {
        tx.delete(&row.key);
    }
    tx.delete(&KeyStockKey { user_id: user.clone(), device_id: device.clone() });
    Ok(())
}
