//! From the bytes of an image to those of its thumbnail: decoding, fitting, encoding. Runs on the
//! workers, with bounds on memory and time.

use std::io::Cursor;

use image::{
    AnimationDecoder, DynamicImage, Frame, Frames, ImageDecoder, ImageError, ImageFormat,
    ImageReader, Limits, RgbaImage,
    codecs::{
        gif::{GifDecoder, GifEncoder, Repeat},
        jpeg::JpegEncoder,
        png::PngDecoder,
        webp::WebPDecoder,
    },
    imageops::FilterType,
};

use super::thumbnail::{Fit, Method, Size};
use crate::{Error, Result};

/// Longest side of an image that is decoded.
pub(super) const SIDE_MAX: u32 = 16_384;
/// Memory for one decoded image.
const DECODED_MAX_BYTES: u64 = 256 * 1024 * 1024;
/// Quality of JPEG thumbnails.
const JPEG_QUALITY: u8 = 82;
/// Pixels of all frames of an animation that are decoded, at most.
const ANIMATION_SOURCE_PIXELS: u64 = 400_000_000;
/// Pixels of all frames of an animated thumbnail, at most.
const ANIMATION_PIXELS: u64 = 40_000_000;
/// Frames of an animated thumbnail, at most.
const FRAMES_MAX: usize = 1_000;
/// From 1 (good colors) to 30 (fast).
const GIF_SPEED: i32 = 30;

/// A thumbnail.
pub(super) enum Drawn {
    /// It was made.
    Made {
        /// The bytes.
        bytes: Vec<u8>,
        /// What they are.
        content_type: &'static str,
    },
    /// The image itself, which is no larger than what was asked for.
    Source {
        /// What it is, whatever its uploader said.
        content_type: &'static str,
    },
}

struct Source<'a> {
    bytes: &'a [u8],
    format: ImageFormat,
}

/// Draws a thumbnail.
///
/// # Errors
/// [`Error::InvalidParam`] for what is no image of a known format; [`Error::TooLarge`] for one that is
/// too large.
pub(super) fn draw(bytes: &[u8], fit: Fit) -> Result<Drawn> {
    let formats = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP];
    let format = image::guess_format(bytes).ok().filter(|format| formats.contains(format));
    let unknown = || Error::invalid_param("There is no thumbnail of this kind of file");
    let source = Source { bytes, format: format.ok_or_else(unknown)? };
    let is_animated = source.is_animated()?;
    let (width, height) = source.decoder()?.dimensions();
    let fits = width <= fit.size.width && height <= fit.size.height;
    if fits && is_animated == fit.animated {
        // What cannot be decoded has no thumbnail, however small it says it is.
        source.decoded()?;
        return Ok(Drawn::Source { content_type: source.format.to_mime_type() });
    }
    if is_animated
        && fit.animated
        && let Some(bytes) = source.animated_thumbnail(fit)?
    {
        return Ok(Drawn::Made { bytes, content_type: ImageFormat::Gif.to_mime_type() });
    }
    let image = source.decoded()?;
    if !is_animated && image.width() <= fit.size.width && image.height() <= fit.size.height {
        return Ok(Drawn::Source { content_type: source.format.to_mime_type() });
    }
    encode(&fitted(image, fit), source.format)
}

impl<'a> Source<'a> {
    fn decoder(&self) -> Result<impl ImageDecoder + use<'a>> {
        let mut reader = ImageReader::with_format(Cursor::new(self.bytes), self.format);
        reader.limits(limits());
        let decoder = reader.into_decoder().map_err(refusal)?;
        if decoder.total_bytes() > DECODED_MAX_BYTES {
            return Err(Error::too_large("The image is too large for a thumbnail"));
        }
        Ok(decoder)
    }

    /// The image, or the first one of an animation, the right way up.
    fn decoded(&self) -> Result<DynamicImage> {
        let mut decoder = self.decoder()?;
        let orientation = decoder.orientation().map_err(refusal)?;
        let mut image = DynamicImage::from_decoder(decoder).map_err(refusal)?;
        image.apply_orientation(orientation);
        Ok(image)
    }

    fn is_animated(&self) -> Result<bool> {
        Ok(match self.format {
            ImageFormat::Gif => self.frames()?.is_some_and(|frames| frames.take(2).count() > 1),
            ImageFormat::WebP => {
                WebPDecoder::new(Cursor::new(self.bytes)).map_err(refusal)?.has_animation()
            }
            ImageFormat::Png => PngDecoder::new(Cursor::new(self.bytes))
                .map_err(refusal)?
                .is_apng()
                .map_err(refusal)?,
            _ => false,
        })
    }

    /// The frames of an animation; `None` for formats of which they are not decoded.
    fn frames(&self) -> Result<Option<Frames<'a>>> {
        // Within the limits on memory, before any frame is decoded.
        self.decoder()?;
        let bytes = Cursor::new(self.bytes);
        Ok(match self.format {
            ImageFormat::Gif => {
                let mut decoder = GifDecoder::new(bytes).map_err(refusal)?;
                decoder.set_limits(limits()).map_err(refusal)?;
                Some(decoder.into_frames())
            }
            ImageFormat::WebP => Some(WebPDecoder::new(bytes).map_err(refusal)?.into_frames()),
            _ => None,
        })
    }

    /// The whole animation in small; `None` if that would take too much time or memory, or the format is
    /// one of which no frames are decoded.
    fn animated_thumbnail(&self, fit: Fit) -> Result<Option<Vec<u8>>> {
        let Some(frames) = self.frames()? else {
            return Ok(None);
        };
        let (mut decoded, mut made) = (0_u64, 0_u64);
        let mut bytes = Vec::new();
        let mut encoder = GifEncoder::new_with_speed(&mut bytes, GIF_SPEED);
        encoder.set_repeat(Repeat::Infinite).map_err(bug)?;
        for (count, frame) in frames.enumerate() {
            let frame = frame.map_err(refusal)?;
            let delay = frame.delay();
            decoded = decoded.saturating_add(pixels(frame.buffer()));
            let small = fitted(frame.into_buffer().into(), fit).to_rgba8();
            made = made.saturating_add(pixels(&small));
            let too_much = decoded > ANIMATION_SOURCE_PIXELS || made > ANIMATION_PIXELS;
            if count >= FRAMES_MAX || too_much {
                return Ok(None);
            }
            encoder.encode_frame(Frame::from_parts(small, 0, 0, delay)).map_err(bug)?;
        }
        drop(encoder);
        Ok(Some(bytes))
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(DECODED_MAX_BYTES);
    limits
}

fn pixels(image: &RgbaImage) -> u64 {
    u64::from(image.width()).saturating_mul(u64::from(image.height()))
}

fn fitted(image: DynamicImage, fit: Fit) -> DynamicImage {
    let size = fit.size;
    if image.width() <= size.width && image.height() <= size.height {
        return image;
    }
    match fit.method {
        Method::Crop => {
            // Never larger than the image itself.
            let (width, height) = (size.width.min(image.width()), size.height.min(image.height()));
            image.resize_to_fill(width, height, FilterType::CatmullRom)
        }
        Method::Scale => {
            let (width, height) = covering(&image, size);
            image.resize_exact(width, height, FilterType::CatmullRom)
        }
    }
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

fn encode(image: &DynamicImage, format: ImageFormat) -> Result<Drawn> {
    let mut bytes = Cursor::new(Vec::new());
    let content_type = if format == ImageFormat::Jpeg || !image.color().has_alpha() {
        let encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
        image.to_rgb8().write_with_encoder(encoder).map_err(bug)?;
        ImageFormat::Jpeg.to_mime_type()
    } else {
        image.to_rgba8().write_to(&mut bytes, ImageFormat::Png).map_err(bug)?;
        ImageFormat::Png.to_mime_type()
    };
    Ok(Drawn::Made { bytes: bytes.into_inner(), content_type })
}

fn bug(error: ImageError) -> Error {
    Error::bug(format!("thumbnail: {error}"))
}

fn refusal(error: ImageError) -> Error {
    match error {
        ImageError::Limits(_) => Error::too_large("The image is too large for a thumbnail"),
        _ => Error::invalid_param("The image is damaged or of an unknown format"),
    }
}

/// What an image is, and its width and height in pixels, from its head.
pub(super) fn describe(bytes: &[u8]) -> Option<(&'static str, (u32, u32))> {
    let format = image::guess_format(bytes).ok()?;
    let formats = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP];
    if !formats.contains(&format) {
        return None;
    }
    let size = Source { bytes, format }.decoder().ok()?.dimensions();
    Some((format.to_mime_type(), size))
}
