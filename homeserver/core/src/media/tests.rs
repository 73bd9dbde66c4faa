//! Media in memory, and in a directory.

mod animation;
mod moderation;

use std::{convert::Infallible, io::Cursor, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage, RgbaImage};
use pli_schema::records::media::{MediaBytesKey, ThumbnailKey};
use pli_store::Scan;
use ruma::{OwnedMxcUri, UserId, owned_server_name, server_name, user_id};

use super::*;
use crate::{TestClock, media::upload::PENDING_LIFETIME_MS};

const NOW: Duration = Duration::ZERO;

struct World {
    media: Media,
    clock: TestClock,
}

fn world_with(settings: MediaSettings, files: MediaFiles) -> World {
    let clock = TestClock::new(1_000_000);
    let sources = (Clock::Test(clock.clone()), Random::seeded(5));
    let store = Store::in_memory();
    let media = Media::new(store, sources, owned_server_name!("x"), settings, files);
    World { media: media.unwrap(), clock }
}

fn world() -> World {
    let upload_limit_bytes = 1_000_000;
    let settings = MediaSettings { upload_limit_bytes, ..MediaSettings::default() };
    world_with(settings, MediaFiles::in_memory())
}

fn alice() -> &'static UserId {
    user_id!("@alice:x")
}

fn source(bytes: &[u8]) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> + Unpin {
    let parts: Vec<_> = bytes.chunks(10_000).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
    stream::iter(parts)
}

fn core(error: UploadError<Infallible>) -> Error {
    match error {
        UploadError::Core(error) => error,
        UploadError::Source(never) => match never {},
    }
}

impl World {
    async fn upload(&self, kind: &str, bytes: &[u8]) -> Result<OwnedMxcUri> {
        let meta = Meta { content_type: Some(kind.to_owned()), file_name: Some("a.b".to_owned()) };
        self.media.upload(alice(), &meta, source(bytes)).await.map_err(core)
    }

    async fn put(&self, user: &UserId, uri: &OwnedMxcUri, bytes: &[u8]) -> Result<()> {
        let (server, id) = uri.parts().unwrap();
        self.media
            .upload_to(user, (server, id), &Meta::default(), source(bytes))
            .await
            .map_err(core)
    }

    async fn file(&self, uri: &OwnedMxcUri) -> Result<File> {
        let (server, id) = uri.parts().unwrap();
        self.media.file(server, id, NOW).await
    }

    async fn bytes(&self, file: &File, range: Option<std::ops::Range<u64>>) -> Result<Vec<u8>> {
        let parts: Vec<Bytes> = self.media.read(file, range).await?.try_collect().await?;
        Ok(parts.concat())
    }

    async fn thumbnail(&self, uri: &OwnedMxcUri, size: (u32, u32), method: Method) -> Result<File> {
        let size = Size { width: size.0, height: size.1 };
        let fit = Fit { size, method, animated: false };
        self.media.thumbnail(uri.parts().unwrap(), fit, NOW).await
    }
}

#[tokio::test]
async fn files_come_back_whole_and_in_parts_and_equal_ones_are_kept_once() {
    let directory = tempfile::tempdir().unwrap();
    let settings = MediaSettings { upload_limit_bytes: 5_000_000, ..MediaSettings::default() };
    let files = MediaFiles::local(directory.path().join("media"));
    let world = world_with(settings, files);
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0] ^ 7).collect();
    let first = world.upload("video/mp4", &bytes).await.unwrap();
    let second = world.upload("image/png", &bytes).await.unwrap();
    assert_ne!(first, second);
    let file = world.file(&first).await.unwrap();
    assert_eq!((file.size_bytes, file.content_type.as_deref()), (3_000_000, Some("video/mp4")));
    assert_eq!(file.file_name.as_deref(), Some("a.b"));
    assert_eq!(world.bytes(&file, None).await.unwrap(), bytes);
    assert_eq!(world.bytes(&file, Some(10..20)).await.unwrap(), &bytes[10..20]);
    assert!(world.bytes(&file, Some(10..9_000_000)).await.is_err());
    let kept = world.media.store.scan(&Scan::<MediaBytesKey>::prefix(())).await.unwrap();
    assert_eq!(kept.iter().map(|row| row.record.uses).collect::<Vec<_>>(), [2]);
    // One file on disk, named by its hash, and nothing that came in is left.
    let mut names = Vec::new();
    let mut open = vec![directory.path().to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                names.push(entry.file_name().into_string().unwrap());
            }
        }
    }
    let hex: String = file.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(names, [hex]);
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_leaves_nothing() {
    let world = world();
    let refused = world.upload("a/b", &vec![0; 1_000_001]).await;
    assert!(matches!(refused, Err(Error::TooLarge(_))));
    world.upload("a/b", &vec![0; 1_000_000]).await.unwrap();
    let long = "x".repeat(2_000);
    assert!(matches!(world.upload(&long, b"x").await, Err(Error::InvalidParam(_))));
    let empty = world.upload("a/b", b"").await.unwrap();
    let file = world.file(&empty).await.unwrap();
    assert_eq!(world.bytes(&file, None).await.unwrap(), b"");
}

#[tokio::test]
async fn a_source_that_breaks_leaves_nothing() {
    let world = world();
    let broken = stream::iter([Ok(Bytes::from_static(b"half")), Err("broken")]).boxed();
    let failed = world.media.upload(alice(), &Meta::default(), broken).await;
    assert!(matches!(failed, Err(UploadError::Source("broken"))));
    assert!(world.media.store.scan(&Scan::<MediaBytesKey>::prefix(())).await.unwrap().is_empty());
}

#[tokio::test]
async fn strange_identifiers_are_no_media() {
    let world = world();
    let long = "a".repeat(300);
    for id in [
        "",
        ".",
        "..",
        "../../etc/passwd",
        "..%2f..%2fetc",
        "%2e%2e",
        "a/b",
        "a\\b",
        "a\0b",
        "\0",
        "é",
        "ａ",
        "incoming",
        "a.b",
        "C:",
        "~",
        "-_",
        "\u{202e}gnp",
        &long,
    ] {
        let found = world.media.file(server_name!("x"), id, NOW).await;
        assert!(matches!(found, Err(Error::NotFound(_))), "{id:?}");
        let size = Size { width: 32, height: 32 };
        let place = (server_name!("x"), id);
        let fit = Fit { size, method: Method::Crop, animated: false };
        let found = world.media.thumbnail(place, fit, NOW).await;
        assert!(matches!(found, Err(Error::NotFound(_))), "{id:?}");
        let put = world.media.upload_to(alice(), place, &Meta::default(), source(b"x")).await;
        assert!(matches!(put.map_err(core), Err(Error::NotFound(_))), "{id:?}");
    }
    let uri = world.upload("a/b", b"x").await.unwrap();
    let (_, id) = uri.parts().unwrap();
    let elsewhere = world.media.file(server_name!("y"), id, NOW).await;
    assert!(matches!(elsewhere, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn an_identifier_waits_for_its_file() {
    let world = world();
    let (uri, until) = world.media.create(alice()).await.unwrap();
    assert_eq!(until, 1_000_000 + PENDING_LIFETIME_MS);
    assert!(matches!(world.file(&uri).await, Err(Error::NotYetUploaded(_))));
    let stranger = world.put(user_id!("@bob:x"), &uri, b"x").await;
    assert!(matches!(stranger, Err(Error::Forbidden(_))));
    let (server, id) = uri.parts().unwrap();
    let waiting = world.media.file(server, id, Duration::from_secs(20));
    let (file, put) = tokio::join!(waiting, world.put(alice(), &uri, b"here"));
    put.unwrap();
    assert_eq!(world.bytes(&file.unwrap(), None).await.unwrap(), b"here");
    let again = world.put(alice(), &uri, b"other").await;
    assert!(matches!(again, Err(Error::CannotOverwriteMedia(_))));

    let (late, _) = world.media.create(alice()).await.unwrap();
    world.clock.advance_ms(PENDING_LIFETIME_MS + 1);
    assert!(matches!(world.put(alice(), &late, b"x").await, Err(Error::NotFound(_))));
    for _ in 0..50 {
        world.media.create(alice()).await.unwrap();
    }
    let refused = world.media.create(alice()).await;
    assert!(matches!(refused, Err(Error::LimitExceeded { .. })));
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn photo(width: u32, height: u32) -> DynamicImage {
    let pixel = |x: u32, y: u32| Rgb([x.to_le_bytes()[0], y.to_le_bytes()[0], 9]);
    RgbImage::from_fn(width, height, pixel).into()
}

#[tokio::test]
async fn thumbnails_of_the_four_formats_are_made_and_kept() {
    let world = world();
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP] {
        let image = photo(400, 300);
        let image = if format == ImageFormat::Gif { image.to_rgba8().into() } else { image };
        let bytes = encoded(&image, format);
        // Whatever the uploader says it is.
        let uri = world.upload("text/html", &bytes).await.unwrap();
        for (size, method, expected) in [
            ((30, 30), Method::Crop, (32, 32)),
            ((32, 33), Method::Crop, (96, 96)),
            ((200, 200), Method::Scale, (320, 240)),
        ] {
            let file = world.thumbnail(&uri, size, method).await.unwrap();
            let kind = file.content_type.clone().unwrap();
            assert!(["image/jpeg", "image/png"].contains(&kind.as_str()), "{kind}");
            let made = world.bytes(&file, None).await.unwrap();
            let made = image::load_from_memory(&made).unwrap();
            assert_eq!((made.width(), made.height()), expected, "{format:?}");
            assert_eq!(world.thumbnail(&uri, size, method).await.unwrap(), file);
        }
        // Nothing is made larger: the file itself.
        let whole = world.thumbnail(&uri, (800, 600), Method::Scale).await.unwrap();
        assert_eq!(world.bytes(&whole, None).await.unwrap(), bytes);
    }
    let kept = world.media.store.scan(&Scan::<ThumbnailKey>::prefix(())).await.unwrap();
    assert_eq!(kept.len(), 4 * (3 + 1));
}

#[tokio::test]
async fn a_thumbnail_is_nowhere_smaller_than_asked_for() {
    let world = world();
    let bytes = encoded(&photo(1_000, 300), ImageFormat::Jpeg);
    let uri = world.upload("image/jpeg", &bytes).await.unwrap();
    let file = world.thumbnail(&uri, (320, 240), Method::Scale).await.unwrap();
    let made = image::load_from_memory(&world.bytes(&file, None).await.unwrap()).unwrap();
    assert_eq!((made.width(), made.height()), (800, 240));
    let transparent: DynamicImage = RgbaImage::new(100, 100).into();
    let uri = world.upload("image/png", &encoded(&transparent, ImageFormat::Png)).await.unwrap();
    let file = world.thumbnail(&uri, (32, 32), Method::Crop).await.unwrap();
    assert_eq!(file.content_type.as_deref(), Some("image/png"));
}

/// A PNG that says it has so many pixels, with next to no data.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = encoded(&photo(1, 1), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let mut crc = 0xffff_ffff_u32;
    for byte in &bytes[12..29] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    bytes[29..33].copy_from_slice(&(!crc).to_be_bytes());
    bytes
}

#[tokio::test]
async fn bombs_and_other_files_have_no_thumbnail() {
    let world = world();
    for (width, height) in [(60_000, 60_000), (16_000, 16_000), (4_000_000_000, 1)] {
        let uri = world.upload("image/png", &bomb(width, height)).await.unwrap();
        let refused = world.thumbnail(&uri, (32, 32), Method::Crop).await;
        let size = (width, height);
        assert!(matches!(refused, Err(Error::TooLarge(_) | Error::InvalidParam(_))), "{size:?}");
    }
    let half = encoded(&photo(300, 300), ImageFormat::Jpeg);
    let svg: &[u8] = br#"<svg xmlns="http://www.w3.org/2000/svg"/>"#;
    for bytes in [svg, b"", b"text", b"\x89PNG\r\n\x1a\n", &half[..half.len() / 50]] {
        let uri = world.upload("image/png", bytes).await.unwrap();
        let refused = world.thumbnail(&uri, (32, 32), Method::Crop).await;
        assert!(matches!(refused, Err(Error::InvalidParam(_))), "{refused:?}");
    }
    let uri = world.upload("image/png", &encoded(&photo(9, 9), ImageFormat::Png)).await.unwrap();
    let refused = world.thumbnail(&uri, (0, 32), Method::Crop).await;
    assert!(matches!(refused, Err(Error::InvalidParam(_))));
}
