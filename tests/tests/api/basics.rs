//! What every client does first.

use pli_tests::server::TestServer;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_registers_and_survives_a_restart() {
    let mut server = TestServer::start().await;
    let versions = server.get("/_matrix/client/versions").await.ok();
    assert!(versions["versions"].as_array().unwrap().contains(&json!("v1.19")));
    assert_eq!(server.get("/health/ready").await.ok()["status"], "ready");
    let alice = server.register("alice").await;
    assert_eq!(alice.user_id, "@alice:pli.test");
    let capabilities = alice.get("/_matrix/client/v3/capabilities").await.ok();
    assert_eq!(capabilities["capabilities"]["m.room_versions"]["default"], "12");
    server.restart().await;
    assert_eq!(
        alice.get("/_matrix/client/v3/account/whoami").await.ok()["user_id"],
        "@alice:pli.test"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_allowed_and_strangers_told() {
    let server = TestServer::start().await;
    for reply in [
        server.request("OPTIONS".parse().unwrap(), "/_matrix/client/v3/sync", None, None).await,
        server.get("/_matrix/client/nothing").await,
        server.get("/_matrix/client/v3/sync").await,
    ] {
        let header = |name: &str| reply.headers.get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(header("access-control-allow-origin"), "*");
        assert_eq!(header("access-control-allow-methods"), "GET, POST, PUT, DELETE, OPTIONS");
        let allowed = header("access-control-allow-headers");
        assert!(allowed.starts_with("X-Requested-With, Content-Type, Authorization"), "{allowed}");
    }
    let path = "/_matrix/client/v3/account/whoami";
    server.get(path).await.refused(401, "M_MISSING_TOKEN");
    let reply = server.request("GET".parse().unwrap(), path, Some("nonsense"), None).await;
    assert_eq!(reply.refused(401, "M_UNKNOWN_TOKEN")["soft_logout"], false);
    let reply = server.request("PATCH".parse().unwrap(), path, None, None).await;
    reply.refused(405, "M_UNRECOGNIZED");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_are_told_when_to_come_back() {
    let server = TestServer::start_with(|config| {
        config.server.test_deployment.no_limits = false;
        config.rate_limits.login = pli_schema::config::RateLimit { burst: 3, per_minute: 6 };
    })
    .await;
    let body = json!({
        "type": "m.login.password", "password": "x",
        "identifier": { "type": "m.id.user", "user": "nobody" },
    });
    let login =
        || server.request("POST".parse().unwrap(), "/_matrix/client/v3/login", None, Some(&body));
    for _ in 0..3 {
        login().await.refused(403, "M_FORBIDDEN");
    }
    let reply = login().await;
    let seconds: u64 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
    let waits = reply.refused(429, "M_LIMIT_EXCEEDED")["retry_after_ms"].as_u64().unwrap();
    assert!((1..=10_000).contains(&waits), "{waits}");
    assert_eq!(seconds, waits.div_ceil(1_000));
}
