//! Thumbnails of PNG, JPEG, GIF and WebP images, made by few workers with bounded memory and kept.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#thumbnails>

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use pli_schema::records::media::{MediaBytesKey, ThumbnailKey, ThumbnailRecord};
use ruma::ServerName;

use super::{
    File, Media,
    draw::{self, Drawn, SIDE_MAX},
    no_media,
    upload::count_use,
};
use crate::{Error, Result};

/// Largest file that is looked at.
const SOURCE_MAX_BYTES: u64 = 32 * 1024 * 1024;

/// How an image is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Filled and cut to the proportions that were asked for.
    Crop = 0,
    /// Kept in its proportions.
    Scale = 1,
}

/// The sizes that are made: any other is answered with the next larger one.
const SIZES: [(u32, u32, Method); 6] = [
    (32, 32, Method::Crop),
    (96, 96, Method::Crop),
    (320, 240, Method::Scale),
    (640, 480, Method::Scale),
    (800, 600, Method::Scale),
    (1_600, 1_200, Method::Scale),
];

/// A size that was asked for, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// What a thumbnail is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Its size, at least.
    pub size: Size,
    /// How it is fitted.
    pub method: Method,
    /// Animated, if the image is. Else the first image of an animation.
    pub animated: bool,
}

impl Media {
    /// A thumbnail at least as large as asked for, or the image itself if it is not larger than that.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for a size of 0, and for a file that is no image of a known format;
    /// [`Error::TooLarge`] for an image that is too large to be decoded; [`Error::LimitExceeded`] if
    /// too many wait; as [`Self::file`].
    pub async fn thumbnail(
        &self,
        (server_name, media_id): (&ServerName, &str),
        fit: Fit,
        timeout: Duration,
    ) -> Result<File> {
        if fit.size.width == 0 || fit.size.height == 0 {
            return Err(Error::invalid_param("A thumbnail has at least one pixel"));
        }
        let file = self.file(server_name, media_id, timeout).await?;
        let fit = next_larger(fit);
        let key = ThumbnailKey {
            hash: file.hash,
            width: fit.size.width,
            height: fit.size.height,
            method: fit.method as u8 + if fit.animated { 2 } else { 0 },
        };
        if let Some(record) = self.store.get(&key).await? {
            return Ok(of_record(record));
        }
        self.make(&file, &key, fit).await
    }

    async fn make(&self, file: &File, key: &ThumbnailKey, fit: Fit) -> Result<File> {
        if file.size_bytes > SOURCE_MAX_BYTES {
            return Err(Error::too_large("The image is too large for a thumbnail"));
        }
        let busy = |_| Error::LimitExceeded { retry_after_ms: 1_000 };
        let _waiting = self.waiting.clone().try_acquire_owned().map_err(busy)?;
        let closed = |_| Error::bug("the thumbnail workers are gone");
        let decoding = self.decoding.clone().acquire_owned().await.map_err(closed)?;
        let source = self.files.read_whole(&file.hash).await?;
        let drawn = tokio::task::spawn_blocking(move || {
            let _decoding = decoding;
            draw::draw(&source, fit)
        });
        match drawn.await.map_err(|error| Error::bug(format!("thumbnail: {error}")))?? {
            Drawn::Made { bytes, content_type } => self.keep(key, bytes, content_type).await,
            Drawn::Source { content_type } => self.keep_source(file, key, content_type).await,
        }
    }

    async fn keep(
        &self,
        key: &ThumbnailKey,
        bytes: Vec<u8>,
        content_type: &'static str,
    ) -> Result<File> {
        let bytes = stream::iter([Ok::<_, Infallible>(Bytes::from(bytes))]);
        let received = self.files.receive(&self.random.letters(24), bytes, u64::MAX).await;
        let received = received.map_err(|_| Error::bug("a thumbnail could not be written"))?;
        let written = received.written;
        let record = &ThumbnailRecord {
            hash: written.hash,
            size_bytes: written.size_bytes,
            content_type: content_type.to_owned(),
        };
        self.place(&received, |tx| async move {
            let source = tx.get(&MediaBytesKey { hash: key.hash }).await?;
            if source.is_none_or(|source| source.uses == 0) {
                // Deleted meanwhile.
                return Err(no_media());
            }
            if tx.get(key).await?.is_none() {
                count_use(&tx, written).await?;
                tx.put(key, record)?;
            }
            Ok(())
        })
        .await?;
        Ok(of_record(record.clone()))
    }

    /// Notes that the image is its own thumbnail, so that it need not be looked at again.
    async fn keep_source(
        &self,
        file: &File,
        key: &ThumbnailKey,
        content_type: &'static str,
    ) -> Result<File> {
        let record = &ThumbnailRecord {
            hash: file.hash,
            size_bytes: file.size_bytes,
            content_type: content_type.to_owned(),
        };
        self.store
            .write(|tx| async move {
                let source = tx.get(&MediaBytesKey { hash: key.hash }).await?;
                if source.is_none_or(|source| source.uses == 0) {
                    return Err(no_media());
                }
                tx.put(key, record)?;
                Ok(())
            })
            .await?;
        Ok(of_record(record.clone()))
    }
}

fn of_record(record: ThumbnailRecord) -> File {
    let extension = record.content_type.rsplit('/').next().unwrap_or_default();
    File {
        hash: record.hash,
        size_bytes: record.size_bytes,
        file_name: Some(format!("thumbnail.{extension}")),
        content_type: Some(record.content_type),
    }
}

/// The size that is made for one that was asked for; the whole image above the largest of them.
fn next_larger(fit: Fit) -> Fit {
    let fits = |(width, height, _): &&(u32, u32, Method)| {
        *width >= fit.size.width && *height >= fit.size.height
    };
    // Small squares are made for cropping only; scaled ones begin with 320x240.
    let of_method =
        |(_, _, made): &&(u32, u32, Method)| *made == fit.method || fit.method == Method::Crop;
    match SIZES.iter().filter(of_method).find(fits) {
        Some(&(width, height, method)) => Fit { size: Size { width, height }, method, ..fit },
        None => {
            let size = Size { width: SIDE_MAX, height: SIDE_MAX };
            Fit { size, method: Method::Scale, ..fit }
        }
    }
}
