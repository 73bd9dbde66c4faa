//! Uploaded files. Their bytes lie in a directory under the hash of their content, so that no name from
//! outside ever becomes a path, and equal files are kept once; what is known of them is in the store.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#content-repository>

mod download;
mod draw;
mod files;
mod moderation;
mod pictures;
mod quota;
mod remote;
mod sweep;
mod thumbnail;
mod upload;

use std::sync::Arc;

use pli_store::Store;
use ruma::{OwnedServerName, OwnedUserId, ServerName, UserId};
use tokio::sync::{RwLock, Semaphore};

pub use self::{
    download::{File, FileStream},
    files::MediaFiles,
    moderation::{Entry, Page},
    thumbnail::{Fit, Method, Size},
    upload::{Meta, UploadError},
};
use crate::{Clock, Error, Random, Result};

/// What can be set about media.
#[derive(Clone, Debug)]
pub struct MediaSettings {
    /// Largest upload, in bytes.
    pub upload_limit_bytes: u64,
    /// Images being decoded at once.
    pub thumbnail_workers: usize,
    /// Bytes that one user may have uploaded; 0 is no limit.
    pub user_quota_bytes: u64,
    /// Files that one user may have uploaded; 0 is no limit.
    pub user_quota_files: u64,
    /// How long files of other servers are kept after somebody asked for them, in milliseconds; `None`
    /// for ever.
    pub remote_keep_ms: Option<u64>,
}

impl Default for MediaSettings {
    fn default() -> Self {
        Self {
            upload_limit_bytes: 100 * 1024 * 1024,
            thumbnail_workers: 2,
            user_quota_bytes: 0,
            user_quota_files: 0,
            remote_keep_ms: None,
        }
    }
}

/// Images that may wait to be decoded; more are told to come back.
const THUMBNAILS_WAITING: usize = 64;

/// Files, their metadata and thumbnails. Clones share everything.
#[derive(Clone, Debug)]
pub struct Media {
    store: Store,
    clock: Clock,
    random: Random,
    server_name: OwnedServerName,
    settings: Arc<MediaSettings>,
    files: MediaFiles,
    /// Whose the pictures of previews are; nobody's account.
    previewer: OwnedUserId,
    /// Shared by those who place bytes, taken alone by those who remove them.
    placing: Arc<RwLock<()>>,
    /// Permits to decode an image.
    decoding: Arc<Semaphore>,
    /// Permits to wait for one.
    waiting: Arc<Semaphore>,
    /// Files of other servers, where this server speaks with others.
    elsewhere: Option<remote::Elsewhere>,
}

impl Media {
    /// The media of a server.
    ///
    /// # Errors
    /// [`Error::Bug`] for a server name that is too long for a user id.
    pub fn new(
        store: Store,
        (clock, random): (Clock, Random),
        server_name: OwnedServerName,
        settings: MediaSettings,
        files: MediaFiles,
    ) -> Result<Self> {
        let previewer = UserId::parse(format!("@_previews:{server_name}"))
            .map_err(|error| Error::bug(format!("the server's name: {error}")))?;
        let decoding = Arc::new(Semaphore::new(settings.thumbnail_workers.max(1)));
        let waiting = Arc::new(Semaphore::new(THUMBNAILS_WAITING));
        let settings = Arc::new(settings);
        let placing = Arc::default();
        Ok(Self {
            store,
            clock,
            random,
            server_name,
            settings,
            files,
            previewer,
            placing,
            decoding,
            waiting,
            elsewhere: None,
        })
    }

    /// Largest upload, in bytes.
    #[must_use]
    pub fn upload_limit_bytes(&self) -> u64 {
        self.settings.upload_limit_bytes
    }

    /// For our own media, whose ids have a narrow alphabet.
    fn check_id(&self, server_name: &ServerName, media_id: &str) -> Result<()> {
        let known = server_name == self.server_name && is_media_id(media_id);
        if known { Ok(()) } else { Err(no_media()) }
    }
}

/// Whether a text may be the identifier of a file
/// (<https://spec.matrix.org/v1.19/client-server-api/#matrix-content-mxc-uris>).
fn is_media_id(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !text.is_empty() && text.len() <= 255 && text.bytes().all(good)
}

fn no_media() -> Error {
    Error::not_found("There is no such media")
}

#[cfg(test)]
mod tests;
