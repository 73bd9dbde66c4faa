//! Profile fields beyond name and picture, and the password policy.

use pli_tests::server::TestServer;
use reqwest::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn any_field_is_set_read_and_removed_within_limits() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let base = format!("/_matrix/client/v3/profile/{}", alice.user_id);
    let unstable = format!("/_matrix/client/unstable/uk.tcpip.msc4133/profile/{}", alice.user_id);
    let pronouns = json!({ "org.example.pronouns": [{ "language": "fr", "summary": "elle" }] });
    alice.put(&format!("{base}/org.example.pronouns"), pronouns.clone()).await.ok();
    alice.put(&format!("{unstable}/m.tz"), json!({ "m.tz": "Europe/Paris" })).await.ok();
    let whole = bob.get(&base).await.ok();
    assert_eq!(whole["m.tz"], "Europe/Paris");
    assert_eq!(whole["displayname"], "alice");
    assert_eq!(bob.get(&format!("{base}/org.example.pronouns")).await.ok(), pronouns);
    bob.put(&format!("{base}/m.tz"), json!({ "m.tz": "UTC" })).await.refused(403, "M_FORBIDDEN");
    for (field, body, status, errcode) in [
        ("m.tz", json!({ "m.tz": 3 }), 400, "M_INVALID_PARAM"),
        ("m.tz", json!({ "other": "UTC" }), 400, "M_MISSING_PARAM"),
        ("displayname", json!({ "displayname": [] }), 400, "M_BAD_JSON"),
        ("UPPER", json!({ "UPPER": 1 }), 400, "M_INVALID_PARAM"),
        (&*"k".repeat(256), json!({ "k".repeat(256): 1 }), 400, "M_KEY_TOO_LARGE"),
        ("org.big", json!({ "org.big": "x".repeat(66_000) }), 400, "M_PROFILE_TOO_LARGE"),
    ] {
        alice.put(&format!("{base}/{field}"), body).await.refused(status, errcode);
    }
    alice.delete(&format!("{base}/m.tz")).await.ok();
    alice.get(&format!("{base}/m.tz")).await.refused(404, "M_NOT_FOUND");
    alice.delete(&format!("{base}/m.tz")).await.ok();
    let capabilities = alice.get("/_matrix/client/v3/capabilities").await.ok();
    assert_eq!(capabilities["capabilities"]["m.profile_fields"], json!({ "enabled": true }));
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_follow_the_policy_that_clients_read() {
    let server = TestServer::start_with(|config| {
        config.passwords.rules.minimum_length = 8;
        config.passwords.rules.require_digit = true;
    })
    .await;
    let expected = json!({
        "m.minimum_length": 8, "m.require_digit": true, "m.require_symbol": false,
        "m.require_lowercase": false, "m.require_uppercase": false,
    });
    for path in ["r0", "v3", "unstable/org.matrix.msc2000"] {
        let path = format!("/_matrix/client/{path}/password_policy");
        assert_eq!(server.get(&path).await.ok(), expected);
    }
    let register = |password: &str| {
        let auth = json!({ "type": "m.login.dummy" });
        let body = json!({ "username": "alice", "password": password, "auth": auth });
        let path = "/_matrix/client/v3/register";
        let server = &server;
        async move { server.request(Method::POST, path, None, Some(&body)).await }
    };
    register("a1").await.refused(400, "M_PASSWORD_TOO_SHORT");
    register("abcdefgh").await.refused(400, "M_PASSWORD_NO_DIGIT");
    register(&"a1".repeat(600)).await.refused(400, "M_WEAK_PASSWORD");
    let alice = register("abcdefgh1").await.ok();
    let change = json!({ "new_password": "short1", "auth": {
        "type": "m.login.password", "password": "abcdefgh1",
        "identifier": { "type": "m.id.user", "user": "alice" },
    }});
    let token = alice["access_token"].as_str();
    let path = "/_matrix/client/v3/account/password";
    let reply = server.request(Method::POST, path, token, Some(&change)).await;
    reply.refused(400, "M_PASSWORD_TOO_SHORT");
}
