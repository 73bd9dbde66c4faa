//! The mailboxes of sign-in with a QR code, in both versions.

use pli_tests::server::TestServer;
use reqwest::{Client, Method};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn two_devices_meet_with_entity_tags() {
    let server = TestServer::start().await;
    let client = Client::new();
    let base = format!("{}/_matrix/client/unstable/org.matrix.msc4108/rendezvous", server.url);
    let send = |method: Method, url: &str, tag: Option<&str>, body: &'static str| {
        let mut request = client.request(method.clone(), url).header("content-type", "text/plain");
        if let Some(tag) = tag {
            let name = if method == Method::GET { "if-none-match" } else { "if-match" };
            request = request.header(name, tag);
        }
        request.body(body).send()
    };
    let made = send(Method::POST, &base, None, "one").await.unwrap();
    assert_eq!(made.status().as_u16(), 201);
    for name in ["etag", "expires", "last-modified", "access-control-expose-headers"] {
        assert!(made.headers().contains_key(name), "{name}");
    }
    let first = made.headers()["etag"].to_str().unwrap().to_owned();
    let url = made.json::<serde_json::Value>().await.unwrap()["url"].as_str().unwrap().to_owned();
    let same = send(Method::GET, &url, Some(&first), "").await.unwrap();
    assert_eq!(same.status().as_u16(), 304);
    let written = send(Method::PUT, &url, Some(&first), "two").await.unwrap();
    assert_eq!(written.status().as_u16(), 202);
    let second = written.headers()["etag"].to_str().unwrap().to_owned();
    let read = send(Method::GET, &url, Some(&first), "").await.unwrap();
    assert_eq!(read.headers()["etag"].to_str().unwrap(), second);
    assert_eq!(read.headers()["content-type"], "text/plain");
    assert_eq!(read.text().await.unwrap(), "two");
    let crossed = send(Method::PUT, &url, Some(&first), "three").await.unwrap();
    assert_eq!(crossed.status().as_u16(), 412);
    assert_eq!(send(Method::PUT, &url, None, "three").await.unwrap().status().as_u16(), 400);
    let large: &'static str = Box::leak("x".repeat(4_097).into_boxed_str());
    assert_eq!(send(Method::POST, &base, None, large).await.unwrap().status().as_u16(), 413);
    assert_eq!(send(Method::DELETE, &url, None, "").await.unwrap().status().as_u16(), 204);
    assert_eq!(send(Method::GET, &url, None, "").await.unwrap().status().as_u16(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_devices_meet_with_sequence_tokens() {
    let server = TestServer::start().await;
    let base = "/_matrix/client/unstable/io.element.msc4388/rendezvous";
    let send = |method: Method, path: String, body: Option<serde_json::Value>| {
        let server = &server;
        async move { server.request(method, &path, None, body.as_ref()).await }
    };
    let open = send(Method::GET, base.to_owned(), None).await.ok();
    assert_eq!(open["create_available"], true);
    let made = send(Method::POST, base.to_owned(), Some(json!({ "data": "one" }))).await.ok();
    assert!(made["expires_in_ms"].as_u64().unwrap() > 200_000);
    let path = format!("{base}/{}", made["id"].as_str().unwrap());
    let write = |data: &str| json!({ "sequence_token": made["sequence_token"], "data": data });
    let written = send(Method::PUT, path.clone(), Some(write("two"))).await.ok();
    let again = send(Method::PUT, path.clone(), Some(write("two"))).await.ok();
    assert_eq!(written, again, "a lost answer is given again");
    let crossed = send(Method::PUT, path.clone(), Some(write("three"))).await;
    crossed.refused(409, "M_CONCURRENT_WRITE");
    let read = send(Method::GET, path.clone(), None).await.ok();
    assert_eq!(
        (&read["data"], &read["sequence_token"]),
        (&json!("two"), &written["sequence_token"])
    );
    send(Method::DELETE, path.clone(), None).await.ok();
    send(Method::GET, path, None).await.refused(404, "M_NOT_FOUND");
}
