//! Corners of HTTP and JSON: every method on every path, what a body may be and what it may hold.

use std::collections::BTreeSet;

use pli_tests::{
    openapi::spec,
    server::{Reply, TestServer, TestUser},
};
use reqwest::{Client, Method};
use serde_json::{Value, json};

/// A request with a body as it is, checked like any other.
async fn raw(
    server: &TestServer,
    method: &Method,
    path: &str,
    token: &str,
    body: impl Into<reqwest::Body>,
) -> Reply {
    let url = format!("{}{path}", server.url);
    let request = Client::new().request(method.clone(), url).bearer_auth(token);
    let sent = request.header("content-type", "application/json").body(body).send();
    let response = sent.await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.expect("a body").to_vec();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let reply = Reply { status, headers, bytes, body };
    server.watch.look(method, path, &reply);
    reply
}

struct Room {
    server: TestServer,
    alice: TestUser,
    path: String,
    sent: usize,
}

impl Room {
    async fn new() -> Self {
        let server = TestServer::start().await;
        server.watch.let_events_be_odd();
        let alice = server.register("alice").await;
        let room = alice.create_room(json!({})).await;
        Self { server, alice, path: format!("/_matrix/client/v3/rooms/{room}"), sent: 0 }
    }

    /// Sends a message with a body as it is.
    async fn message(&mut self, body: impl Into<reqwest::Body>) -> Reply {
        self.sent += 1;
        let path = format!("{}/send/org.example.test/t{}", self.path, self.sent);
        raw(&self.server, &Method::PUT, &path, &self.alice.token, body).await
    }

    async fn state(&self, body: impl Into<reqwest::Body>) -> Reply {
        let path = format!("{}/state/org.example.test/key", self.path);
        raw(&self.server, &Method::PUT, &path, &self.alice.token, body).await
    }

    /// The content of the newest event.
    async fn last(&self) -> Value {
        let path = format!("{}/messages?dir=b&limit=1", self.path);
        self.alice.get(&path).await.ok()["chunk"][0]["content"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_canonical_json_does_not_have_are_no_content_of_events() {
    let mut room = Room::new().await;
    for bad in [
        "9007199254740992",
        "-9007199254740992",
        "18446744073709551616",
        "-0",
        "0.5",
        "-1.5e3",
        "1e400",
        "1e-7",
    ] {
        for body in [format!(r#"{{"n":{bad}}}"#), format!(r#"{{"a":{{"b":[{{"c":{bad}}}]}}}}"#)] {
            let reply = room.message(body.clone()).await;
            assert_eq!(
                (reply.status, reply.errcode()),
                (400, "M_BAD_JSON"),
                "{body}: {}",
                reply.body
            );
            let reply = room.state(body.clone()).await;
            assert_eq!(
                (reply.status, reply.errcode()),
                (400, "M_BAD_JSON"),
                "{body}: {}",
                reply.body
            );
        }
    }
    for good in ["9007199254740991", "-9007199254740991", "0"] {
        room.message(format!(r#"{{"n":{good}}}"#)).await.ok();
    }
    assert_eq!(room.last().await["n"], json!(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_is_refused_as_that() {
    let mut room = Room::new().await;
    for bad in [
        &b""[..],
        b"{",
        b"{}}",
        b"{} x",
        b"{\"a\":1,}",
        b"{'a':1}",
        b"\xef\xbb\xbf{}",
        b"{\"a\":\"\xff\"}",
        b"{\"a\":\"\xed\xa0\x80\"}",
        b"{\"a\":\"\\ud800\"}",
        b"{\"a\":\"\\udc00\\ud800\"}",
        b"{\"\\ud800\":1}",
        b"{\"a\":\"b\nc\"}",
        b"{\"a\":01}",
        b"{\"a\":NaN}",
        b"\0",
    ] {
        let shown = String::from_utf8_lossy(bad);
        let reply = room.message(bad).await;
        assert_eq!((reply.status, reply.errcode()), (400, "M_NOT_JSON"), "{shown}: {}", reply.body);
        let reply = room.state(bad).await;
        assert_eq!((reply.status, reply.errcode()), (400, "M_NOT_JSON"), "{shown}: {}", reply.body);
    }
    for bad in ["[]", "null", "7", "\"text\"", "true"] {
        room.message(bad).await.refused(400, "M_BAD_JSON");
        room.state(bad).await.refused(400, "M_BAD_JSON");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_every_kind_arrive_as_they_were() {
    let mut room = Room::new().await;
    for text in ["\\u0000", "\\ud83d\\ude00", "\\u202e", "\\uffff", "é\\u0301", "\\\\ \\\" \\/"] {
        let body = format!(r#"{{"text":"{text}","{text}":1}}"#);
        let sent: Value = serde_json::from_str(&body).unwrap();
        room.message(body).await.ok();
        assert_eq!(room.last().await, sent);
    }
    // The last of two members of one name counts, as everywhere; it is told once.
    room.message(r#"{"a":1,"a":2,"b":{"c":1,"c":[]}}"#).await.ok();
    assert_eq!(room.last().await, json!({ "a": 2, "b": { "c": [] } }));
}

#[tokio::test(flavor = "multi_thread")]
async fn depth_and_size_have_bounds() {
    let mut room = Room::new().await;
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    room.message(nested(60)).await.ok();
    for depth in [200, 20_000] {
        let reply = room.message(nested(depth)).await;
        assert_eq!(reply.status, 400, "{depth}: {}", reply.body);
        assert!(["M_BAD_JSON", "M_NOT_JSON"].contains(&reply.errcode()), "{}", reply.body);
    }
    room.message(format!(r#"{{"a":"{}"}}"#, "x".repeat(60_000))).await.ok();
    // The whole event may have 65,536 bytes, in canonical JSON.
    let reply = room.message(format!(r#"{{"a":"{}"}}"#, "x".repeat(65_536))).await;
    reply.refused(413, "M_TOO_LARGE");
    let spaces = format!(r#"{{"a":1{}}}"#, " ".repeat(50_000));
    room.message(spaces).await.ok();
    assert_eq!(room.last().await, json!({ "a": 1 }));
    // Type and state key have bounds of their own.
    let long = "t".repeat(256);
    for path in [format!("send/{long}/t"), format!("state/{long}"), format!("state/t/{long}")] {
        let method = Method::PUT;
        let path = format!("{}/{path}", room.path);
        let reply = raw(&room.server, &method, &path, &room.alice.token, "{}").await;
        assert!((400..500).contains(&reply.status), "{path}: {}", reply.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_clients_leave_out() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let event = alice.say(&room, "hello").await;
    let post = Method::POST;
    for path in [
        format!("/_matrix/client/v3/join/{room}"),
        format!("/_matrix/client/v3/rooms/{room}/join"),
        format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{event}"),
        format!("/_matrix/client/v3/rooms/{room}/read_markers"),
        "/_matrix/client/v3/publicRooms".to_owned(),
        format!("/_matrix/client/v3/rooms/{room}/leave"),
        format!("/_matrix/client/v3/rooms/{room}/forget"),
        "/_matrix/client/v3/logout".to_owned(),
    ] {
        let reply = bob.request(post.clone(), &path, None).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
    }
    let gone = bob.get("/_matrix/client/v3/account/whoami").await;
    gone.refused(401, "M_UNKNOWN_TOKEN");
    let device = format!("/_matrix/client/v3/devices/{}", alice.device_id);
    assert!(alice.delete(&device).await.body["flows"].is_array());
    alice.request(post.clone(), "/_matrix/client/v3/logout/all", None).await.ok();
    let carol = server.register("carol").await;
    let reply = carol.request(post, "/_matrix/client/v3/createRoom", None).await;
    reply.refused(400, "M_NOT_JSON");
}

fn allowed_for_browsers(reply: &Reply) -> bool {
    let header = |name: &str| reply.headers.get(name).and_then(|value| value.to_str().ok());
    header("access-control-allow-origin") == Some("*")
        && header("access-control-allow-methods") == Some("GET, POST, PUT, DELETE, OPTIONS")
        && header("access-control-allow-headers").is_some_and(|all| {
            ["X-Requested-With", "Content-Type", "Authorization"].iter().all(|h| all.contains(h))
        })
}

/// Every method on every path: what it does not take is 405, `OPTIONS` is 200 or 204 without a token,
/// and browsers may read each answer.
#[tokio::test(flavor = "multi_thread")]
async fn every_path_answers_every_method() {
    let server = TestServer::start().await;
    let routes = pli_api::whole::routes().list();
    let paths: BTreeSet<&str> = routes.iter().map(|route| route.path.as_str()).collect();
    let mut failures = Vec::new();
    for template in &paths {
        let path: String = template
            .split('/')
            .map(|segment| if segment.starts_with('{') { "x" } else { segment })
            .collect::<Vec<_>>()
            .join("/");
        // Another template may fit this path too, such as one with a parameter.
        let known = |method: &str| {
            routes.iter().any(|route| route.method == method && fits(&route.path, &path))
        };
        for name in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
            let is_known = known(name) || (name == "HEAD" && known("GET"));
            let request = server.request(name.parse().unwrap(), &path, None, None);
            // Pages and long polls are the business of other tests.
            if is_known && !path.starts_with("/_matrix/") {
                continue;
            }
            let reply = request.await;
            let right = match name {
                "OPTIONS" => reply.status == 200 || reply.status == 204,
                _ if is_known => reply.status < 500 && reply.status != 405,
                "HEAD" => reply.status == 405,
                _ => reply.status == 405 && reply.errcode() == "M_UNRECOGNIZED",
            };
            if !right || !allowed_for_browsers(&reply) {
                failures.push(format!("{name} {path}: {} {}", reply.status, reply.body));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(paths.len() > 100, "{}", paths.len());
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(path).all(|(wanted, got)| wanted.starts_with('{') || *wanted == got)
}

/// The operations that need a token say so before they look at anything else.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_told_that_a_token_is_missing_by_every_operation_that_needs_one() {
    let server = TestServer::start().await;
    let routes = pli_api::whole::routes().list();
    let mut failures = Vec::new();
    let mut asked = 0;
    for operation in spec().operations().iter().filter(|operation| operation.auth) {
        let path: String = operation
            .path
            .split('/')
            .map(|segment| if segment.starts_with('{') { "x" } else { segment })
            .collect::<Vec<_>>()
            .join("/");
        if !routes.iter().any(|route| route.method == operation.method && fits(&route.path, &path))
        {
            continue;
        }
        asked += 1;
        let method: Method = operation.method.parse().unwrap();
        for token in [None, Some("nonsense")] {
            let wanted = if token.is_none() { "M_MISSING_TOKEN" } else { "M_UNKNOWN_TOKEN" };
            let reply = server.request(method.clone(), &path, token, None).await;
            if reply.status != 401 || reply.errcode() != wanted {
                failures.push(format!(
                    "{} {token:?}: {} {}",
                    operation.name(),
                    reply.status,
                    reply.body
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(asked > 100, "{asked}");
}
