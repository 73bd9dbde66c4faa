//! Pictures of previews: files of this server that no person has uploaded.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use ruma::OwnedMxcUri;

use super::{Media, Meta, UploadError, draw};
use crate::Result;

/// A picture that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) uri: OwnedMxcUri,
    pub(crate) content_type: &'static str,
    pub(crate) size_bytes: usize,
    /// In pixels.
    pub(crate) width: u32,
    /// In pixels.
    pub(crate) height: u32,
}

impl Media {
    /// Keeps a picture; `None` for bytes that are none, whatever their sender said.
    pub(crate) async fn keep_picture(&self, bytes: Vec<u8>) -> Result<Option<Picture>> {
        let size_bytes = bytes.len();
        let described = tokio::task::spawn_blocking(move || (draw::describe(&bytes), bytes)).await;
        let Ok((Some((content_type, (width, height))), bytes)) = described else {
            return Ok(None);
        };
        let meta = Meta { content_type: Some(content_type.to_owned()), file_name: None };
        let source = stream::iter([Ok::<_, Infallible>(Bytes::from(bytes))]);
        let uri = match self.upload(&self.previewer, &meta, source).await {
            Ok(uri) => uri,
            Err(UploadError::Core(error)) => return Err(error),
            Err(UploadError::Source(never)) => match never {},
        };
        Ok(Some(Picture { uri, content_type, size_bytes, width, height }))
    }

    /// Deletes a picture if it is there.
    pub(crate) async fn remove_picture(&self, media_id: &str) -> Result<()> {
        self.remove(media_id, None).await
    }
}
