//! Uploads, and identifiers that wait for theirs.

use bytes::Bytes;
use futures_util::Stream;
use pli_schema::{
    Topic,
    records::media::{
        MediaBytesKey, MediaBytesRecord, MediaContent, MediaKey, MediaRecord, PendingMediaKey,
    },
};
use pli_store::{Scan, Tx};
use ruma::{MxcUri, OwnedMxcUri, ServerName, UserId};

use super::{
    Media,
    files::{Received, WriteError, Written},
    no_media,
};
use crate::{Error, MilliSeconds, Result};

/// How long an identifier waits for its upload: 24 hours.
pub(super) const PENDING_LIFETIME_MS: u64 = 24 * 3_600_000;
/// Identifiers of a user that may wait at once.
const PENDING_MAX: usize = 50;
/// Longest content type and file name, in bytes.
const TEXT_MAX_BYTES: usize = 1_024;

/// What the uploader says of a file.
#[derive(Clone, Debug, Default)]
pub struct Meta {
    /// The content type.
    pub content_type: Option<String>,
    /// The file name.
    pub file_name: Option<String>,
}

/// Why an upload failed.
#[derive(Debug)]
pub enum UploadError<E> {
    /// The source of the bytes failed.
    Source(E),
    /// A decision of the core.
    Core(Error),
}

impl<E> From<Error> for UploadError<E> {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl Media {
    /// Keeps a file as it comes; no more of it is in memory than a few MiB.
    ///
    /// # Errors
    /// [`Error::TooLarge`] above the limit; [`Error::Forbidden`] above the user's quota;
    /// [`Error::InvalidParam`] for a content type or name that is too long; those of the source.
    pub async fn upload<S, E>(
        &self,
        user_id: &UserId,
        meta: &Meta,
        source: S,
    ) -> Result<OwnedMxcUri, UploadError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        check(meta)?;
        self.check_quota(user_id).await?;
        let received = self.receive(source).await?;
        let written = received.written;
        let key = &self.new_key();
        let record = &self.record(user_id, Some(content(written, meta)));
        self.place(&received, |tx| async move {
            count_use(&tx, written).await?;
            self.count_file(&tx, key, record).await?;
            tx.put(key, record)?;
            Ok(())
        })
        .await?;
        Ok(self.uri(&key.media_id))
    }

    /// Makes an identifier to which the file is uploaded later, and says until when.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`] if too many of the user's wait already; [`Error::Forbidden`] above the
    /// user's quota.
    pub async fn create(&self, user_id: &UserId) -> Result<(OwnedMxcUri, MilliSeconds)> {
        self.check_quota(user_id).await?;
        let now_ms = self.clock.now_ms();
        let key = &self.new_key();
        let record = &self.record(user_id, None);
        let user = &user_id.to_owned();
        self.store
            .write(|tx| async move {
                let mut waiting = 0_usize;
                for row in tx.scan(&Scan::<PendingMediaKey>::prefix((user.clone(),))).await? {
                    if expired(row.record, now_ms) {
                        let server_name = key.server_name.clone();
                        let media_id = row.key.media_id.clone();
                        tx.delete(&MediaKey { server_name, media_id });
                        tx.delete(&row.key);
                    } else {
                        waiting = waiting.saturating_add(1);
                    }
                }
                if waiting >= PENDING_MAX {
                    return Err(Error::LimitExceeded { retry_after_ms: 60_000 });
                }
                tx.put(key, record)?;
                let media_id = key.media_id.clone();
                tx.put(&PendingMediaKey { user_id: user.clone(), media_id }, &now_ms)?;
                Ok(())
            })
            .await?;
        Ok((self.uri(&key.media_id), now_ms.saturating_add(PENDING_LIFETIME_MS)))
    }

    /// Uploads the file of an identifier that [`Self::create`] made.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such identifier or it has waited too long;
    /// [`Error::Forbidden`] if it is somebody else's; [`Error::CannotOverwriteMedia`] if the file is
    /// there; as [`Self::upload`].
    pub async fn upload_to<S, E>(
        &self,
        user_id: &UserId,
        (server_name, media_id): (&ServerName, &str),
        meta: &Meta,
        source: S,
    ) -> Result<(), UploadError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        check(meta)?;
        self.check_id(server_name, media_id)?;
        let key = &self.key(media_id);
        let now_ms = self.clock.now_ms();
        may_upload(self.store.get(key).await.map_err(Error::from)?, user_id, now_ms)?;
        self.check_quota(user_id).await?;
        let received = self.receive(source).await?;
        let written = received.written;
        self.place(&received, |tx| async move {
            let mut record = may_upload(tx.get(key).await?, user_id, now_ms)?;
            record.content = Some(content(written, meta));
            count_use(&tx, written).await?;
            self.count_file(&tx, key, &record).await?;
            tx.put(key, &record)?;
            let (user_id, media_id) = (user_id.to_owned(), key.media_id.clone());
            tx.wake(Topic::User(user_id.clone()));
            tx.delete(&PendingMediaKey { user_id, media_id });
            Ok(())
        })
        .await?;
        Ok(())
    }

    async fn receive<S, E>(&self, source: S) -> Result<Received, UploadError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        let limit = self.settings.upload_limit_bytes;
        let received = self.files.receive(&self.random.letters(24), source, limit).await;
        received.map_err(|error| match error {
            WriteError::TooLarge => Error::too_large("The file is too large").into(),
            WriteError::Source(error) => UploadError::Source(error),
            WriteError::Failed(error) => error.into(),
        })
    }

    /// Places bytes that came and commits what names them. No bytes are removed meanwhile, and none stay
    /// that nothing names.
    pub(super) async fn place<F, Fut>(&self, received: &Received, write: F) -> Result<()>
    where
        F: Fn(Tx) -> Fut,
        Fut: Future<Output = Result<()>>,
    {
        let committed = {
            let _placing = self.placing.read().await;
            self.files.place(received).await?;
            self.store.write(write).await
        };
        if committed.is_err() {
            self.remove_unused(&received.written.hash).await?;
        }
        committed
    }

    fn new_key(&self) -> MediaKey {
        self.key(&self.random.letters(24))
    }

    pub(super) fn key(&self, media_id: &str) -> MediaKey {
        MediaKey { server_name: self.server_name.to_string(), media_id: media_id.to_owned() }
    }

    fn record(&self, user_id: &UserId, content: Option<MediaContent>) -> MediaRecord {
        MediaRecord { content, uploader: user_id.to_owned(), created_ms: self.clock.now_ms() }
    }

    fn uri(&self, media_id: &str) -> OwnedMxcUri {
        <&MxcUri>::from(format!("mxc://{}/{media_id}", self.server_name).as_str()).to_owned()
    }
}

pub(super) fn expired(created_ms: MilliSeconds, now_ms: MilliSeconds) -> bool {
    now_ms.saturating_sub(created_ms) > PENDING_LIFETIME_MS
}

fn may_upload(
    record: Option<MediaRecord>,
    user_id: &UserId,
    now_ms: MilliSeconds,
) -> Result<MediaRecord> {
    let record = record.ok_or_else(no_media)?;
    if record.uploader != user_id {
        return Err(Error::forbidden("This identifier is somebody else's"));
    }
    if record.content.is_some() {
        return Err(Error::CannotOverwriteMedia("The file has been uploaded already".into()));
    }
    if expired(record.created_ms, now_ms) {
        return Err(no_media());
    }
    Ok(record)
}

fn check(meta: &Meta) -> Result<()> {
    let long =
        |text: &Option<String>| text.as_ref().is_some_and(|text| text.len() > TEXT_MAX_BYTES);
    if long(&meta.content_type) || long(&meta.file_name) {
        return Err(Error::invalid_param("The content type or the file name is too long"));
    }
    Ok(())
}

pub(super) fn content(written: Written, meta: &Meta) -> MediaContent {
    MediaContent {
        hash: written.hash,
        size_bytes: written.size_bytes,
        content_type: meta.content_type.clone(),
        file_name: meta.file_name.clone(),
    }
}

/// One more identifier or thumbnail names these bytes.
pub(super) async fn count_use(tx: &Tx, written: Written) -> Result<()> {
    let key = MediaBytesKey { hash: written.hash };
    let before = tx.get(&key).await?.map_or(0, |record| record.uses);
    let (size_bytes, uses) = (written.size_bytes, before.saturating_add(1));
    tx.put(&key, &MediaBytesRecord { size_bytes, uses })?;
    Ok(())
}
