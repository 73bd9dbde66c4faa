//! Files of other servers: fetched once, kept, taken out of circulation.

use pli_tests::server::{TestServer, TestUser};
use reqwest::Method;
use serde_json::json;

const ADMIN: &str = "/_pli/admin/v1";
/// A PNG of one pixel.
const PNG: [u8; 67] = [
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52, 0, 0, 0,
    1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0, 0x0a, 0x49, 0x44, 0x41, 0x54,
    0x78, 0x9c, 0x63, 0x60, 0, 0, 0, 2, 0, 1, 0x48, 0xaf, 0xa4, 0x71, 0, 0, 0, 0, 0x49, 0x45, 0x4e,
    0x44, 0xae, 0x42, 0x60, 0x82,
];

async fn two() -> (TestServer, TestServer) {
    tokio::join!(TestServer::start_federating(), TestServer::start_federating())
}

/// Uploads a file; its server and identifier as a path has them.
async fn upload(user: &TestUser, bytes: Vec<u8>, kind: &str) -> String {
    let url = format!("{}/_matrix/media/v3/upload?filename=note.txt", user.url());
    let request = reqwest::Client::new().request(Method::POST, url);
    let request = request.bearer_auth(&user.token).header("content-type", kind).body(bytes);
    let answer: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    answer["content_uri"].as_str().unwrap().strip_prefix("mxc://").unwrap().to_owned()
}

fn download(place: &str) -> String {
    format!("/_matrix/client/v1/media/download/{place}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_server_comes_whole_and_is_kept() {
    let (here, mut there) = two().await;
    let (alice, carol) = (here.register("alice").await, here.register("carol").await);
    let bob = there.register("bob").await;
    // With what a delimiter begins with, and larger than what is in memory at once.
    let bytes: Vec<u8> = b"\r\n--x".iter().copied().cycle().take(3_000_001).collect();
    let place = upload(&bob, bytes.clone(), "text/plain").await;
    let path = download(&place);
    let (first, second) = tokio::join!(alice.get(&path), carol.get(&path));
    for got in [first, second] {
        assert_eq!(got.status, 200);
        assert!(got.bytes == bytes);
        assert_eq!(got.headers["content-type"], "text/plain");
        assert!(got.headers["content-disposition"].to_str().unwrap().contains("note.txt"));
    }
    there.stop().await;
    assert!(alice.get(&path).await.bytes == bytes, "kept");
    let missing = download(&format!("{}/nothing", there.server_name));
    assert_eq!(alice.get(&missing).await.status, 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_get_no_files_of_other_servers() {
    let (here, there) = tokio::join!(
        TestServer::start_federating_with(|config| config.media.allow_unauthenticated = true),
        TestServer::start_federating(),
    );
    let bob = there.register("bob").await;
    let place = upload(&bob, b"secret".to_vec(), "text/plain").await;
    let old = format!("/_matrix/media/v3/download/{place}");
    assert_eq!(here.get(&old).await.status, 404);
    let signed_only = format!("/_matrix/federation/v1/media/download/{place}");
    assert_eq!(there.get(&signed_only).await.status, 404);
    let id = place.split_once('/').unwrap().1;
    let signed_only = format!("{}/_matrix/federation/v1/media/download/{id}", bob.url());
    assert_eq!(reqwest::Client::new().get(signed_only).send().await.unwrap().status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_too_large_or_denied_is_refused() {
    let (here, there) = tokio::join!(
        TestServer::start_federating_with(|config| config.media.upload_limit_bytes = 1_000),
        TestServer::start_federating(),
    );
    let alice = here.register("alice").await;
    let bob = there.register("bob").await;
    let missing = download(&format!("{}/nothing", there.server_name));
    assert_eq!(alice.get(&missing).await.status, 404);
    let large = upload(&bob, vec![7; 5_000], "text/plain").await;
    assert_eq!(alice.get(&download(&large)).await.status, 413);
    let small = upload(&bob, vec![7; 500], "text/plain").await;
    let admin = there.register_admin("admin").await;
    let path = format!("{ADMIN}/federation/partners/{}", here.server_name);
    admin.put(&path, json!({ "allowed": { "media": false } })).await.ok();
    assert_eq!(alice.get(&download(&small)).await.status, 502);
    admin.put(&path, json!({})).await.ok();
    assert_eq!(alice.get(&download(&small)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_take_files_of_other_servers_out_of_circulation() {
    let (here, there) = two().await;
    let admin = here.register_admin("admin").await;
    let bob = there.register("bob").await;
    let place = upload(&bob, b"bad".to_vec(), "text/plain").await;
    let known = format!("{ADMIN}/remote_media/{place}");
    assert_eq!(admin.get(&known).await.status, 404);
    assert_eq!(admin.get(&download(&place)).await.status, 200);
    assert_eq!(admin.get(&known).await.ok()["size_bytes"], 3);
    admin.put(&format!("{known}/quarantine"), json!({})).await.ok();
    assert_eq!(admin.get(&download(&place)).await.status, 404);
    admin.delete(&known).await.ok();
    assert_eq!(admin.get(&download(&place)).await.status, 404, "fetched again");
    admin.delete(&format!("{known}/quarantine")).await.ok();
    assert_eq!(admin.get(&download(&place)).await.status, 200);
    assert_eq!(bob.get(&known).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn thumbnails_are_made_of_files_of_other_servers() {
    let (here, there) = two().await;
    let alice = here.register("alice").await;
    let bob = there.register("bob").await;
    let place = upload(&bob, PNG.to_vec(), "image/png").await;
    let path = format!("/_matrix/client/v1/media/thumbnail/{place}?width=32&height=32");
    let got = alice.get(&path).await;
    assert_eq!((got.status, &got.bytes[..8]), (200, &PNG[..8]));
    let text = upload(&bob, b"no image".to_vec(), "image/png").await;
    let path = format!("/_matrix/client/v1/media/thumbnail/{text}?width=32&height=32");
    assert_eq!(alice.get(&path).await.status, 400);
}
