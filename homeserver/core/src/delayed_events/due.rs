//! Sending what is due.

use std::time::Duration;

use pli_schema::records::{
    accounts::AccountKey,
    delayed::{DelayedDueKey, DelayedEventKey},
};
use pli_store::Scan;
use tokio_util::sync::CancellationToken;

use super::{DelayedEvents, due_ms, outcome::Outcome};
use crate::{Error, Result};

/// The pause after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// Longest sleep. Nothing is due earlier than the store says, but the clock may be set.
const SLEEP_MAX_MS: u64 = 60_000;
/// Between two looks for events that do not stick any more.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

impl DelayedEvents {
    /// Sends what is due until `stop` is cancelled: first, in their order, what became due while the
    /// server was down.
    pub async fn run(self, stop: CancellationToken) {
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        while !stop.is_cancelled() {
            let pause = match self.send_due().await {
                Ok(next_in_ms) => Duration::from_millis(next_in_ms),
                Err(error) => {
                    tracing::error!(%error, "sending delayed events was interrupted");
                    STORE_PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
                _ = sweep.tick() => {
                    if let Err(error) = self.rooms.forget_expired_sticky_events().await {
                        tracing::error!(%error, "expired sticky events were not forgotten");
                    }
                }
            }
        }
    }

    /// Does what is due now; in how many milliseconds to look again.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn send_due(&self) -> Result<u64> {
        let first = Scan::<DelayedDueKey>::prefix(()).limit(1);
        loop {
            let Some(row) = self.store().scan(&first).await?.into_iter().next() else {
                return Ok(SLEEP_MAX_MS);
            };
            let wait_ms = row.key.at_ms.saturating_sub(self.clock().now_ms());
            if wait_ms > 0 {
                return Ok(wait_ms.min(SLEEP_MAX_MS));
            }
            self.act(row.key).await?;
        }
    }

    /// Sends one event, or forgets one that was finalised long ago.
    async fn act(&self, due: DelayedDueKey) -> Result<()> {
        let _lane = match self.lane(&due.delay_id) {
            Some(lane) => Some(lane.lock().await),
            None => None,
        };
        let delay_id = &due.delay_id;
        let key = DelayedEventKey { delay_id: delay_id.clone() };
        let record = self.store().get(&key).await?.filter(|record| due_ms(record) == due.at_ms);
        let Some(record) = record else {
            // Restarted or ended meanwhile: then this row is gone, or else nothing is behind it.
            return self.drop_due(&due).await;
        };
        if record.finalised.is_some() {
            return self.forget(delay_id).await;
        }
        let account = self.store().get(&AccountKey { user_id: record.user_id.clone() }).await?;
        if account.is_some_and(|account| account.deactivated || account.locked) {
            let error = Error::forbidden("The account is closed");
            return self.finalise(delay_id, Outcome::of_error(&error)).await;
        }
        let outcome = match self.send(delay_id, record).await {
            Ok(event_id) => Outcome::Sent(event_id),
            // The store may work again in a moment.
            Err(error @ Error::Store(_)) => return Err(error),
            Err(error) => Outcome::of_error(&error),
        };
        self.finalise(delay_id, outcome).await
    }

    async fn drop_due(&self, due: &DelayedDueKey) -> Result<()> {
        self.store()
            .write(|tx| async move {
                tx.delete(due);
                Ok(())
            })
            .await
    }
}
