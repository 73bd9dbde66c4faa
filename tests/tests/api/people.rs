//! What clients ask about people and for them: OpenID, TURN, shared rooms, addresses, well-known files.

use pli_schema::config::TurnSettings;
use pli_tests::server::TestServer;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn an_openid_token_tells_who_the_user_is_and_nothing_else() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let path = "/_matrix/client/v3/user/@alice:pli.test/openid/request_token";
    let answer = alice.post(path, json!({})).await.ok();
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["matrix_server_name"], "pli.test");
    assert_eq!(answer["expires_in"], 3600);
    let token = answer["access_token"].as_str().unwrap();
    let info = |token: &str| format!("/_matrix/federation/v1/openid/userinfo?access_token={token}");
    let told = server.get(&info(token)).await.ok();
    assert_eq!(told, json!({ "sub": "@alice:pli.test" }));
    server.get(&info("wrong")).await.refused(401, "M_UNKNOWN_TOKEN");
    server.get(&info(&alice.token)).await.refused(401, "M_UNKNOWN_TOKEN");
    server.get("/_matrix/federation/v1/openid/userinfo").await.refused(401, "M_MISSING_TOKEN");
    let whoami = "/_matrix/client/v3/account/whoami";
    let as_access = server.request(reqwest::Method::GET, whoami, Some(token), None).await;
    as_access.refused(401, "M_UNKNOWN_TOKEN");
    let path = "/_matrix/client/v3/user/@bob:pli.test/openid/request_token";
    alice.post(path, json!({})).await.refused(403, "M_FORBIDDEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn turn_credentials_are_made_from_the_shared_secret() {
    let server = TestServer::start_with(|config| {
        config.calls.turn = Some(TurnSettings {
            uris: vec!["turn:turn.pli.test:3478?transport=udp".to_owned()],
            shared_secret: Some("between the two".to_owned()),
            username: None,
            password: None,
            lifetime_s: 600,
        });
    })
    .await;
    let alice = server.register("alice").await;
    let turn = alice.get("/_matrix/client/v3/voip/turnServer").await.ok();
    assert_eq!(turn["ttl"], 600);
    assert_eq!(turn["uris"], json!(["turn:turn.pli.test:3478?transport=udp"]));
    let username = turn["username"].as_str().unwrap();
    let (end, user) = username.split_once(':').unwrap();
    assert!(end.parse::<u64>().unwrap() > 1_700_000_000 && user == "@alice:pli.test");
    assert_eq!(turn["password"].as_str().unwrap().len(), 28);
    let without = TestServer::start().await;
    let bob = without.register("bob").await;
    bob.get("/_matrix/client/v3/voip/turnServer").await.refused(404, "M_NOT_FOUND");
    without.get("/_matrix/client/v3/voip/turnServer").await.refused(401, "M_MISSING_TOKEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn mutual_rooms_are_those_in_which_both_are_joined() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let path = |user: &str| format!("/_matrix/client/v1/mutual_rooms?user_id={user}");
    let with_bob = path("@bob:pli.test");
    assert_eq!(alice.get(&with_bob).await.ok(), json!({ "joined": [], "count": 0 }));
    alice.create_room(json!({ "invite": [bob.user_id] })).await;
    let mut shared = Vec::new();
    for _ in 0..3 {
        let room = alice.create_room(json!({ "preset": "public_chat" })).await;
        bob.post(&format!("/_matrix/client/v3/join/{room}"), json!({})).await.ok();
        shared.push(room);
    }
    bob.post(&format!("/_matrix/client/v3/rooms/{}/leave", shared[0]), json!({})).await.ok();
    let expected = json!({ "joined": [shared[1], shared[2]], "count": 2 });
    assert_eq!(alice.get(&with_bob).await.ok(), expected);
    let unstable = "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms";
    let by_query = format!("{unstable}?user_id=@bob:pli.test");
    assert_eq!(alice.get(&by_query).await.ok(), expected);
    assert_eq!(alice.get(&format!("{unstable}/@bob:pli.test")).await.ok(), expected);
    assert_eq!(alice.get(&path("@nobody:pli.test")).await.ok()["count"], 0);
    for bad in ["@alice:pli.test", "nonsense", "@bob:pli.test&from=nonsense"] {
        alice.get(&path(bad)).await.refused(400, "M_INVALID_PARAM");
    }
    alice.get("/_matrix/client/v1/mutual_rooms").await.refused(400, "M_INVALID_PARAM");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_identity_server_is_asked() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let creds = json!({
        "client_secret": "abc", "id_server": "id.example", "id_access_token": "t", "sid": "1",
    });
    let path = "/_matrix/client/v3/account/3pid";
    alice.post(&format!("{path}/bind"), creds.clone()).await.refused(400, "M_SERVER_NOT_TRUSTED");
    let legacy = json!({ "three_pid_creds": creds });
    alice.post(path, legacy).await.refused(403, "M_THREEPID_AUTH_FAILED");
    alice.post(path, json!({})).await.refused(400, "M_BAD_JSON");
    let address = json!({ "medium": "email", "address": "a@agents.example" });
    let unbound = alice.post(&format!("{path}/unbind"), address.clone()).await.ok();
    assert_eq!(unbound, json!({ "id_server_unbind_result": "no-support" }));
    let gone = alice.post(&format!("{path}/delete"), address).await;
    gone.refused(400, "M_THREEPID_NOT_FOUND");
    assert_eq!(alice.get(path).await.ok(), json!({ "threepids": [] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn well_known_files_say_what_is_configured() {
    let server = TestServer::start_with(|config| {
        config.well_known.identity_server = Some("https://id.pli.test".to_owned());
        config.well_known.policy_server_key = Some("6yhHGKhCiXTSEN2ksjV7kX+N6rBQZ3Xb".to_owned());
        config.well_known.support.page = Some("https://pli.test/help".to_owned());
        config.well_known.support.email = Some("admin@pli.test".to_owned());
    })
    .await;
    let well_known = |name: &str| format!("/.well-known/matrix/{name}");
    let client = server.get(&well_known("client")).await.ok();
    assert!(client["m.homeserver"]["base_url"].as_str().unwrap().starts_with("http"));
    assert_eq!(client["m.identity_server"], json!({ "base_url": "https://id.pli.test" }));
    let policy = server.get(&well_known("policy_server")).await.ok();
    let expected = json!({ "public_keys": { "ed25519": "6yhHGKhCiXTSEN2ksjV7kX+N6rBQZ3Xb" } });
    assert_eq!(policy, expected);
    let support = server.get(&well_known("support")).await.ok();
    assert_eq!(support["support_page"], "https://pli.test/help");
    let contact = json!([{ "role": "m.role.admin", "email_address": "admin@pli.test" }]);
    assert_eq!(support["contacts"], contact);
    let plain = TestServer::start().await;
    for name in ["policy_server", "support", "server"] {
        plain.get(&well_known(name)).await.refused(404, "M_NOT_FOUND");
    }
    assert_eq!(plain.get(&well_known("client")).await.ok().get("m.identity_server"), None);
    let versions = plain.get("/_matrix/client/versions").await.ok();
    let features = versions["unstable_features"].as_object().unwrap();
    assert!(features.values().all(|on| *on == Value::Bool(true)));
    assert!(features.contains_key("uk.half-shot.msc2666.query_mutual_rooms"));
}
