//! Partners, pinned keys, blocked servers and checks, with two servers that speak TLS to each other.

use pli_tests::{
    browser::Browser,
    server::{TestServer, TestUser},
};
use serde_json::{Value, json};

const ADMIN: &str = "/_pli/admin/v1/federation";

/// The `_matrix` request that says most plainly whether a server is let pass.
async fn profile_of(asking: &TestUser, user_id: &str) -> u16 {
    asking.get(&format!("/_matrix/client/v3/profile/{user_id}")).await.status
}

async fn published(server: &TestServer) -> (String, String) {
    let keys = server.get("/_matrix/key/v2/server").await.ok();
    let (id, key) = keys["verify_keys"].as_object().unwrap().iter().next().unwrap();
    (id.clone(), key["key"].as_str().unwrap().to_owned())
}

fn step<'a>(report: &'a Value, name: &str) -> &'a Value {
    let steps = report["steps"].as_array().unwrap();
    let found = steps.iter().find(|step| step["step"] == name);
    found.unwrap_or_else(|| panic!("no step {name} in {report}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_change_partners_and_each_change_is_written_down() {
    let server = TestServer::start_federating_with(|config| config.federation.open = false).await;
    let admin = server.register_admin("admin").await;
    let alice = server.register("alice").await;
    let path = format!("{ADMIN}/partners/Partner.Example");
    assert_eq!(alice.put(&path, json!({})).await.status, 403);
    let entry = json!({
        "allowed": { "presence": false },
        "organisations": ["Education"],
        "note": "agreement 12",
    });
    admin.put(&path, entry).await.ok();
    let shown = admin.get(&format!("{ADMIN}/partners/partner.example")).await.ok();
    assert_eq!(shown["allowed"]["presence"], json!(false));
    assert_eq!(shown["allowed"]["media"], json!(true));
    assert_eq!(shown["organisations"], json!(["Education"]));
    assert_eq!(admin.put(&path, json!({ "alowed": {} })).await.status, 400);
    assert_eq!(admin.get(&format!("{ADMIN}/partners/other.example")).await.status, 404);
    let list = admin.get(&format!("{ADMIN}/partners")).await.ok();
    assert_eq!((&list["open"], list["partners"].as_array().unwrap().len()), (&json!(false), 1));
    admin.delete(&path).await.ok();
    assert_eq!(admin.delete(&path).await.status, 404);

    admin.put(&format!("{ADMIN}/blocked/spam.example"), json!({ "note": "spam" })).await.ok();
    let blocked = admin.get(&format!("{ADMIN}/blocked")).await.ok();
    assert_eq!(blocked["blocked"][0]["server"], "spam.example");
    admin.delete(&format!("{ADMIN}/blocked/spam.example")).await.ok();
    let key = "x".repeat(42) + "8";
    let path = format!("{ADMIN}/bad_keys/{key}");
    admin.put(&path, json!({})).await.ok();
    let keys = admin.get(&format!("{ADMIN}/bad_keys")).await.ok();
    assert_eq!(keys["bad_keys"][0]["key"], key);
    admin.delete(&path).await.ok();
    let audit = admin.get("/_pli/admin/v1/audit").await.ok().to_string();
    for action in [
        "federation.partner_put",
        "federation.partner_remove",
        "federation.block_put",
        "federation.block_remove",
        "federation.key_put",
        "federation.key_remove",
    ] {
        assert!(audit.contains(action), "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_server_speaks_with_its_partners_as_soon_as_they_are_added() {
    let (closed, open) = tokio::join!(
        TestServer::start_federating_with(|config| config.federation.open = false),
        TestServer::start_federating(),
    );
    let admin = closed.register_admin("admin").await;
    let alice = closed.register("alice").await;
    let bob = open.register("bob").await;
    assert_eq!(profile_of(&alice, &bob.user_id).await, 403);
    assert_eq!(profile_of(&bob, &alice.user_id).await, 403);
    let path = format!("{ADMIN}/partners/{}", open.server_name);
    admin.put(&path, json!({})).await.ok();
    assert_eq!(profile_of(&alice, &bob.user_id).await, 200);
    assert_eq!(profile_of(&bob, &alice.user_id).await, 200);
    let status = admin.get(&format!("{ADMIN}/status")).await.ok();
    let server = &status["servers"][0];
    assert_eq!(server["server"], json!(open.server_name));
    assert!(server["heard_ms"].is_u64() && server["answered_ms"].is_u64(), "{server}");
    admin.put(&path, json!({ "suspended": true })).await.ok();
    let carol = open.register("carol").await;
    assert_eq!(profile_of(&alice, &carol.user_id).await, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_pinned_keys_are_believed_and_bad_ones_never() {
    let (pinning, other) =
        tokio::join!(TestServer::start_federating(), TestServer::start_federating());
    let admin = pinning.register_admin("admin").await;
    let alice = pinning.register("alice").await;
    let bob = other.register("bob").await;
    let (key_id, key) = published(&other).await;
    let partner = format!("{ADMIN}/partners/{}", other.server_name);
    let pin = |key: &str| json!({ "pinned_keys": [{ "key_id": key_id, "key": key }] });
    admin.put(&partner, pin(&published(&pinning).await.1)).await.ok();
    assert_ne!(profile_of(&bob, &alice.user_id).await, 200, "signed with another key");
    admin.put(&partner, pin(&key)).await.ok();
    assert_eq!(profile_of(&bob, &alice.user_id).await, 200);
    let bad = format!("{ADMIN}/bad_keys/{}", key.replace('/', "%2F").replace('+', "%2B"));
    admin.put(&bad, json!({})).await.ok();
    let carol = pinning.register("carol").await;
    assert_ne!(profile_of(&bob, &carol.user_id).await, 200, "signed with a bad key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_what_is_wrong_and_what_to_do() {
    let (checking, mut other) = tokio::join!(
        TestServer::start_federating_with(|config| config.federation.open = false),
        TestServer::start_federating(),
    );
    let admin = checking.register_admin("admin").await;
    let check = format!("{ADMIN}/check/{}", other.server_name);
    let report = admin.post(&check, json!({})).await.ok();
    assert_eq!(step(&report, "standing")["result"], "warning");
    for good in ["discovery", "tls", "keys", "clock", "version", "signed_request"] {
        assert_eq!(step(&report, good)["result"], "ok", "{report}");
    }
    let (key_id, key) = published(&other).await;
    assert_eq!(report["keys"], json!([{ "key_id": key_id, "key": key }]));

    let partner = format!("{ADMIN}/partners/{}", other.server_name);
    let pin = json!({ "pinned_keys": [{ "key_id": "ed25519:other", "key": key }] });
    admin.put(&partner, pin).await.ok();
    let report = admin.post(&check, json!({})).await.ok();
    assert_eq!(step(&report, "pinned_keys")["result"], "problem");
    assert!(step(&report, "pinned_keys")["advice"].is_string());
    assert_eq!(report["result"], "problem");

    other.stop().await;
    let report = admin.post(&check, json!({})).await.ok();
    assert_eq!(step(&report, "tls")["result"], "problem", "{report}");
    assert_eq!(admin.post(&format!("{ADMIN}/check/no%20name"), json!({})).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_with_the_name_of_an_agent_is_written_down() {
    let (here, there) =
        tokio::join!(TestServer::start_federating(), TestServer::start_federating());
    let admin = here.register_admin("admin").await;
    let alice = here.register("alice").await;
    let (eve, bob) = (there.register("eve").await, there.register("bob").await);
    for (user, name) in [(&eve, "Eve [Justice]"), (&bob, "Bob [Education]")] {
        let path = format!("/_matrix/client/v3/profile/{}/displayname", user.user_id);
        user.put(&path, json!({ "displayname": name })).await.ok();
    }
    let partner = format!("{ADMIN}/partners/{}", there.server_name);
    admin.put(&partner, json!({ "organisations": ["Education"] })).await.ok();
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let join = format!("/_matrix/client/v3/join/{room}?via={}", here.server_name);
    eve.post(&join, json!({})).await.ok();
    bob.post(&join, json!({})).await.ok();
    let audit = admin.get("/_pli/admin/v1/audit").await.ok();
    let entries = audit["entries"].as_array().unwrap();
    let flagged: Vec<&Value> =
        entries.iter().filter(|it| it["action"] == "federation.name_flagged").collect();
    assert_eq!(flagged.len(), 1, "{audit}");
    assert_eq!(flagged[0]["subject"], json!(eve.user_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_for_admins_who_are_signed_in() {
    let server = TestServer::start_federating_with(|config| config.federation.open = false).await;
    let admin = server.register_admin("admin").await;
    server.register("alice").await;
    admin
        .put(&format!("{ADMIN}/partners/partner.example"), json!({ "suspended": true }))
        .await
        .ok();
    const PAGE: &str = "/_pli/admin/federation";
    let mut browser = Browser::new(&server.url);
    let page = browser.go(PAGE).await;
    assert!(page.path.starts_with("/_pli/account/sign-in"), "{}", page.path);
    let fields = [("user", "alice"), ("password", "password of alice")];
    let page = browser.submit(&page, 0, &fields).await;
    let page = browser.follow(page).await;
    assert_eq!(page.status, 403, "{}", page.html);
    let mut browser = Browser::new(&server.url);
    let page = browser.go(PAGE).await;
    let fields = [("user", "admin"), ("password", "password of admin")];
    let page = browser.submit(&page, 0, &fields).await;
    let page = browser.follow(page).await;
    assert_eq!(page.status, 200);
    assert!(page.has("partner.example") && page.has("suspended"), "{}", page.html);
    let french = browser.go(&page.link("Français").unwrap()).await;
    assert!(french.has("suspendu") && french.has("<html lang=\"fr\">"), "{}", french.html);
}
