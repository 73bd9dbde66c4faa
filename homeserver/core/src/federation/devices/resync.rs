//! Asking for the whole list of a user's devices.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1userdevicesuserid>

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use pli_schema::records::sending::{RemoteDeviceKey, RemoteUserKey, RemoteUserRecord};
use pli_store::{Scan, Tx};
use ruma::{
    DeviceId, OwnedDeviceId, OwnedUserId,
    api::federation::device::get_devices::v1::{Request, Response},
    encryption::{CrossSigningKey, DeviceKeys},
    serde::Raw,
};
use tokio_util::sync::CancellationToken;

use super::{Devices, LANES};
use crate::{
    Error, Result,
    encryption::{are_device_keys, device_list_changed, is_cross_signing_key},
    federation::{Bounds, RemoteError},
};

/// Devices of one user that are kept.
const DEVICES_MAX: usize = 1_000;
/// Bytes of all keys of one user that are kept.
const KEYS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of the id of a device at most.
const DEVICE_ID_BYTES_MAX: usize = 200;
/// Lists that are asked for at the same time.
const ASKED_AT_ONCE: usize = 8;
/// The first pause after a list could not be had, and the longest one.
const PAUSE_MS: (u64, u64) = (2_000, 3_600_000);
/// Old messages of other servers are forgotten every so often.
const SWEEP_EVERY_MS: u64 = 3_600_000;
/// The longest time between two looks for stale lists.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// The shortest.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Whether an id can be kept.
pub(super) fn can_keep(device_id: &DeviceId) -> bool {
    (1..=DEVICE_ID_BYTES_MAX).contains(&device_id.as_str().len())
}

/// The keys of a device as they are kept: with the name that its server tells.
pub(super) fn kept(keys: &Raw<DeviceKeys>, name: Option<&str>) -> Option<String> {
    let mut object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(keys.json().get()).ok()?;
    object.remove("unsigned");
    if let Some(name) = name {
        object.insert("unsigned".to_owned(), serde_json::json!({ "device_display_name": name }));
    }
    serde_json::to_string(&object).ok()
}

/// What an answer says, as far as it has the right form.
struct Checked {
    stream_id: u64,
    devices: BTreeMap<OwnedDeviceId, String>,
    master_key: Option<String>,
    self_signing_key: Option<String>,
}

fn checked(user_id: &OwnedUserId, answer: Response) -> Checked {
    let mut devices = BTreeMap::new();
    let mut bytes = 0_usize;
    for device in answer.devices.into_iter().take(DEVICES_MAX) {
        let name = device.device_display_name.as_deref();
        let right = can_keep(&device.device_id)
            && are_device_keys(user_id, &device.device_id, device.keys.json());
        let Some(text) = kept(&device.keys, name).filter(|_| right) else { continue };
        bytes = bytes.saturating_add(text.len());
        if bytes <= KEYS_BYTES_MAX {
            devices.insert(device.device_id, text);
        }
    }
    let key = |is_master: bool, key: Option<Raw<CrossSigningKey>>| {
        let key = key.filter(|key| is_cross_signing_key(user_id, is_master, key));
        key.map(|key| key.json().get().to_owned())
    };
    Checked {
        stream_id: answer.stream_id.into(),
        devices,
        master_key: key(true, answer.master_key),
        self_signing_key: key(false, answer.self_signing_key),
    }
}

impl Devices {
    /// Asks for lists that became stale, until `stop` is cancelled. What failed is asked for again, also
    /// after a restart.
    pub async fn run(self, stop: CancellationToken) {
        if !self.parts.signed.partners().is_enabled() {
            return;
        }
        let mut sweep_ms = 0;
        loop {
            let news = self.stale.notified();
            let pause = match self.resync_due().await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::error!(%error, "lists of devices were not asked for");
                    LOOK_EVERY
                }
            };
            let now_ms = self.clock().now_ms();
            if now_ms >= sweep_ms {
                sweep_ms = now_ms.saturating_add(SWEEP_EVERY_MS);
                if let Err(error) = self.parts.encryption.forget_received().await {
                    tracing::error!(%error, "old messages of other servers were not forgotten");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = news => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Asks for the stale lists whose time has come; how long until the next ones.
    async fn resync_due(&self) -> Result<Duration> {
        let now_ms = self.clock().now_ms();
        let rows = self.store().scan(&Scan::<RemoteUserKey>::prefix(())).await?;
        let stale = rows.into_iter().filter(|row| row.record.stale);
        let (due, later): (Vec<_>, Vec<_>) =
            stale.partition(|row| row.record.retry_at_ms <= now_ms);
        let asked: Vec<_> = due
            .into_iter()
            .map(|row| async move { self.resync(&row.key.user_id).await.map(drop) })
            .collect();
        let mut asked = stream::iter(asked).buffer_unordered(ASKED_AT_ONCE);
        while let Some(done) = asked.next().await {
            done?;
        }
        let next_ms = later.iter().map(|row| row.record.retry_at_ms).min();
        let pause = next_ms.map(|at| Duration::from_millis(at.saturating_sub(now_ms)));
        Ok(pause.unwrap_or(LOOK_EVERY).clamp(LOOK_AGAIN, LOOK_EVERY))
    }

    /// Asks for the list of a user, unless it is had already. Whoever shares a room with the user learns
    /// of what changed. The list of someone who shares no room any more is forgotten.
    pub(super) async fn resync(&self, user_id: &OwnedUserId) -> Result<Result<(), RemoteError>> {
        let mut hasher = DefaultHasher::new();
        user_id.hash(&mut hasher);
        let lane = usize::try_from(hasher.finish()).unwrap_or(0) % LANES;
        let Some(lane) = self.lanes.get(lane) else {
            return Err(Error::bug("a lane is missing"));
        };
        let _turn = lane.lock().await;
        let key = RemoteUserKey { user_id: user_id.clone() };
        let before = self.store().get(&key).await?;
        if before.as_ref().is_some_and(|record| !record.stale) {
            return Ok(Ok(()));
        }
        if !self.shares(user_id).await? {
            self.forget(user_id).await?;
            return Ok(Ok(()));
        }
        let remote = self.parts.signed.remote();
        let request = Request::new(user_id.clone());
        let answer = remote.request(user_id.server_name(), request, Bounds::SMALL).await;
        match answer {
            Ok(answer) if answer.user_id == *user_id => {
                let misses = before.map_or(0, |record| record.misses);
                self.keep(user_id, misses, checked(user_id, answer)).await?;
                Ok(Ok(()))
            }
            Ok(_) => {
                let error = RemoteError::Malformed("the devices of another user".to_owned());
                self.note_failure(user_id, &error).await?;
                Ok(Err(error))
            }
            Err(error) => {
                self.note_failure(user_id, &error).await?;
                Ok(Err(error))
            }
        }
    }

    /// Keeps a list. It stays stale if another change was missed while it was asked for.
    async fn keep(&self, user_id: &OwnedUserId, misses: u32, list: Checked) -> Result<()> {
        let list = &list;
        let missed_more = self
            .store()
            .write(|tx| async move {
                let key = RemoteUserKey { user_id: user_id.clone() };
                let before = tx.get(&key).await?.unwrap_or_default();
                let stale = before.misses != misses;
                let keys_changed = before.master_key != list.master_key
                    || before.self_signing_key != list.self_signing_key;
                let record = RemoteUserRecord {
                    stream_id: list.stream_id,
                    stale,
                    misses: before.misses,
                    failures: 0,
                    retry_at_ms: 0,
                    master_key: list.master_key.clone(),
                    self_signing_key: list.self_signing_key.clone(),
                };
                tx.put(&key, &record)?;
                if put_devices(&tx, user_id, &list.devices).await? || keys_changed {
                    device_list_changed(&tx, user_id).await?;
                }
                Ok::<_, Error>(stale)
            })
            .await?;
        if missed_more {
            self.stale.notify_one();
        }
        Ok(())
    }

    async fn note_failure(&self, user_id: &OwnedUserId, error: &RemoteError) -> Result<()> {
        tracing::debug!(%user_id, %error, "a list of devices could not be had");
        let now_ms = self.clock().now_ms();
        let mut byte = [0_u8];
        self.parts.random.fill(&mut byte);
        let [jitter] = byte;
        self.store()
            .write(|tx| async move {
                let key = RemoteUserKey { user_id: user_id.clone() };
                let mut record = tx.get(&key).await?.unwrap_or_default();
                let (first, longest) = PAUSE_MS;
                let full = first.saturating_mul(1 << record.failures.min(20)).min(longest);
                let pause_ms = full / 2 + full.saturating_mul(u64::from(jitter)) / 510;
                record.stale = true;
                record.failures = record.failures.saturating_add(1);
                record.retry_at_ms = now_ms.saturating_add(pause_ms);
                Ok::<_, Error>(tx.put(&key, &record)?)
            })
            .await?;
        // Whoever waits for stale lists learns when to try again.
        self.stale.notify_one();
        Ok(())
    }

    /// A server is there again: its lists are asked for now.
    pub(in crate::federation) async fn is_back(&self, server: &ruma::ServerName) -> Result<()> {
        let rows = self.store().scan(&Scan::<RemoteUserKey>::prefix(())).await?;
        let waiting = rows.into_iter().filter(|row| {
            row.record.stale
                && row.record.retry_at_ms > 0
                && row.key.user_id.server_name() == server
        });
        let waiting: Vec<RemoteUserKey> = waiting.map(|row| row.key).collect();
        for key in &waiting {
            self.store()
                .write(|tx| async move {
                    if let Some(mut record) = tx.get(key).await? {
                        record.retry_at_ms = 0;
                        tx.put(key, &record)?;
                    }
                    Ok::<_, Error>(())
                })
                .await?;
        }
        if !waiting.is_empty() {
            self.stale.notify_one();
        }
        Ok(())
    }

    /// Forgets the list of a user: it is tracked no more.
    pub(super) async fn forget(&self, user_id: &OwnedUserId) -> Result<()> {
        self.store()
            .write(|tx| async move {
                tx.delete(&RemoteUserKey { user_id: user_id.clone() });
                put_devices(&tx, user_id, &BTreeMap::new()).await.map(drop)
            })
            .await
    }
}

/// Makes these the devices of a user; whether anything changed.
async fn put_devices(
    tx: &Tx,
    user_id: &OwnedUserId,
    devices: &BTreeMap<OwnedDeviceId, String>,
) -> Result<bool> {
    let mut changed = false;
    let mut known = BTreeMap::new();
    for row in tx.scan(&Scan::<RemoteDeviceKey>::prefix((user_id.clone(),))).await? {
        if !devices.contains_key(&row.key.device_id) {
            tx.delete(&row.key);
            changed = true;
        }
        known.insert(row.key.device_id, row.record);
    }
    for (device_id, text) in devices {
        if known.get(device_id) != Some(text) {
            let (user_id, device_id) = (user_id.clone(), device_id.clone());
            tx.put(&RemoteDeviceKey { user_id, device_id }, text)?;
            changed = true;
        }
    }
    Ok(changed)
}
