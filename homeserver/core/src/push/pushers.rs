//! Pushers: where a user's notifications go.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3pushersset>

use pli_schema::{
    Topic,
    records::push::{PushQueueKey, PusherKey, PusherRecord, PusherUserKey},
};
use pli_store::{Scan, Tx};
use ruma::{
    DeviceId, UserId,
    api::client::push::{
        Pusher, PusherIds, PusherKind,
        set_pusher::v3::{PusherAction, PusherPostData},
    },
};
use url::Url;

use super::Push;
use crate::{Error, Result};

/// Largest pusher, in bytes of its JSON.
const PUSHER_MAX_BYTES: usize = 16_384;
/// Pushers of a user.
const PUSHERS_MAX: usize = 100;

/// Removes, in a transaction, the pushers that a device has set. To be called where the device is
/// removed.
///
/// # Errors
/// Those of the store.
pub async fn remove_pushers_of_device(
    tx: &Tx,
    user_id: &UserId,
    device_id: &DeviceId,
) -> Result<()> {
    for row in tx.scan(&Scan::<PusherKey>::prefix((user_id.to_owned(),))).await? {
        if row.record.device_id == device_id {
            remove(tx, &row.key).await?;
        }
    }
    Ok(())
}

/// Removes a pusher with what waits for it.
pub(super) async fn remove(tx: &Tx, key: &PusherKey) -> Result<()> {
    let PusherKey { user_id, app_id, pushkey } = key.clone();
    for row in tx.scan(&Scan::<PushQueueKey>::prefix((user_id, app_id, pushkey))).await? {
        tx.delete(&row.key);
    }
    tx.delete(key);
    tx.delete(&by_pushkey(key));
    tx.wake(Topic::User(key.user_id.clone()));
    Ok(())
}

fn by_pushkey(key: &PusherKey) -> PusherUserKey {
    PusherUserKey {
        app_id: key.app_id.clone(),
        pushkey: key.pushkey.clone(),
        user_id: key.user_id.clone(),
    }
}

fn key_of(user_id: &UserId, ids: &PusherIds) -> PusherKey {
    PusherKey {
        user_id: user_id.to_owned(),
        app_id: ids.app_id.clone(),
        pushkey: ids.pushkey.clone(),
    }
}

/// A pusher as stored.
pub(super) fn parse(record: &PusherRecord) -> Result<Pusher> {
    serde_json::from_str(&record.json)
        .map_err(|error| Error::bug(format!("stored pusher: {error}")))
}

impl Push {
    /// The pushers of a user.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn pushers(&self, user_id: &UserId) -> Result<Vec<Pusher>> {
        let rows = self.store().scan(&Scan::<PusherKey>::prefix((user_id.to_owned(),))).await?;
        rows.iter().map(|row| parse(&row.record)).collect()
    }

    /// Sets or removes a pusher. Removing one that is not there is no error.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for ids that are too long, a kind other than `http`, or a gateway that
    /// may not be reached; [`Error::TooLarge`].
    pub async fn set_pusher(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        action: &PusherAction,
    ) -> Result<()> {
        match action {
            PusherAction::Post(data) => self.put_pusher(user_id, device_id, data).await,
            PusherAction::Delete(ids) => self.delete_pusher(&key_of(user_id, ids)).await,
            _ => Err(Error::invalid_param("There is no such action")),
        }
    }

    pub(super) async fn delete_pusher(&self, key: &PusherKey) -> Result<()> {
        self.store()
            .write(|tx| async move {
                if tx.get(key).await?.is_some() {
                    remove(&tx, key).await?;
                }
                Ok(())
            })
            .await
    }

    async fn put_pusher(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        data: &PusherPostData,
    ) -> Result<()> {
        self.check_pusher(&data.pusher)?;
        let json = serde_json::to_string(&data.pusher)
            .map_err(|error| Error::bug(format!("pusher: {error}")))?;
        if json.len() > PUSHER_MAX_BYTES {
            return Err(Error::too_large("The pusher is larger than 16 KiB"));
        }
        let set_at_s = self.clock().now_ms() / 1_000;
        let record = &PusherRecord { json, device_id: device_id.to_owned(), set_at_s };
        let (key, append) = (&key_of(user_id, &data.pusher.ids), data.append);
        self.store()
            .write(|tx| async move {
                let own = tx.scan(&Scan::<PusherKey>::prefix((key.user_id.clone(),))).await?;
                if own.len() >= PUSHERS_MAX && !own.iter().any(|row| row.key == *key) {
                    return Err(Error::invalid_param("You have too many pushers"));
                }
                if !append {
                    remove_of_others(&tx, key).await?;
                }
                tx.put(key, record)?;
                tx.put(&by_pushkey(key), &())?;
                tx.wake(Topic::User(key.user_id.clone()));
                Ok(())
            })
            .await
    }

    fn check_pusher(&self, pusher: &Pusher) -> Result<()> {
        let PusherIds { pushkey, app_id, .. } = &pusher.ids;
        if pushkey.is_empty() || pushkey.len() > 512 || app_id.is_empty() || app_id.len() > 64 {
            return Err(Error::invalid_param("`pushkey` or `app_id` is empty or too long"));
        }
        let PusherKind::Http(data) = &pusher.kind else {
            return Err(Error::invalid_param("Only pushers of the kind `http` are supported"));
        };
        let url = Url::parse(&data.url)
            .map_err(|_| Error::invalid_param("The URL of the gateway is malformed"))?;
        if url.path() != "/_matrix/push/v1/notify" {
            return Err(Error::invalid_param(
                "The path of the gateway must be /_matrix/push/v1/notify",
            ));
        }
        self.outgoing
            .check(&url)
            .map_err(|error| Error::invalid_param(format!("The gateway cannot be used: {error}")))
    }
}

/// The same app on the same device belongs to one user, unless the client says otherwise.
async fn remove_of_others(tx: &Tx, key: &PusherKey) -> Result<()> {
    let (app_id, pushkey) = (key.app_id.clone(), key.pushkey.clone());
    for row in tx.scan(&Scan::<PusherUserKey>::prefix((app_id, pushkey))).await? {
        if row.key.user_id != key.user_id {
            let PusherUserKey { app_id, pushkey, user_id } = row.key;
            remove(tx, &PusherKey { user_id, app_id, pushkey }).await?;
        }
    }
    Ok(())
}
