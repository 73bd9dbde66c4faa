//! The bytes of files, by the hash of their content.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream::BoxStream};
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt, WriteMultipart, local::LocalFileSystem,
    memory::InMemory, path::Path,
};
use pli_schema::records::media::ContentHash;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use crate::{Error, Result};

/// Bytes of an upload that are in memory at once: two parts of this size.
const PART_BYTES: usize = 1024 * 1024;

/// Where bytes lie. Clones share it.
#[derive(Clone, Debug)]
pub struct MediaFiles {
    directory: Option<PathBuf>,
    store: Arc<OnceCell<Arc<dyn ObjectStore>>>,
}

/// Bytes that came and lie under a name of their own until they are placed.
#[derive(Clone, Debug)]
pub(super) struct Received {
    incoming: Path,
    pub(super) written: Written,
}

/// Bytes on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) hash: ContentHash,
    pub(super) size_bytes: u64,
}

/// Why bytes were not written.
#[derive(Debug)]
pub(super) enum WriteError<E> {
    /// There are more than allowed.
    TooLarge,
    /// Their source failed.
    Source(E),
    /// They could not be kept.
    Failed(Error),
}

impl<E> From<object_store::Error> for WriteError<E> {
    fn from(error: object_store::Error) -> Self {
        Self::Failed(failed(&error))
    }
}

fn failed(error: &object_store::Error) -> Error {
    Error::bug(format!("media files: {error}"))
}

impl MediaFiles {
    /// In a directory, which is made when the first file comes.
    #[must_use]
    pub fn local(directory: PathBuf) -> Self {
        Self { directory: Some(directory), store: Arc::default() }
    }

    /// In memory, for tests.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { directory: None, store: Arc::default() }
    }

    async fn store(&self) -> Result<&Arc<dyn ObjectStore>> {
        self.store.get_or_try_init(|| self.open()).await
    }

    async fn open(&self) -> Result<Arc<dyn ObjectStore>> {
        let Some(directory) = &self.directory else {
            return Ok(Arc::new(InMemory::new()));
        };
        let bug = |error: std::io::Error| Error::bug(format!("media directory: {error}"));
        // What an interrupted upload left behind.
        let incoming = directory.join("incoming");
        match tokio::fs::remove_dir_all(&incoming).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(bug(error)),
            _ => {}
        }
        tokio::fs::create_dir_all(directory).await.map_err(bug)?;
        let local = LocalFileSystem::new_with_prefix(directory).map_err(|error| failed(&error))?;
        Ok(Arc::new(local.with_fsync(true)))
    }

    /// Writes bytes as they come, at most `limit`. `name` is unique to this upload and holds letters
    /// only.
    pub(super) async fn receive<S, E>(
        &self,
        name: &str,
        mut source: S,
        limit: u64,
    ) -> Result<Received, WriteError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        let store = self.store().await.map_err(WriteError::Failed)?;
        let incoming = Path::from_iter(["incoming", name]);
        let upload = store.put_multipart(&incoming).await?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        let mut hasher = Sha256::new();
        let mut size_bytes: u64 = 0;
        let stopped = loop {
            let bytes = match source.next().await {
                Some(Ok(bytes)) => bytes,
                Some(Err(error)) => break Some(WriteError::Source(error)),
                None => break None,
            };
            size_bytes = size_bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            if size_bytes > limit {
                break Some(WriteError::TooLarge);
            }
            hasher.update(&bytes);
            upload.wait_for_capacity(1).await?;
            upload.write(&bytes);
        };
        if let Some(error) = stopped {
            upload.abort().await?;
            return Err(error);
        }
        upload.finish().await?;
        let hash = hasher.finalize().into();
        Ok(Received { incoming, written: Written { hash, size_bytes } })
    }

    /// Names bytes that came by their hash.
    pub(super) async fn place(&self, received: &Received) -> Result<()> {
        let to = path(&received.written.hash);
        let renamed = self.store().await?.rename(&received.incoming, &to).await;
        renamed.map_err(|error| failed(&error))
    }

    /// Removes the bytes of a hash, if they are there.
    pub(super) async fn delete(&self, hash: &ContentHash) -> Result<()> {
        match self.store().await?.delete(&path(hash)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }

    /// The bytes of a hash, or a range of them.
    pub(super) async fn read(
        &self,
        hash: &ContentHash,
        range: Option<std::ops::Range<u64>>,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let found = self.store().await?.get_opts(&path(hash), options).await;
        let found = found.map_err(|error| failed(&error))?;
        Ok(found.into_stream().map(|bytes| bytes.map_err(|error| failed(&error))).boxed())
    }

    /// All bytes of a hash.
    pub(super) async fn read_whole(&self, hash: &ContentHash) -> Result<Bytes> {
        let found = self.store().await?.get(&path(hash)).await.map_err(|error| failed(&error))?;
        found.bytes().await.map_err(|error| failed(&error))
    }
}

/// Two levels of directories, so that none holds too many files.
fn path(hash: &ContentHash) -> Path {
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let (first, second) = (hex.get(..2).unwrap_or_default(), hex.get(2..4).unwrap_or_default());
    Path::from_iter([first, second, &hex])
}
