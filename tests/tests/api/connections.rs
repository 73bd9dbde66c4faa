//! Connections that cost without asking anything, and the end of the server.

use std::time::{Duration, Instant};

use pli_tests::server::TestServer;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

fn address(server: &TestServer) -> String {
    server.url.trim_start_matches("http://").to_owned()
}

/// Reads until the server closes; whether it did within the time.
async fn is_closed_within(stream: &mut TcpStream, limit: Duration) -> bool {
    let mut rest = Vec::new();
    tokio::time::timeout(limit, stream.read_to_end(&mut rest)).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_half_open_connections_do_not_disturb() {
    let server = TestServer::start_with(|config| {
        config.connections.timeouts_ms.header = 3_000;
    })
    .await;
    let alice = server.register("alice").await;
    let mut half_open = Vec::new();
    for number in 0..1_000 {
        let mut stream = TcpStream::connect(address(&server)).await.unwrap();
        // Some say nothing, some begin a header, some begin to speak HTTP/2.
        let start: &[u8] = match number % 3 {
            0 => b"",
            1 => b"GET /_matrix/client/versions HTTP/1.1\r\nHost: x\r\nX-",
            _ => b"PRI * HTT",
        };
        stream.write_all(start).await.unwrap();
        half_open.push(stream);
    }
    let started = Instant::now();
    for _ in 0..20 {
        alice.get("/_matrix/client/v3/account/whoami").await.ok();
    }
    let honest = started.elapsed();
    assert!(honest < Duration::from_secs(10), "20 honest requests took {honest:?}");
    for mut stream in half_open {
        assert!(is_closed_within(&mut stream, Duration::from_secs(20)).await, "still open");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_connection_must_send_its_next_header_in_time() {
    let server = TestServer::start_with(|config| {
        config.connections.timeouts_ms.header = 1_000;
        config.connections.timeouts_ms.idle = 60_000;
    })
    .await;
    let mut stream = TcpStream::connect(address(&server)).await.unwrap();
    let whole = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut answer = [0_u8; 4_096];
    for _ in 0..2 {
        stream.write_all(whole).await.unwrap();
        let length = stream.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
    }
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHo").await.unwrap();
    assert!(is_closed_within(&mut stream, Duration::from_secs(20)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_began_before_the_answer_must_be_finished_in_time() {
    let server = TestServer::start_with(|config| {
        config.connections.timeouts_ms.header = 1_000;
        config.connections.timeouts_ms.idle = 60_000;
    })
    .await;
    let mut stream = TcpStream::connect(address(&server)).await.unwrap();
    let and_more = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\nGET /health/live HTTP/1.1\r\nHo";
    stream.write_all(and_more).await.unwrap();
    let mut answer = [0_u8; 4_096];
    let length = stream.read(&mut answer).await.unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
    assert!(is_closed_within(&mut stream, Duration::from_secs(20)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_trickles_is_cut_off() {
    let server = TestServer::start_with(|config| {
        config.connections.timeouts_ms.body = 1_000;
    })
    .await;
    let mut stream = TcpStream::connect(address(&server)).await.unwrap();
    let head = "POST /_matrix/client/v3/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0_u8; 4_096];
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut answer)).await;
    let length = read.unwrap().unwrap();
    let text = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(text.starts_with("HTTP/1.1 4"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_its_share_of_connections() {
    let server = TestServer::start_with(|config| {
        config.connections.maximum_per_address = 5;
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(TcpStream::connect(address(&server)).await.unwrap());
    }
    let mut sixth = TcpStream::connect(address(&server)).await.unwrap();
    assert!(is_closed_within(&mut sixth, Duration::from_secs(20)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_answers_what_is_under_way_and_ends_in_time() {
    let mut server = TestServer::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let path = format!("/_matrix/client/v3/rooms/{}/send/m.room.message", room.replace('!', "%21"));
    let sender = tokio::spawn(async move {
        let mut acknowledged = 0_u32;
        let client = reqwest::Client::new();
        for number in 0.. {
            let sent = client
                .put(format!("{}{path}/s{number}", alice.url()))
                .bearer_auth(&alice.token)
                .json(&json!({ "msgtype": "m.text", "body": "x" }))
                .send()
                .await;
            match sent {
                Ok(response) if response.status() == 200 => acknowledged += 1,
                // Refused connection or an answer that says so: never a broken one.
                Ok(response) => panic!("{}", response.status()),
                Err(error) => {
                    assert!(error.is_connect() || error.is_request(), "{error}");
                    break;
                }
            }
        }
        acknowledged
    });
    while server.state().rooms.store().position().0 < 40 {
        tokio::task::yield_now().await;
    }
    let started = Instant::now();
    server.stop().await;
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(sender.await.unwrap() > 0);
}
