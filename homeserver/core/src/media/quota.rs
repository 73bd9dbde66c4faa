//! What users have uploaded, and how much they may.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#content-repo-security-considerations>

use pli_schema::records::media::{
    MediaKey, MediaOfUserKey, MediaRecord, MediaUsageKey, MediaUsageRecord,
};
use pli_store::Tx;
use ruma::UserId;

use super::Media;
use crate::{Error, Result};

/// Bytes of the pictures of previews, in all, which nobody has uploaded.
const PREVIEW_BYTES_MAX: u64 = 1024 * 1024 * 1024;

impl Media {
    /// What a user has uploaded.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn usage(&self, user_id: &UserId) -> Result<MediaUsageRecord> {
        let key = MediaUsageKey { user_id: user_id.to_owned() };
        Ok(self.store.get(&key).await?.unwrap_or_default())
    }

    /// Refuses who has no room left, before any bytes are read.
    pub(super) async fn check_quota(&self, user_id: &UserId) -> Result<()> {
        let usage = self.usage(user_id).await?;
        let one_more = MediaUsageRecord { files: usage.files.saturating_add(1), ..usage };
        self.check_usage(user_id, one_more)
    }

    fn check_usage(&self, user_id: &UserId, usage: MediaUsageRecord) -> Result<()> {
        let (bytes_max, files_max) = if *user_id == self.previewer {
            (PREVIEW_BYTES_MAX, 0)
        } else {
            (self.settings.user_quota_bytes, self.settings.user_quota_files)
        };
        let above = |used: u64, max: u64| max > 0 && used > max;
        if above(usage.bytes, bytes_max) || above(usage.files, files_max) {
            return Err(Error::forbidden("Your files take all the room that you have here"));
        }
        Ok(())
    }

    /// Counts a file that is written in this transaction, unless it is too much.
    pub(super) async fn count_file(
        &self,
        tx: &Tx,
        key: &MediaKey,
        record: &MediaRecord,
    ) -> Result<()> {
        let size_bytes = record.content.as_ref().map_or(0, |content| content.size_bytes);
        let usage_key = MediaUsageKey { user_id: record.uploader.clone() };
        let before = tx.get(&usage_key).await?.unwrap_or_default();
        let usage = MediaUsageRecord {
            files: before.files.saturating_add(1),
            bytes: before.bytes.saturating_add(size_bytes),
        };
        self.check_usage(&record.uploader, usage)?;
        tx.put(&usage_key, &usage)?;
        tx.put(&of_user(key, record), &size_bytes)?;
        Ok(())
    }

    /// Counts a file no more that is deleted in this transaction.
    pub(super) async fn uncount_file(tx: &Tx, key: &MediaKey, record: &MediaRecord) -> Result<()> {
        let of_user = of_user(key, record);
        // Files from before there was a count are not in it.
        let Some(size_bytes) = tx.get(&of_user).await? else {
            return Ok(());
        };
        tx.delete(&of_user);
        let usage_key = MediaUsageKey { user_id: record.uploader.clone() };
        if let Some(before) = tx.get(&usage_key).await? {
            let usage = MediaUsageRecord {
                files: before.files.saturating_sub(1),
                bytes: before.bytes.saturating_sub(size_bytes),
            };
            tx.put(&usage_key, &usage)?;
        }
        Ok(())
    }
}

fn of_user(key: &MediaKey, record: &MediaRecord) -> MediaOfUserKey {
    MediaOfUserKey {
        user_id: record.uploader.clone(),
        created_ms: record.created_ms,
        media_id: key.media_id.clone(),
    }
}
