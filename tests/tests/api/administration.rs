//! Locked and suspended accounts, and who may make them so.

use pli_tests::server::{Reply, TestServer, TestUser};
use reqwest::Method;
use serde_json::{Value, json};

const LOCK: &str = "/_matrix/client/v1/admin/lock";
const SUSPEND: &str = "/_matrix/client/v1/admin/suspend";

async fn lock(admin: &TestUser, user: &TestUser, on: bool) -> Value {
    admin.put(&format!("{LOCK}/{}", user.user_id), json!({ "locked": on })).await.ok()
}

async fn suspend(admin: &TestUser, user: &TestUser, on: bool) -> Value {
    admin.put(&format!("{SUSPEND}/{}", user.user_id), json!({ "suspended": on })).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_user_may_only_log_out() {
    let server = TestServer::start().await;
    let admin = server.register_admin("root").await;
    let alice = server.register("alice").await;
    let phone = server.login("alice").await;
    let room = alice.create_room(json!({})).await;
    assert_eq!(lock(&admin, &alice, true).await, json!({ "locked": true }));
    let path = format!("{LOCK}/{}", alice.user_id);
    assert_eq!(admin.get(&path).await.ok(), json!({ "locked": true }));
    let requests = [
        (Method::GET, "/_matrix/client/v3/sync?timeout=0".to_owned()),
        (Method::GET, "/_matrix/client/v3/account/whoami".to_owned()),
        (Method::GET, "/_matrix/client/v3/profile/@alice:pli.test".to_owned()),
        (Method::GET, "/_matrix/client/versions".to_owned()),
        (Method::POST, format!("/_matrix/client/v3/rooms/{room}/leave")),
        (Method::POST, "/_matrix/client/v3/keys/upload".to_owned()),
    ];
    for (method, path) in requests {
        let reply = alice.request(method, &path, Some(&json!({}))).await;
        assert_eq!(reply.refused(401, "M_USER_LOCKED")["soft_logout"], true, "{path}");
    }
    let login = json!({
        "type": "m.login.password", "password": "password of alice",
        "identifier": { "type": "m.id.user", "user": "alice" },
    });
    let login = server.request(Method::POST, "/_matrix/client/v3/login", None, Some(&login)).await;
    login.refused(401, "M_USER_LOCKED");
    phone.post("/_matrix/client/v3/logout", json!({})).await.ok();
    lock(&admin, &alice, false).await;
    alice.get("/_matrix/client/v3/account/whoami").await.ok();
    phone.get("/_matrix/client/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
    lock(&admin, &alice, true).await;
    alice.post("/_matrix/client/v3/logout/all", json!({})).await.ok();
    alice.get("/_matrix/client/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_user_reads_leaves_and_redacts_own_events() {
    let server = TestServer::start().await;
    let admin = server.register_admin("root").await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let other = bob.create_room(json!({ "preset": "public_chat" })).await;
    let invited = bob.create_room(json!({ "invite": [alice.user_id] })).await;
    let knocked = bob
        .create_room(json!({ "initial_state": [
            { "type": "m.room.join_rules", "content": { "join_rule": "knock" } },
        ]}))
        .await;
    bob.post(&format!("/_matrix/client/v3/join/{room}"), json!({})).await.ok();
    let of_alice = alice.say(&room, "mine").await;
    let of_bob = bob.say(&room, "his").await;
    assert_eq!(suspend(&admin, &alice, true).await, json!({ "suspended": true }));

    let room_path = format!("/_matrix/client/v3/rooms/{room}");
    let send = format!("{room_path}/send/m.room.message/t1");
    let refused = |reply: Reply| drop(reply.refused(403, "M_USER_SUSPENDED"));
    refused(alice.put(&send, json!({ "msgtype": "m.text", "body": "x" })).await);
    refused(alice.put(&format!("{room_path}/state/m.room.topic/"), json!({ "topic": "x" })).await);
    refused(alice.post(&format!("/_matrix/client/v3/join/{other}"), json!({})).await);
    refused(alice.post(&format!("/_matrix/client/v3/join/{invited}"), json!({})).await);
    refused(alice.post(&format!("/_matrix/client/v3/knock/{knocked}"), json!({})).await);
    let whom = json!({ "user_id": admin.user_id });
    refused(alice.post(&format!("{room_path}/invite"), whom).await);
    refused(alice.post("/_matrix/client/v3/createRoom", json!({})).await);
    let name = format!("/_matrix/client/v3/profile/{}/displayname", alice.user_id);
    refused(alice.put(&name, json!({ "displayname": "x" })).await);
    refused(alice.delete(&name).await);
    refused(alice.put(&format!("{room_path}/redact/{of_bob}/t2"), json!({})).await);

    alice.sync(None).await;
    server.login("alice").await;
    alice.put(&format!("{room_path}/redact/{of_alice}/t3"), json!({})).await.ok();
    alice.get(&format!("{room_path}/messages?dir=b")).await.ok();
    alice.post(&format!("/_matrix/client/v3/rooms/{invited}/leave"), json!({})).await.ok();
    alice.post(&format!("{room_path}/leave"), json!({})).await.ok();
    suspend(&admin, &alice, false).await;
    alice.post(&format!("/_matrix/client/v3/join/{other}"), json!({})).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_moderate_accounts_and_it_is_written_down() {
    let server = TestServer::start().await;
    let admin = server.register_admin("root").await;
    let alice = server.register("alice").await;
    server.register("bob").await;
    for (base, body) in [(LOCK, json!({ "locked": true })), (SUSPEND, json!({ "suspended": true }))]
    {
        let path = |user: &str| format!("{base}/{user}");
        for user in ["@bob:pli.test", "@root:pli.test", "@nobody:pli.test"] {
            alice.put(&path(user), body.clone()).await.refused(403, "M_FORBIDDEN");
            alice.get(&path(user)).await.refused(403, "M_FORBIDDEN");
        }
        admin.put(&path("@nobody:pli.test"), body.clone()).await.refused(404, "M_NOT_FOUND");
        admin.put(&path("@a:elsewhere"), body.clone()).await.refused(400, "M_INVALID_PARAM");
        admin.get(&path("@a:elsewhere")).await.refused(400, "M_INVALID_PARAM");
        admin.put(&path("@root:pli.test"), body.clone()).await.refused(403, "M_FORBIDDEN");
        admin.put(&path("@bob:pli.test"), json!({})).await.refused(400, "M_BAD_JSON");
        admin.put(&path("@bob:pli.test"), body).await.ok();
    }
    let audit = admin.get("/_pli/admin/v1/audit").await.ok();
    let entries = audit["entries"].as_array().unwrap();
    let seen: Vec<_> = entries.iter().map(|e| (&e["action"], &e["subject"], &e["actor"])).collect();
    let expected = |action: &str| (json!(action), json!("@bob:pli.test"), json!("@root:pli.test"));
    let (suspended, locked) = (expected("account.suspend"), expected("account.lock"));
    assert!(seen.contains(&(&suspended.0, &suspended.1, &suspended.2)), "{seen:?}");
    assert!(seen.contains(&(&locked.0, &locked.1, &locked.2)), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn capabilities_and_whois_are_by_role() {
    let server = TestServer::start().await;
    let admin = server.register_admin("root").await;
    let alice = server.register("alice").await;
    let of = |reply: Value| reply["capabilities"]["m.account_moderation"].clone();
    let capabilities = "/_matrix/client/v3/capabilities";
    let expected = json!({ "suspend": true, "lock": true });
    assert_eq!(of(admin.get(capabilities).await.ok()), expected);
    assert_eq!(of(alice.get(capabilities).await.ok()), Value::Null);

    let whois = |user: &str| format!("/_matrix/client/v3/admin/whois/{user}");
    let own = alice.get(&whois("@alice:pli.test")).await.ok();
    assert_eq!(own["user_id"], "@alice:pli.test");
    let connection = &own["devices"][&alice.device_id]["sessions"][0]["connections"][0];
    assert!(connection["last_seen"].as_u64().unwrap() > 0, "{own}");
    assert!(connection.get("user_agent").is_none());
    alice.get(&whois("@root:pli.test")).await.refused(403, "M_FORBIDDEN");
    alice.get(&whois("@nobody:pli.test")).await.refused(403, "M_FORBIDDEN");
    admin.get(&whois("@alice:pli.test")).await.ok();
    admin.get(&whois("@nobody:pli.test")).await.refused(404, "M_NOT_FOUND");
}
