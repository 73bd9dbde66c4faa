//! The listener with TLS of its own.

use std::{net::SocketAddr, path::PathBuf};

use http::Version;
use pli_tests::server::TestServer;
use reqwest::{Certificate, Client, ClientBuilder};

/// Certificates that are made for tests.
fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../homeserver/core/tests/smtp")).join(name)
}

async fn server() -> TestServer {
    TestServer::start_with(|config| {
        config.tls.certificate_file = Some(file("server.pem").display().to_string());
        config.tls.private_key_file = Some(file("server.key").display().to_string());
    })
    .await
}

fn client(server: &TestServer, change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    let authority = std::fs::read(file("authority.pem")).unwrap();
    let address: SocketAddr = server.url.trim_start_matches("https://").parse().unwrap();
    let builder = Client::builder()
        .add_root_certificate(Certificate::from_pem(&authority).unwrap())
        .resolve("localhost", address);
    change(builder).build().unwrap()
}

fn address(server: &TestServer) -> String {
    let port = server.url.rsplit(':').next().unwrap();
    format!("https://localhost:{port}/_matrix/client/versions")
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_speak_http_2_or_1_over_tls() {
    let server = server().await;
    let url = address(&server);
    let newer = client(&server, |builder| builder);
    for _ in 0..3 {
        let answers = (0..20).map(|_| newer.get(&url).send());
        for answer in futures_join(answers).await {
            assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_2));
        }
    }
    let older = client(&server, ClientBuilder::http1_only);
    let answer = older.get(&url).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_11));
    // Somebody who does not know the authority, and somebody who speaks no TLS.
    let address: SocketAddr = server.url.trim_start_matches("https://").parse().unwrap();
    let stranger = Client::builder().resolve("localhost", address).build().unwrap();
    assert!(stranger.get(&url).send().await.unwrap_err().is_connect());
    assert!(Client::new().get(url.replace("https", "http")).send().await.is_err());
    let answer = newer.get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

/// Whoever is refused before the body is read learns why, also over HTTP/2.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_before_the_body_is_an_answer() {
    let server = server().await;
    let client = client(&server, |builder| builder);
    let url = address(&server).replace("/versions", "/v3/createRoom");
    for length in [10, 60_000, 500_000] {
        for _ in 0..10 {
            let body = format!("{{\"name\":\"{}\"}}", "x".repeat(length));
            let answer = client.post(&url).body(body).send().await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.version()), (401, Version::HTTP_2));
        }
    }
}

async fn futures_join<T: Send + 'static, E: std::fmt::Debug + Send + 'static>(
    all: impl Iterator<Item = impl Future<Output = Result<T, E>> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = all.map(tokio::spawn).collect();
    let mut done = Vec::new();
    for task in tasks {
        done.push(task.await.unwrap().unwrap());
    }
    done
}
