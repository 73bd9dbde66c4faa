//! The answer to a send before the sync that tells it to the same device.
//!
//! An event reaches waiting syncs as soon as it is on disk, which may be before the answer to the send
//! itself is written. Clients mean to expect that, but matrix-js-sdk (43.0) takes a message in a thread
//! for failed then: its search for the echo looks only at the main timeline. So the sync of a device
//! waits a moment for the device's own sends that are still to be answered; nobody else does.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use axum::Extension;
use parking_lot::Mutex;
use pli_core::accounts::Authenticated;
use ruma::{OwnedDeviceId, OwnedUserId};
use tokio::sync::watch;

/// A sync waits no longer than this: another send of the device may take its time.
const WAIT_MAX: Duration = Duration::from_millis(100);

type Device = (OwnedUserId, OwnedDeviceId);

/// Sends that are under way, by device. Cheap to clone; holds nothing of devices that send nothing.
#[derive(Clone, Debug, Default)]
pub struct Sends(Arc<Mutex<HashMap<Device, watch::Sender<usize>>>>);

/// One send; it ends when the answer that carries it as an extension is written.
#[derive(Debug)]
pub struct UnderWay {
    sends: Sends,
    device: Device,
}

fn device_of(user: &Authenticated) -> Device {
    (user.user_id.clone(), user.device_id.clone())
}

impl Sends {
    /// A send begins. The handler puts what it gets into its answer.
    pub fn begin(&self, user: &Authenticated) -> Extension<Arc<UnderWay>> {
        Extension(Arc::new(self.begin_for(device_of(user))))
    }

    fn begin_for(&self, device: Device) -> UnderWay {
        let mut sends = self.0.lock();
        let count = sends.entry(device.clone()).or_insert_with(|| watch::Sender::new(0));
        count.send_modify(|count| *count = count.saturating_add(1));
        UnderWay { sends: self.clone(), device }
    }

    /// Waits until no send of this device is to be answered, for a tenth of a second at most.
    pub async fn answered(&self, user: &Authenticated) {
        self.answered_for(&device_of(user)).await;
    }

    async fn answered_for(&self, device: &Device) {
        let Some(mut count) = self.0.lock().get(device).map(watch::Sender::subscribe) else {
            return;
        };
        // Both ways it may end without an answer (too late, or the last send is gone) are as good.
        let _ = tokio::time::timeout(WAIT_MAX, count.wait_for(|count| *count == 0)).await;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Entry::Occupied(entry) = self.sends.0.lock().entry(self.device.clone()) {
            entry.get().send_modify(|count| *count = count.saturating_sub(1));
            if *entry.get().borrow() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ruma::{owned_device_id, owned_user_id};

    use super::*;

    #[tokio::test]
    async fn a_sync_waits_for_the_own_sends_only_and_not_for_ever() {
        let sends = Sends::default();
        let alice = (owned_user_id!("@alice:pli.example"), owned_device_id!("PHONE"));
        let bob = (owned_user_id!("@bob:pli.example"), owned_device_id!("PHONE"));
        let (one, two) = (sends.begin_for(alice.clone()), sends.begin_for(alice.clone()));
        sends.answered_for(&bob).await;
        let waiting = tokio::spawn({
            let (sends, alice) = (sends.clone(), alice.clone());
            async move { sends.answered_for(&alice).await }
        });
        tokio::task::yield_now().await;
        drop(one);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(two);
        waiting.await.unwrap();
        let slow = sends.begin_for(alice.clone());
        sends.answered_for(&alice).await;
        drop(slow);
        assert!(sends.0.lock().is_empty());
    }
}
