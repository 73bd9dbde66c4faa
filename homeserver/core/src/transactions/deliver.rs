//! A transaction on its way: in the store first, then to the service until it takes it.

use std::time::Duration;

use pli_schema::records::appservices::{AppservicePartKey, PendingTransaction};
use tokio_util::sync::CancellationToken;

use super::{Follower, batch::Batch};
use crate::{Error, Result};

/// The first pause after a failure, and the longest one.
const PAUSE_MS: (u64, u64) = (1_000, 600_000);
/// Bytes of one part of a body.
const PART_BYTES: usize = 64 * 1024;

impl Follower {
    /// Puts a transaction into the store, with the place that it reaches.
    pub(super) async fn put_pending(&mut self, batch: Batch) -> Result<()> {
        let body = batch.body();
        let parts = &split(&body);
        let mut progress = self.progress.clone();
        progress.pending = Some(PendingTransaction {
            txn_id: progress.next_txn,
            parts: u32::try_from(parts.len()).unwrap_or(u32::MAX),
            then: batch.then,
            inboxes: batch.inboxes,
        });
        progress.next_txn = progress.next_txn.saturating_add(1);
        let (key, service, record) = (&self.key(), &self.service.id, &progress);
        self.all
            .store()
            .write(|tx| async move {
                for (part, text) in (0_u32..).zip(parts) {
                    let key = AppservicePartKey { service: service.to_string(), part };
                    tx.put(&key, &(*text).to_owned())?;
                }
                tx.put(key, record)?;
                Ok::<_, Error>(())
            })
            .await?;
        self.progress = progress;
        Ok(())
    }

    /// Sends the transaction that waits until the service takes it; `false` if the server stops before.
    pub(super) async fn deliver(&mut self, stop: &CancellationToken) -> Result<bool> {
        let Some(pending) = self.progress.pending.clone() else {
            return Ok(true);
        };
        let body = self.body(&pending).await?;
        let mut failures = 0_u32;
        while let Err(error) =
            self.all.parts.appservices.push(&self.service, pending.txn_id, &body).await
        {
            let service = &*self.service.id;
            if failures == 0 {
                tracing::warn!(service, %error, "an application service did not take a transaction");
            } else {
                tracing::debug!(service, failures, %error, "nor did it take it again");
            }
            let pause = tokio::time::sleep(self.pause(failures));
            tokio::select! {
                () = stop.cancelled() => return Ok(false),
                () = self.service.retry.notified() => failures = 0,
                () = pause => failures = failures.saturating_add(1),
            }
        }
        if failures > 0 {
            tracing::info!(service = &*self.service.id, "the application service is there again");
        }
        self.settle(pending).await?;
        Ok(true)
    }

    async fn body(&self, pending: &PendingTransaction) -> Result<String> {
        let mut body = String::new();
        for part in 0..pending.parts {
            let key = AppservicePartKey { service: self.service.id.to_string(), part };
            let text = self.all.store().get(&key).await?;
            body.push_str(&text.ok_or_else(|| Error::bug("a part of a transaction is missing"))?);
        }
        Ok(body)
    }

    /// The service has the transaction.
    async fn settle(&mut self, pending: PendingTransaction) -> Result<()> {
        for (user_id, device_id, position) in &pending.inboxes {
            let encryption = &self.all.parts.encryption;
            encryption.delete_inbox_up_to(user_id, device_id, *position).await?;
        }
        let mut progress = self.progress.clone();
        progress.place = pending.then;
        progress.pending = None;
        let (key, service, record) = (&self.key(), &self.service.id, &progress);
        self.all
            .store()
            .write(|tx| async move {
                for part in 0..pending.parts {
                    tx.delete(&AppservicePartKey { service: service.to_string(), part });
                }
                tx.put(key, record)?;
                Ok::<_, Error>(())
            })
            .await?;
        self.written = progress.place.position;
        self.progress = progress;
        Ok(())
    }

    /// The pause after so many failures: doubled each time, and jittered.
    fn pause(&self, failures: u32) -> Duration {
        let (first, longest) = PAUSE_MS;
        let full = first.saturating_mul(1 << failures.min(20)).min(longest);
        let mut byte = [0_u8];
        self.all.parts.random.fill(&mut byte);
        let [byte] = byte;
        Duration::from_millis(full / 2 + full.saturating_mul(u64::from(byte)) / 510)
    }
}

/// A text in parts that the store takes.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = PART_BYTES.min(rest.len());
        while !rest.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        let (part, after) = rest.split_at(end);
        parts.push(part);
        rest = after;
    }
    parts
}
