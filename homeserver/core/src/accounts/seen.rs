//! When and from where devices were last seen: kept coarse, so that reading costs no writing.

use std::num::NonZeroUsize;

use lru::LruCache;
use parking_lot::Mutex;
use pli_schema::records::accounts::DeviceKey;
use ruma::{OwnedDeviceId, OwnedUserId};

use super::{Accounts, Authenticated};
use crate::{Error, MilliSeconds, Result};

/// Devices remembered, at most.
const DEVICES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(65_535);
/// How fine the time is that is kept.
const GRAIN_MS: u64 = 10 * 60_000;

/// When the store was last told of a device.
#[derive(Debug)]
pub(super) struct Seen(Mutex<LruCache<(OwnedUserId, OwnedDeviceId), MilliSeconds>>);

impl Default for Seen {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(DEVICES)))
    }
}

impl Seen {
    /// Whether the store must be told; from then on it counts as told.
    fn is_news(&self, who: &Authenticated, now_ms: MilliSeconds) -> bool {
        let key = (who.user_id.clone(), who.device_id.clone());
        let mut told = self.0.lock();
        match told.get(&key) {
            Some(at) if at.saturating_add(GRAIN_MS) > now_ms => false,
            _ => {
                told.put(key, now_ms);
                true
            }
        }
    }
}

impl Accounts {
    /// Whether [`Self::note_seen`] is worth calling: true once in ten minutes for each device.
    #[must_use]
    pub fn is_news(&self, who: &Authenticated) -> bool {
        self.seen.is_news(who, self.clock.now_ms())
    }

    /// Notes that a device was seen, and from where; within ten minutes from the same place, once. The
    /// caller need not wait for it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn note_seen(&self, who: &Authenticated, ip: Option<String>) -> Result<()> {
        let now_ms = self.clock.now_ms();
        let key = &DeviceKey { user_id: who.user_id.clone(), device_id: who.device_id.clone() };
        let ip = &ip;
        self.store
            .write(|tx| async move {
                let Some(mut device) = tx.get(key).await? else {
                    return Ok(());
                };
                let same_ip = ip.is_none() || device.last_seen_ip == *ip;
                if same_ip && device.last_seen_ms.saturating_add(GRAIN_MS) > now_ms {
                    return Ok(());
                }
                device.last_seen_ms = now_ms;
                if ip.is_some() {
                    device.last_seen_ip.clone_from(ip);
                }
                Ok::<_, Error>(tx.put(key, &device)?)
            })
            .await
    }
}
