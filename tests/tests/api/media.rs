//! Files: up, down, in parts, in small, later, never again; and what is behind links.

use std::collections::BTreeMap;

use pli_schema::config::UrlPreviewSettings;
use pli_tests::server::{Reply, TestServer, TestUser};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const UPLOAD: &str = "/_matrix/media/v3/upload";
const DOWNLOAD: &str = "/_matrix/client/v1/media/download";
const THUMBNAIL: &str = "/_matrix/client/v1/media/thumbnail";

/// A PNG of one pixel.
const PNG: [u8; 67] = [
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52, 0, 0, 0,
    1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0, 0x0a, 0x49, 0x44, 0x41, 0x54,
    0x78, 0x9c, 0x63, 0x60, 0, 0, 0, 2, 0, 1, 0x48, 0xaf, 0xa4, 0x71, 0, 0, 0, 0, 0x49, 0x45, 0x4e,
    0x44, 0xae, 0x42, 0x60, 0x82,
];

/// A GIF of one pixel that changes its color.
fn gif() -> Vec<u8> {
    let mut gif = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff".to_vec();
    gif.extend(b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00");
    for color in [0x44, 0x4c] {
        gif.extend(b"!\xf9\x04\x00\x0a\x00\x00\x00");
        gif.extend(b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02");
        gif.extend([color, 0x01, 0x00]);
    }
    gif.push(b';');
    gif
}

async fn send(request: RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.unwrap().to_vec();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Reply { status, headers, bytes, body }
}

fn request(user: &TestUser, method: Method, path: &str) -> RequestBuilder {
    let url = format!("{}{path}", user.url());
    Client::new().request(method, url).bearer_auth(&user.token)
}

async fn upload(user: &TestUser, name: &str, kind: &str, bytes: &[u8]) -> Reply {
    let path = format!("{UPLOAD}?filename={name}");
    let request = request(user, Method::POST, &path).header("content-type", kind);
    send(request.body(bytes.to_vec())).await
}

/// `server/id` of a new file.
async fn uploaded(user: &TestUser, name: &str, kind: &str, bytes: &[u8]) -> String {
    let answer = upload(user, name, kind, bytes).await.ok();
    answer["content_uri"].as_str().unwrap().strip_prefix("mxc://").unwrap().to_owned()
}

fn headers(reply: &Reply) -> BTreeMap<&str, &str> {
    reply.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_back_whole_and_in_parts_and_can_do_nothing() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let text =
        uploaded(&alice, "note%20%C3%A9.txt", "text/plain; charset=utf-8", b"0123456789").await;
    let whole = bob.get(&format!("{DOWNLOAD}/{text}")).await;
    assert_eq!((whole.status, whole.bytes.as_slice()), (200, b"0123456789".as_slice()));
    let found = headers(&whole);
    assert_eq!(found["content-type"], "text/plain; charset=utf-8");
    assert!(found["content-disposition"].starts_with("inline; filename"), "{found:?}");
    assert!(found["content-security-policy"].starts_with("sandbox; default-src 'none'"));
    assert_eq!(found["cross-origin-resource-policy"], "cross-origin");
    assert_eq!((found["x-content-type-options"], found["accept-ranges"]), ("nosniff", "bytes"));
    let page = uploaded(&alice, "a.html", "text/html", b"<script>1</script>").await;
    let page = bob.get(&format!("{DOWNLOAD}/{page}")).await;
    assert!(headers(&page)["content-disposition"].starts_with("attachment"));
    let named = bob.get(&format!("{DOWNLOAD}/{text}/other%20name.txt")).await;
    assert!(headers(&named)["content-disposition"].contains("other name.txt"));
    for (range, status, bytes, shown) in [
        ("bytes=2-4", 206, "234", "bytes 2-4/10"),
        ("bytes=-3", 206, "789", "bytes 7-9/10"),
        ("bytes=8-", 206, "89", "bytes 8-9/10"),
        ("bytes=10-", 416, "", "bytes */10"),
    ] {
        let path = format!("{DOWNLOAD}/{text}?allow_redirect=true&timeout_ms=5");
        let part = send(request(&bob, Method::GET, &path).header("range", range)).await;
        assert_eq!((part.status, part.bytes.as_slice()), (status, bytes.as_bytes()), "{range}");
        assert_eq!(headers(&part)["content-range"], shown);
    }
    // Only with a token, and only what is there.
    server.get(&format!("{DOWNLOAD}/{text}")).await.refused(401, "M_MISSING_TOKEN");
    server.get(&format!("/_matrix/media/v3/download/{text}")).await.refused(404, "M_NOT_FOUND");
    for place in ["pli.test/unknown", "other.test/abc", "pli.test/..%2F..%2Fetc%2Fpasswd"] {
        bob.get(&format!("{DOWNLOAD}/{place}")).await.refused(404, "M_NOT_FOUND");
    }
    for path in ["/_matrix/client/v1/media/config", "/_matrix/media/v3/config"] {
        assert_eq!(bob.get(path).await.ok()["m.upload.size"], 104_857_600);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_clients_get_files_without_a_token_where_the_administration_wants_it() {
    const OLD: &str = "/_matrix/media/v3";
    let server = TestServer::start_with(|config| config.media.allow_unauthenticated = true).await;
    let alice = server.register("alice").await;
    let png = uploaded(&alice, "p.png", "image/png", &PNG).await;
    let whole = server.get(&format!("{OLD}/download/{png}")).await;
    assert_eq!((whole.status, whole.bytes.as_slice()), (200, PNG.as_slice()));
    assert_eq!(headers(&whole)["content-type"], "image/png");
    assert!(headers(&whole)["content-disposition"].contains("p.png"));
    assert!(headers(&whole)["content-security-policy"].starts_with("sandbox;"));
    let named = server.get(&format!("{OLD}/download/{png}/other%20name.png")).await;
    assert_eq!((named.status, named.bytes.as_slice()), (200, PNG.as_slice()));
    assert!(headers(&named)["content-disposition"].contains("other name.png"));
    let small = format!("{OLD}/thumbnail/{png}?width=32&height=32&method=crop");
    let small = server.get(&small).await;
    assert_eq!((small.status, headers(&small)["content-type"]), (200, "image/png"));
    assert!(small.bytes.starts_with(&PNG[..8]), "it is an image");
    for path in ["download/pli.test/unknown", "thumbnail/pli.test/unknown?width=32&height=32"] {
        server.get(&format!("{OLD}/{path}")).await.refused(404, "M_NOT_FOUND");
    }
    // An identifier that is filled later, by whoever made it.
    let made = alice.post("/_matrix/media/v1/create", json!({})).await.ok();
    let place = made["content_uri"].as_str().unwrap().strip_prefix("mxc://").unwrap();
    let put = format!("{UPLOAD}/{place}?filename=x.json");
    assert_eq!(alice.put(&put, json!({ "a": 1 })).await.ok(), json!({}));
    let got = server.get(&format!("{OLD}/download/{place}")).await;
    assert_eq!((got.status, &got.body), (200, &json!({ "a": 1 })));
    assert!(headers(&got)["content-disposition"].contains("x.json"));
    alice.put(&put, json!({})).await.refused(409, "M_CANNOT_OVERWRITE_MEDIA");
    server.request(Method::PUT, &put, None, Some(&json!({}))).await.refused(401, "M_MISSING_TOKEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identifier_is_made_first_and_filled_once() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let made = alice.post("/_matrix/media/v1/create", json!({})).await.ok();
    assert!(made["unused_expires_at"].as_u64().unwrap() > 1_700_000_000_000);
    let place = made["content_uri"].as_str().unwrap().strip_prefix("mxc://").unwrap().to_owned();
    let early = bob.get(&format!("{DOWNLOAD}/{place}?timeout_ms=1")).await;
    early.refused(504, "M_NOT_YET_UPLOADED");
    let put = |user: &TestUser| {
        let request = request(user, Method::PUT, &format!("{UPLOAD}/{place}"));
        send(request.header("content-type", "image/png").body(PNG.to_vec()))
    };
    put(&bob).await.refused(403, "M_FORBIDDEN");
    let (path, waiter) = (format!("{DOWNLOAD}/{place}?timeout_ms=20000"), bob.clone());
    let waiting = tokio::spawn(async move { waiter.get(&path).await });
    put(&alice).await.ok();
    assert_eq!(waiting.await.unwrap().bytes, PNG);
    put(&alice).await.refused(409, "M_CANNOT_OVERWRITE_MEDIA");
    for _ in 0..50 {
        alice.post("/_matrix/media/v1/create", json!({})).await.ok();
    }
    let much = alice.post("/_matrix/media/v1/create", json!({})).await;
    much.refused(429, "M_LIMIT_EXCEEDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn thumbnails_are_images_whatever_the_uploader_said() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let png = uploaded(&alice, "p.png", "text/html", &PNG).await;
    let gif = uploaded(&alice, "g.gif", "image/gif", &gif()).await;
    let get = |place: &str, query: &str| {
        let path = format!("{THUMBNAIL}/{place}?width=40&height=30{query}");
        let alice = alice.clone();
        async move { alice.get(&path).await }
    };
    for (place, query, kind) in [
        (&png, "", "image/png"),
        (&png, "&method=crop&animated=true", "image/png"),
        (&gif, "&animated=true", "image/gif"),
        (&gif, "&animated=false", "image/png"),
        (&gif, "", "image/png"),
    ] {
        let reply = get(place, query).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(headers(&reply)["content-type"], kind, "{place} {query}");
        let disposition = headers(&reply)["content-disposition"].to_owned();
        assert!(disposition.starts_with("inline; filename=thumbnail."), "{disposition}");
    }
    let text = uploaded(&alice, "t.txt", "image/png", b"no image").await;
    get(&text, "").await.refused(400, "M_INVALID_PARAM");
    let path = format!("{THUMBNAIL}/{png}?width=-1&height=3");
    assert_eq!(alice.get(&path).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_room_left_uploads_nothing() {
    let server = TestServer::start_with(|config| {
        config.media.upload_limit_bytes = 1_000;
        config.media.user_quota.bytes = 1_500;
    })
    .await;
    let alice = server.register("alice").await;
    upload(&alice, "a", "a/b", &[0; 1_001]).await.refused(413, "M_TOO_LARGE");
    upload(&alice, "a", "a/b", &[0; 1_000]).await.ok();
    upload(&alice, "a", "a/b", &[1; 600]).await.refused(403, "M_FORBIDDEN");
    upload(&alice, "a", "a/b", &[1; 500]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_see_files_take_them_out_of_circulation_and_delete_them() {
    let server = TestServer::start().await;
    let admin = server.register_admin("root").await;
    let alice = server.register("alice").await;
    let bad = uploaded(&alice, "bad.png", "image/png", &PNG).await;
    let id = bad.split('/').nth(1).unwrap().to_owned();
    let one = format!("/_pli/admin/v1/media/{id}");
    alice.get(&one).await.refused(403, "M_FORBIDDEN");
    let listed = format!("/_pli/admin/v1/media?user_id={}", alice.user_id);
    let found = admin.get(&listed).await.ok();
    assert_eq!(found["usage"], json!({ "files": 1, "bytes": PNG.len() }));
    assert_eq!(
        (&found["media"][0]["media_id"], &found["media"][0]["file_name"]),
        (&json!(id), &json!("bad.png"))
    );
    admin.put(&format!("{one}/quarantine"), json!({})).await.ok();
    assert_eq!(admin.get(&one).await.ok()["quarantined_by"], admin.user_id.as_str());
    alice.get(&format!("{DOWNLOAD}/{bad}")).await.refused(404, "M_NOT_FOUND");
    let again = uploaded(&alice, "again.png", "image/png", &PNG).await;
    alice.get(&format!("{DOWNLOAD}/{again}")).await.refused(404, "M_NOT_FOUND");
    admin.delete(&format!("{one}/quarantine")).await.ok();
    assert_eq!(alice.get(&format!("{DOWNLOAD}/{again}")).await.status, 200);
    admin.delete(&one).await.ok();
    alice.get(&format!("{DOWNLOAD}/{bad}")).await.refused(404, "M_NOT_FOUND");
    admin.delete(&one).await.refused(404, "M_NOT_FOUND");
    let all = format!("/_pli/admin/v1/users/{}/media", alice.user_id);
    assert_eq!(admin.delete(&all).await.ok()["deleted"], 1);
    assert_eq!(admin.delete(&all).await.ok()["deleted"], 0);
    assert_eq!(admin.get(&listed).await.ok()["media"], json!([]));
    let log = admin.get("/_pli/admin/v1/audit").await.ok();
    let actions: Vec<&str> =
        log["entries"].as_array().unwrap().iter().filter_map(|e| e["action"].as_str()).collect();
    assert!(["media.delete", "media.quarantine"].iter().all(|action| actions.contains(action)));
}

/// A site with one page and its picture.
async fn site() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4_096];
            let length = stream.read(&mut buffer).await.unwrap_or_default();
            let asked = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let page: &[u8] = b"<meta property='og:title' content='News'>\
                <meta property='og:image' content='/p.png'>";
            let (kind, body) = match asked.split(' ').nth(1) {
                Some("/p.png") => ("image/png", PNG.as_slice()),
                _ => ("text/html", page),
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(body).await;
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_shown_only_where_the_administration_wants_it_and_never_from_inside() {
    let site = site().await;
    let path = format!("/_matrix/client/v1/media/preview_url?url={site}/page");
    let off = TestServer::start().await;
    assert_eq!(off.register("alice").await.get(&path).await.ok(), json!({}));
    let strict = TestServer::start_with(|config| {
        config.media.url_previews = Some(UrlPreviewSettings::default());
        config.server.test_deployment.private_addresses = false;
    })
    .await;
    strict.register("alice").await.get(&path).await.refused(403, "M_FORBIDDEN");
    let server = TestServer::start_with(|config| {
        config.media.url_previews = Some(UrlPreviewSettings::default());
    })
    .await;
    let alice = server.register("alice").await;
    server.get(&path).await.refused(401, "M_MISSING_TOKEN");
    let shown = alice.get(&path).await.ok();
    assert_eq!((&shown["og:title"], &shown["og:image:width"]), (&json!("News"), &json!(1)));
    let picture = shown["og:image"].as_str().unwrap().strip_prefix("mxc://").unwrap();
    assert_eq!(alice.get(&format!("{DOWNLOAD}/{picture}")).await.bytes, PNG);
    let legacy = path.replace("/client/v1/media/", "/media/v3/");
    assert_eq!(alice.get(&legacy).await.ok(), shown);
    for url in ["nonsense", "ftp://example.org/"] {
        let path = format!("/_matrix/client/v1/media/preview_url?url={url}");
        alice.get(&path).await.refused(400, "M_INVALID_PARAM");
    }
}
