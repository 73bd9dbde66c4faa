//! Previews of pages that a real HTTP server in this process has.

use std::{
    collections::HashMap,
    io::Cursor,
    sync::atomic::{AtomicUsize, Ordering},
};

use ruma::{owned_server_name, server_name};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::{
    Random, TestClock,
    media::{MediaFiles, MediaSettings},
};

/// A site: paths to head lines (after the status) and bodies.
struct Site {
    url: String,
    requests: Arc<AtomicUsize>,
}

impl Site {
    async fn new(pages: &[(&str, &str, Vec<u8>)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let pages: HashMap<String, (String, Vec<u8>)> = pages
            .iter()
            .map(|(path, head, body)| {
                ((*path).to_owned(), (head.replace("SITE", &url), body.clone()))
            })
            .collect();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = requests.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = [0; 4096];
                let length = stream.read(&mut buffer).await.unwrap_or_default();
                let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default();
                counter.fetch_add(1, Ordering::SeqCst);
                let none = ("404 Not Found".to_owned(), Vec::new());
                let (head, body) = pages.get(path).unwrap_or(&none);
                let head = format!(
                    "HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(body).await;
            }
        });
        Self { url, requests }
    }
}

struct World {
    previews: Previews,
    media: Media,
    clock: TestClock,
}

fn world(allow_private: bool, settings: PreviewSettings) -> World {
    let clock = TestClock::new(1_700_000_000_000);
    let (store, time) = (Store::in_memory(), Clock::Test(clock.clone()));
    let sources = (time.clone(), Random::seeded(3));
    let (name, files) = (owned_server_name!("x"), MediaFiles::in_memory());
    let media = Media::new(store.clone(), sources, name, MediaSettings::default(), files).unwrap();
    let outgoing = Outgoing::new(allow_private).unwrap();
    let previews = Previews::new((store, time), media.clone(), outgoing, settings);
    World { previews, media, clock }
}

fn on() -> PreviewSettings {
    PreviewSettings { enabled: true, denied_domains: vec!["denied.example".to_owned()] }
}

const HTML: &str = "200 OK\r\ncontent-type: text/html; charset=utf-8";

fn picture() -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image::RgbImage::new(30, 20).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

async fn preview(world: &World, url: &str) -> Result<Value> {
    let json = world.previews.of(url, Language::En).await?;
    Ok(serde_json::from_str(&json).unwrap())
}

#[tokio::test]
async fn a_page_is_shown_with_its_picture_and_looked_at_once() {
    let page = br#"<meta property="og:title" content="News"><meta property="og:image"
        content="/p.png">"#;
    let site = Site::new(&[
        ("/moved", "302 Found\r\nlocation: SITE/page", Vec::new()),
        ("/page", HTML, page.to_vec()),
        ("/p.png", "200 OK\r\ncontent-type: text/plain", picture()),
    ])
    .await;
    let world = world(true, on());
    let url = format!("{}/moved#part", site.url);
    let shown = preview(&world, &url).await.unwrap();
    assert_eq!(shown["og:title"], "News");
    assert_eq!((&shown["og:image:width"], &shown["og:image:height"]), (&json!(30), &json!(20)));
    assert_eq!(shown["og:image:type"], "image/png");
    assert_eq!(shown["matrix:image:size"], picture().len());
    let uri = ruma::OwnedMxcUri::from(shown["og:image"].as_str().unwrap());
    let file = async || world.media.file(server_name!("x"), uri.media_id().unwrap(), TIMEOUT).await;
    assert_eq!(file().await.unwrap().size_bytes, picture().len() as u64);
    assert_eq!(preview(&world, &url).await.unwrap(), shown);
    assert_eq!(site.requests.load(Ordering::SeqCst), 3);
    // After a day the page is looked at anew, and the old picture stays for a while.
    world.clock.advance_ms(FRESH_MS);
    assert_ne!(preview(&world, &url).await.unwrap()["og:image"], shown["og:image"]);
    assert_eq!(site.requests.load(Ordering::SeqCst), 6);
    assert_eq!(world.previews.sweep(Duration::ZERO).await.unwrap(), 0);
    world.clock.advance_ms(KEPT_MS);
    assert_eq!(world.previews.sweep(Duration::ZERO).await.unwrap(), 1);
    assert!(matches!(file().await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn what_is_no_page_shows_nothing_and_what_is_too_large_is_cut() {
    let mut long = b"<title>Long</title>".to_vec();
    long.resize(PAGE_MAX_BYTES * 2, b' ');
    let mut pages = vec![
        ("/loop", "302 Found\r\nlocation: /loop", Vec::new()),
        ("/file", "200 OK\r\ncontent-type: application/pdf", b"%PDF".to_vec()),
        ("/picture", "200 OK\r\ncontent-type: image/png", picture()),
        ("/no-picture", "200 OK\r\ncontent-type: image/png", b"none".to_vec()),
        ("/ftp", "302 Found\r\nlocation: ftp://x.example/", Vec::new()),
        ("/denied", "302 Found\r\nlocation: https://www.denied.example/", Vec::new()),
    ];
    pages.push(("/long", HTML, long));
    let site = Site::new(&pages).await;
    let world = world(true, on());
    let at = |path: &str| format!("{}{path}", site.url);
    assert_eq!(preview(&world, &at("/long")).await.unwrap(), json!({ "og:title": "Long" }));
    assert_eq!(preview(&world, &at("/file")).await.unwrap(), json!({}));
    assert_eq!(preview(&world, &at("/no-picture")).await.unwrap(), json!({}));
    assert_eq!(preview(&world, &at("/picture")).await.unwrap()["og:image:width"], 30);
    for path in ["/nothing", "/loop", "/ftp", "/denied"] {
        let refused = preview(&world, &at(path)).await;
        assert!(matches!(refused, Err(Error::NotFound(_))), "{path}");
    }
}

#[tokio::test]
async fn the_inside_is_never_looked_at() {
    let site = Site::new(&[("/", HTML, b"<title>Inside</title>".to_vec())]).await;
    let world = world(false, on());
    let port = site.url.rsplit(':').next().unwrap();
    for url in [
        site.url.clone(),
        site.url.replace("http:", "https:"),
        "https://10.0.0.1/".to_owned(),
        "https://[::1]/".to_owned(),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "https://user:password@example.org/".to_owned(),
        "https://www.Denied.example/".to_owned(),
        "http://denied.example./".to_owned(),
    ] {
        assert!(matches!(preview(&world, &url).await, Err(Error::Forbidden(_))), "{url}");
    }
    let named = preview(&world, &format!("https://localhost:{port}/")).await;
    assert!(matches!(named, Err(Error::NotFound(_))));
    let long = format!("https://example.org/{}", "x".repeat(3_000));
    for url in ["", "nonsense", "ftp://example.org/", "file:///etc/passwd", "data:,x", &long] {
        assert!(matches!(preview(&world, url).await, Err(Error::InvalidParam(_))), "{url}");
    }
    assert_eq!(site.requests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn nothing_is_looked_at_unless_the_administration_wants_it() {
    let site = Site::new(&[("/", HTML, b"<title>Page</title>".to_vec())]).await;
    let world = world(true, PreviewSettings::default());
    assert_eq!(preview(&world, &site.url).await.unwrap(), json!({}));
    assert_eq!(site.requests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn many_at_once_look_once() {
    let site = Site::new(&[("/", HTML, b"<title>Page</title>".to_vec())]).await;
    let world = world(true, on());
    let looks = (0..20).map(|_| preview(&world, &site.url));
    for shown in futures_util::future::join_all(looks).await {
        assert_eq!(shown.unwrap()["og:title"], "Page");
    }
    assert_eq!(site.requests.load(Ordering::SeqCst), 1);
}
