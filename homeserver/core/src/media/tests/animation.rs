//! Animated images and their thumbnails.

use image::{
    AnimationDecoder, Delay, Frame, RgbaImage,
    codecs::gif::{GifDecoder, GifEncoder},
};

use super::*;

fn animation(width: u32, height: u32, frames: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, 30);
    for n in 0..frames {
        let shade = n.to_le_bytes()[0].wrapping_mul(40);
        let image = RgbaImage::from_pixel(width, height, image::Rgba([shade, 200, 90, 255]));
        let delay = Delay::from_numer_denom_ms(100, 1);
        encoder.encode_frame(Frame::from_parts(image, 0, 0, delay)).unwrap();
    }
    drop(encoder);
    bytes
}

async fn thumbnail(world: &World, uri: &OwnedMxcUri, side: u32, animated: bool) -> File {
    let size = Size { width: side, height: side };
    let fit = Fit { size, method: Method::Scale, animated };
    world.media.thumbnail(uri.parts().unwrap(), fit, NOW).await.unwrap()
}

fn frames(bytes: &[u8]) -> usize {
    GifDecoder::new(Cursor::new(bytes)).unwrap().into_frames().count()
}

#[tokio::test]
async fn thumbnails_move_where_asked_and_stand_still_elsewhere() {
    let world = world();
    let bytes = animation(360, 250, 5);
    let uri = world.upload("image/gif", &bytes).await.unwrap();
    let moving = thumbnail(&world, &uri, 200, true).await;
    assert_eq!(moving.content_type.as_deref(), Some("image/gif"));
    assert_eq!(moving.file_name.as_deref(), Some("thumbnail.gif"));
    let made = world.bytes(&moving, None).await.unwrap();
    assert_eq!(frames(&made), 5);
    let first = image::load_from_memory(&made).unwrap();
    assert_eq!((first.width(), first.height()), (345, 240));
    // Kept apart.
    let still = thumbnail(&world, &uri, 200, false).await;
    assert_ne!(still.content_type.as_deref(), Some("image/gif"));
    assert_eq!(thumbnail(&world, &uri, 200, true).await, moving);
    // Smaller than asked for: the image itself where it may move, else its first picture.
    let whole = thumbnail(&world, &uri, 400, true).await;
    assert_eq!(world.bytes(&whole, None).await.unwrap(), bytes);
    for side in [400, 9_000] {
        let still = thumbnail(&world, &uri, side, false).await;
        assert_ne!(still.content_type.as_deref(), Some("image/gif"), "{side}");
        let made = image::load_from_memory(&world.bytes(&still, None).await.unwrap()).unwrap();
        assert_eq!((made.width(), made.height()), (360, 250));
    }
}

#[tokio::test]
async fn what_does_not_move_is_as_if_nobody_had_asked() {
    let world = world();
    for (bytes, kind) in [
        (encoded(&photo(400, 300), ImageFormat::Jpeg), "image/jpeg"),
        (animation(400, 300, 1), "image/png"),
    ] {
        let uri = world.upload("text/html", &bytes).await.unwrap();
        let file = thumbnail(&world, &uri, 100, true).await;
        assert_eq!(file.content_type.as_deref(), Some(kind));
    }
    // The type is that of the bytes, not what the uploader said, also where they are not changed.
    let uri = world.upload("text/html", &encoded(&photo(9, 9), ImageFormat::WebP)).await.unwrap();
    let file = thumbnail(&world, &uri, 100, true).await;
    assert_eq!(file.content_type.as_deref(), Some("image/webp"));
    let uri = world.upload("image/png", b"<html>").await.unwrap();
    let size = Size { width: 9_000, height: 9_000 };
    let fit = Fit { size, method: Method::Scale, animated: false };
    let refused = world.media.thumbnail(uri.parts().unwrap(), fit, NOW).await;
    assert!(matches!(refused, Err(Error::InvalidParam(_))));
}

#[tokio::test]
async fn an_animation_that_costs_too_much_stands_still() {
    let world = world();
    let uri = world.upload("image/gif", &animation(330, 1, 1_001)).await.unwrap();
    let file = thumbnail(&world, &uri, 200, true).await;
    assert_ne!(file.content_type.as_deref(), Some("image/gif"));
    let uri = world.upload("image/gif", &animation(330, 1, 20)).await.unwrap();
    let file = thumbnail(&world, &uri, 200, true).await;
    assert_eq!(file.content_type.as_deref(), Some("image/gif"));
}
