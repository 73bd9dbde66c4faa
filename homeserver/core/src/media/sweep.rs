//! Removing what has ended: identifiers that were never uploaded to, files of other servers that nobody
//! asks for any more, bytes that nothing names.

use std::time::Duration;

use pli_schema::records::media::{ContentHash, MediaBytesKey, MediaKey, PendingMediaKey};
use pli_store::Scan;

use super::{Media, upload::expired};
use crate::{Error, Result};

/// Rows looked at in one step.
const STEP: usize = 200;

impl Media {
    /// One round through what may have ended, with a pause between two steps; returns how many rows
    /// were removed.
    ///
    /// # Errors
    /// Those of the store and of the disk.
    pub(crate) async fn sweep(&self, pause: Duration) -> Result<usize> {
        let pending = self.sweep_pending(pause).await?;
        let remote = self.sweep_remote(pause).await?;
        let unused = self.sweep_unused(pause).await?;
        Ok(pending.saturating_add(remote).saturating_add(unused))
    }

    async fn sweep_pending(&self, pause: Duration) -> Result<usize> {
        let now_ms = self.clock.now_ms();
        let mut range = Scan::<PendingMediaKey>::prefix(()).limit(STEP);
        let mut removed = 0;
        loop {
            let rows = self.store.scan(&range).await?;
            let Some(last) = rows.last().map(|row| row.key.clone()) else { return Ok(removed) };
            let over = rows.into_iter().filter(|row| expired(row.record, now_ms));
            let over: Vec<PendingMediaKey> = over.map(|row| row.key).collect();
            removed += over.len();
            self.remove_pending(&over).await?;
            range = range.after((last.user_id, last.media_id));
            tokio::time::sleep(pause).await;
        }
    }

    async fn remove_pending(&self, over: &[PendingMediaKey]) -> Result<()> {
        if over.is_empty() {
            return Ok(());
        }
        let now_ms = self.clock.now_ms();
        self.store
            .write(|tx| async move {
                for pending in over {
                    // Uploaded meanwhile: the entry is gone, the file stays.
                    if tx.get(pending).await?.is_some_and(|created| expired(created, now_ms)) {
                        let server_name = self.server_name.to_string();
                        tx.delete(&MediaKey { server_name, media_id: pending.media_id.clone() });
                        tx.delete(pending);
                    }
                }
                Ok::<_, Error>(())
            })
            .await
    }

    /// Bytes whose last file was deleted, where the server stopped before it had removed them.
    async fn sweep_unused(&self, pause: Duration) -> Result<usize> {
        let mut range = Scan::<MediaBytesKey>::prefix(()).limit(STEP);
        let mut removed = 0;
        loop {
            let rows = self.store.scan(&range).await?;
            let Some(last) = rows.last().map(|row| row.key.hash) else { return Ok(removed) };
            let unused = rows.into_iter().filter(|row| row.record.uses == 0);
            let unused: Vec<ContentHash> = unused.map(|row| row.key.hash).collect();
            for hash in unused {
                self.remove_unused(&hash).await?;
                removed += 1;
            }
            range = range.after((last,));
            tokio::time::sleep(pause).await;
        }
    }
}
