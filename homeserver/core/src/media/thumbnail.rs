//! Thumbnails of PNG, JPEG, GIF and WebP images, made by few workers with bounded memory and kept.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#thumbnails>

use std::{io::Cursor, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, imageops::FilterType,
};
use pli_schema::records::media::{ThumbnailKey, ThumbnailRecord};
use ruma::ServerName;

use super::{File, Media, upload::count_use};
use crate::{Error, Result};

/// Largest file that is looked at.
const SOURCE_MAX_BYTES: u64 = 32 * 1024 * 1024;
/// Longest side of an image that is decoded.
const SIDE_MAX: u32 = 16_384;
/// Memory for one decoded image.
const DECODED_MAX_BYTES: u64 = 256 * 1024 * 1024;
/// Quality of JPEG thumbnails.
const JPEG_QUALITY: u8 = 82;

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

struct Made {
    bytes: Vec<u8>,
    content_type: &'static str,
}

impl Media {
    /// A thumbnail at least as large as asked for, or the file itself if it is smaller than that.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for a size of 0, and for a file that is no image of a known format;
    /// [`Error::TooLarge`] for an image that is too large to be decoded; [`Error::LimitExceeded`] if
    /// too many wait; as [`Self::file`].
    pub async fn thumbnail(
        &self,
        (server_name, media_id): (&ServerName, &str),
        size: Size,
        method: Method,
        timeout: Duration,
    ) -> Result<File> {
        if size.width == 0 || size.height == 0 {
            return Err(Error::invalid_param("A thumbnail has at least one pixel"));
        }
        let file = self.file(server_name, media_id, timeout).await?;
        let Some((size, method)) = next_larger(size, method) else {
            return Ok(file);
        };
        let key = ThumbnailKey {
            hash: file.hash,
            width: size.width,
            height: size.height,
            method: method as u8,
        };
        if let Some(record) = self.store.get(&key).await? {
            return Ok(of_record(&file, record));
        }
        self.make(&file, &key, size, method).await
    }

    async fn make(
        &self,
        file: &File,
        key: &ThumbnailKey,
        size: Size,
        method: Method,
    ) -> Result<File> {
        if file.size_bytes > SOURCE_MAX_BYTES {
            return Err(Error::too_large("The image is too large for a thumbnail"));
        }
        let busy = |_| Error::LimitExceeded { retry_after_ms: 1_000 };
        let _waiting = self.waiting.clone().try_acquire_owned().map_err(busy)?;
        let closed = |_| Error::bug("the thumbnail workers are gone");
        let decoding = self.decoding.clone().acquire_owned().await.map_err(closed)?;
        let source = self.files.read_whole(&file.hash).await?;
        let made = tokio::task::spawn_blocking(move || {
            let _decoding = decoding;
            draw(&source, size, method)
        });
        let made = made.await.map_err(|error| Error::bug(format!("thumbnail: {error}")))??;
        match made {
            Some(made) => self.keep(file, key, made).await,
            None => Ok(file.clone()),
        }
    }

    async fn keep(&self, file: &File, key: &ThumbnailKey, made: Made) -> Result<File> {
        let bytes = stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from(made.bytes))]);
        let written = self.files.write(&self.random.letters(24), bytes, u64::MAX).await;
        let written = written.map_err(|_| Error::bug("a thumbnail could not be written"))?;
        let record = &ThumbnailRecord {
            hash: written.hash,
            size_bytes: written.size_bytes,
            content_type: made.content_type.to_owned(),
        };
        self.store
            .write(|tx| async move {
                if tx.get(key).await?.is_none() {
                    count_use(&tx, written).await?;
                    tx.put(key, record)?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        Ok(of_record(file, record.clone()))
    }
}

fn of_record(file: &File, record: ThumbnailRecord) -> File {
    File {
        hash: record.hash,
        size_bytes: record.size_bytes,
        content_type: Some(record.content_type),
        file_name: file.file_name.clone(),
    }
}

fn next_larger(size: Size, method: Method) -> Option<(Size, Method)> {
    let fits =
        |(width, height, _): &&(u32, u32, Method)| *width >= size.width && *height >= size.height;
    // Small squares are made for cropping only; scaled ones begin with 320x240.
    let of_method = |(_, _, made): &&(u32, u32, Method)| *made == method || method == Method::Crop;
    let &(width, height, _) = SIZES.iter().filter(of_method).find(fits)?;
    Some((Size { width, height }, method))
}

/// Decodes, fits and encodes; `None` if the image is not larger than the thumbnail would be.
fn draw(source: &[u8], size: Size, method: Method) -> Result<Option<Made>> {
    let unknown = || Error::invalid_param("There is no thumbnail of this kind of file");
    let mut reader =
        ImageReader::new(Cursor::new(source)).with_guessed_format().map_err(|_| unknown())?;
    let formats = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP];
    let format = reader.format().filter(|format| formats.contains(format)).ok_or_else(unknown)?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(DECODED_MAX_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(refusal)?;
    if decoder.total_bytes() > DECODED_MAX_BYTES {
        return Err(Error::too_large("The image is too large for a thumbnail"));
    }
    let orientation = decoder.orientation().map_err(refusal)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(refusal)?;
    image.apply_orientation(orientation);
    if image.width() <= size.width && image.height() <= size.height {
        return Ok(None);
    }
    let image = match method {
        Method::Crop => {
            // Never larger than the image itself.
            let (width, height) = (size.width.min(image.width()), size.height.min(image.height()));
            image.resize_to_fill(width, height, FilterType::CatmullRom)
        }
        Method::Scale => {
            let (width, height) = covering(&image, size);
            image.resize_exact(width, height, FilterType::CatmullRom)
        }
    };
    encode(image, format).map(Some)
}

/// The size in the image's proportions that is nowhere smaller than asked for, nor larger than the
/// image.
fn covering(image: &DynamicImage, size: Size) -> (u32, u32) {
    let (width, height) = (u64::from(image.width().max(1)), u64::from(image.height().max(1)));
    let (wanted_width, wanted_height) = (u64::from(size.width), u64::from(size.height));
    let narrow = |side: u64| u32::try_from(side.max(1)).unwrap_or(u32::MAX);
    // Compares wanted_width / width with wanted_height / height.
    let (width, height) =
        if wanted_width.saturating_mul(height) > wanted_height.saturating_mul(width) {
            (wanted_width, height.saturating_mul(wanted_width) / width)
        } else {
            (width.saturating_mul(wanted_height) / height, wanted_height)
        };
    if width > u64::from(image.width()) || height > u64::from(image.height()) {
        return (image.width(), image.height());
    }
    (narrow(width), narrow(height))
}

fn encode(image: DynamicImage, format: ImageFormat) -> Result<Made> {
    let bug = |error: ImageError| Error::bug(format!("thumbnail: {error}"));
    let mut bytes = Cursor::new(Vec::new());
    let content_type = if format == ImageFormat::Jpeg || !image.color().has_alpha() {
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
        image.to_rgb8().write_with_encoder(encoder).map_err(bug)?;
        "image/jpeg"
    } else {
        image.to_rgba8().write_to(&mut bytes, ImageFormat::Png).map_err(bug)?;
        "image/png"
    };
    Ok(Made { bytes: bytes.into_inner(), content_type })
}

fn refusal(error: ImageError) -> Error {
    match error {
        ImageError::Limits(_) => Error::too_large("The image is too large for a thumbnail"),
        _ => Error::invalid_param("The image is damaged or of an unknown format"),
    }
}
