//! What other servers tell of the devices and keys of their users.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#definition-mdevice_list_update>

use pli_schema::records::sending::{RemoteDeviceKey, RemoteUserKey, RemoteUserRecord};
use pli_store::Tx;
use ruma::{
    OwnedUserId, ServerName,
    api::federation::transactions::edu::{DeviceListUpdateContent, SigningKeyUpdateContent},
};

use super::{
    Devices,
    resync::{can_keep, kept},
};
use crate::{
    Error, Result,
    encryption::{are_device_keys, device_list_changed, is_cross_signing_key},
};

impl Devices {
    /// `m.device_list_update`: a device is new, has changed or is gone. What does not follow what is
    /// known makes the list stale.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn hear_device(
        &self,
        origin: &ServerName,
        update: &DeviceListUpdateContent,
    ) -> Result<()> {
        if !self.concerns(origin, &update.user_id).await? {
            return Ok(());
        }
        let became_stale = self
            .store()
            .write(|tx| async move {
                let key = RemoteUserKey { user_id: update.user_id.clone() };
                let Some(mut record) = tx.get(&key).await? else {
                    // Nobody has asked for the list yet.
                    device_list_changed(&tx, &update.user_id).await?;
                    return Ok::<_, Error>(false);
                };
                let stream_id = u64::from(update.stream_id);
                if !record.stale && stream_id == record.stream_id {
                    return Ok(false);
                }
                if !record.stale && follows(&record, update) && apply(&tx, update)? {
                    record.stream_id = stream_id;
                } else {
                    record.stale = true;
                    record.misses = record.misses.wrapping_add(1);
                    record.retry_at_ms = 0;
                }
                tx.put(&key, &record)?;
                device_list_changed(&tx, &update.user_id).await?;
                Ok(record.stale)
            })
            .await?;
        if became_stale {
            self.stale.notify_one();
        }
        Ok(())
    }

    /// `m.signing_key_update`: cross-signing keys are new.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn hear_keys(
        &self,
        origin: &ServerName,
        update: &SigningKeyUpdateContent,
    ) -> Result<()> {
        let user_id = &update.user_id;
        if !self.concerns(origin, user_id).await? {
            return Ok(());
        }
        let master = update.master_key.as_ref();
        let master = master.filter(|key| is_cross_signing_key(user_id, true, key));
        let self_signing = update.self_signing_key.as_ref();
        let self_signing = self_signing.filter(|key| is_cross_signing_key(user_id, false, key));
        self.store()
            .write(|tx| async move {
                let key = RemoteUserKey { user_id: user_id.clone() };
                if let Some(mut record) = tx.get(&key).await? {
                    if let Some(master) = master {
                        record.master_key = Some(master.json().get().to_owned());
                    }
                    if let Some(self_signing) = self_signing {
                        record.self_signing_key = Some(self_signing.json().get().to_owned());
                    }
                    tx.put(&key, &record)?;
                }
                device_list_changed(&tx, user_id).await
            })
            .await
    }

    /// Whether a server may tell of a user, and somebody here wants to know.
    async fn concerns(&self, origin: &ServerName, user_id: &OwnedUserId) -> Result<bool> {
        if user_id.server_name() != origin {
            tracing::info!(%origin, %user_id, "a server tells of the devices of another one's user");
            return Ok(false);
        }
        self.shares(user_id).await
    }
}

/// Whether nothing was missed between what is known and a change.
fn follows(record: &RemoteUserRecord, update: &DeviceListUpdateContent) -> bool {
    let known = record.stream_id;
    let mut before = update.prev_id.iter().map(|id| u64::from(*id));
    u64::from(update.stream_id) > known
        && if update.prev_id.is_empty() { known == 0 } else { before.all(|id| id == known) }
}

/// Takes a change over; `false` if it has not the right form: the whole list is asked for then.
fn apply(tx: &Tx, update: &DeviceListUpdateContent) -> Result<bool> {
    if !can_keep(&update.device_id) {
        return Ok(false);
    }
    let (user_id, device_id) = (update.user_id.clone(), update.device_id.clone());
    let key = RemoteDeviceKey { user_id, device_id };
    let Some(keys) = update.keys.as_ref().filter(|_| update.deleted != Some(true)) else {
        tx.delete(&key);
        return Ok(true);
    };
    if !are_device_keys(&update.user_id, &update.device_id, keys.json()) {
        return Ok(false);
    }
    let Some(text) = kept(keys, update.device_display_name.as_deref()) else { return Ok(false) };
    tx.put(&key, &text)?;
    Ok(true)
}
