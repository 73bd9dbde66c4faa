//! What must not be in the log, at the most talkative level.

use std::{
    io,
    sync::{Arc, Mutex},
};

use pli_homeserver::telemetry;
use pli_tests::server::TestServer;
use serde_json::json;
use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt};

/// Everything that is logged in this process.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Captured {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_body_or_address_is_logged_even_at_trace() {
    let captured = Captured::default();
    let lines = tracing_subscriber::fmt::layer().with_writer(captured.clone()).with_ansi(false);
    tracing_subscriber::registry().with(telemetry::without_engine()).with(lines).init();
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let second = server.login("alice").await;
    let room = alice.create_room(json!({ "name": "zebra-room-name" })).await;
    alice.say(&room.replace('!', "%21"), "giraffe-message-body").await;
    let uri = format!("/_matrix/client/v3/account/whoami?access_token={}", alice.token);
    server.get(&uri).await.ok();
    let wrong = json!({
        "type": "m.login.password", "password": "elephant-password",
        "identifier": { "type": "m.id.user", "user": "alice" },
    });
    server
        .request("POST".parse().unwrap(), "/_matrix/client/v3/login", None, Some(&wrong))
        .await
        .refused(403, "M_FORBIDDEN");
    let mail = json!({ "client_secret": "lion-client-secret", "email": "tiger@agents.example",
        "send_attempt": 1 });
    let path = "/_matrix/client/v3/register/email/requestToken";
    server.request("POST".parse().unwrap(), path, None, Some(&mail)).await;
    let log = String::from_utf8_lossy(&captured.0.lock().unwrap()).into_owned();
    assert!(log.contains("pli::request"), "the log is not captured");
    for secret in [
        alice.token.as_str(),
        second.token.as_str(),
        "password of alice",
        "elephant-password",
        "giraffe-message-body",
        "zebra-room-name",
        "lion-client-secret",
        "tiger@agents.example",
    ] {
        let found: Vec<&str> = log.lines().filter(|line| line.contains(secret)).take(3).collect();
        assert!(found.is_empty(), "{secret} is in the log:\n{}", found.join("\n"));
    }
}
