//! Downloads.

use std::{ops::Range, time::Duration};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use pli_schema::{
    Topic,
    records::media::{ContentHash, MediaContent, MediaRecord},
};
use ruma::ServerName;

use super::{Media, no_media, upload::expired};
use crate::{Error, Result};

/// Longest wait for a file that is not uploaded yet.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The bytes of a file as they come from the disk.
pub type FileStream = BoxStream<'static, Result<Bytes>>;

/// A file that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub(super) hash: ContentHash,
    /// The number of its bytes.
    pub size_bytes: u64,
    /// The content type that the uploader gave.
    pub content_type: Option<String>,
    /// The file name that the uploader gave.
    pub file_name: Option<String>,
}

impl From<MediaContent> for File {
    fn from(content: MediaContent) -> Self {
        let MediaContent { hash, size_bytes, content_type, file_name } = content;
        Self { hash, size_bytes, content_type, file_name }
    }
}

impl Media {
    /// A file by its identifier. If it is not uploaded yet, waits for it, up to `timeout` and at most a
    /// minute. One of another server is fetched.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::NotYetUploaded`] if it did not come in time.
    pub async fn file(
        &self,
        server_name: &ServerName,
        media_id: &str,
        timeout: Duration,
    ) -> Result<File> {
        if server_name != self.server_name {
            return self.remote_file(server_name, media_id, timeout).await;
        }
        self.check_id(server_name, media_id)?;
        // Subscribe, then sample, then wait.
        let mut feed = self.store.subscribe();
        let record = self.record_of(media_id).await?;
        if let Some(content) = record.content {
            return self.circulating(content.into()).await;
        }
        let uploader = Topic::User(record.uploader);
        let uploaded = async {
            loop {
                let concerns = match feed.recv().await {
                    Ok(committed) => committed.topics.contains(&uploader),
                    Err(_) => true,
                };
                if concerns && let Some(content) = self.record_of(media_id).await?.content {
                    return Ok(content.into());
                }
            }
        };
        match tokio::time::timeout(timeout.min(WAIT_MAX), uploaded).await {
            Ok(Ok(file)) => self.circulating(file).await,
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::NotYetUploaded("The file has not been uploaded yet".into())),
        }
    }

    pub(super) async fn circulating(&self, file: File) -> Result<File> {
        if self.is_quarantined(&file.hash).await? { Err(no_media()) } else { Ok(file) }
    }

    async fn record_of(&self, media_id: &str) -> Result<MediaRecord> {
        let record = self.store.get(&self.key(media_id)).await?.ok_or_else(no_media)?;
        if record.content.is_none() && expired(record.created_ms, self.clock.now_ms()) {
            return Err(no_media());
        }
        Ok(record)
    }

    /// The bytes of a file, or those of a range that lies within it.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for a range outside of the file; [`Error::Bug`] if the bytes cannot be
    /// read.
    pub async fn read(&self, file: &File, range: Option<Range<u64>>) -> Result<FileStream> {
        if range.as_ref().is_some_and(|r| r.start >= r.end || r.end > file.size_bytes) {
            return Err(Error::invalid_param("The range is outside of the file"));
        }
        self.files.read(&file.hash, range).await
    }
}
