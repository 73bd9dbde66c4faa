//! The part of Synapse's admin API that tools use, registration tokens, and closed accounts.

use pli_tests::server::TestServer;
use reqwest::Method;
use serde_json::{Value, json};

const V1: &str = "/_synapse/admin/v1";
const V2: &str = "/_synapse/admin/v2";

fn names(list: &Value) -> Vec<&str> {
    list["users"].as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_listed_made_and_changed() {
    let server = TestServer::start().await;
    let admin = server.register_admin("root").await;
    let alice = server.register("alice").await;
    let version = admin.get(&format!("{V1}/server_version")).await.ok();
    assert!(version["server_version"].as_str().unwrap().starts_with("Pli "));
    for path in [format!("{V2}/users"), format!("{V1}/rooms"), format!("{V1}/event_reports")] {
        alice.get(&path).await.refused(403, "M_FORBIDDEN");
        server.get(&path).await.refused(401, "M_MISSING_TOKEN");
    }
    let list = admin.get(&format!("{V2}/users")).await.ok();
    assert_eq!(names(&list), ["@alice:pli.test", "@root:pli.test"]);
    assert_eq!((&list["total"], &list["users"][1]["admin"]), (&json!(2), &json!(true)));
    let first = admin.get(&format!("{V2}/users?limit=1")).await.ok();
    assert_eq!((names(&first), &first["next_token"]), (vec!["@alice:pli.test"], &json!("1")));
    let second = admin.get(&format!("{V2}/users?limit=1&from=1")).await.ok();
    assert_eq!((names(&second), second.get("next_token")), (vec!["@root:pli.test"], None));
    let named = admin.get(&format!("{V2}/users?name=ALI")).await.ok();
    assert_eq!(names(&named), ["@alice:pli.test"]);

    let bob = format!("{V2}/users/@bob:pli.test");
    admin.get(&bob).await.refused(404, "M_NOT_FOUND");
    let new = json!({ "password": "pass word", "displayname": "Bob", "admin": false });
    let made = admin.put(&bob, new).await;
    assert_eq!((made.status, &made.body["displayname"]), (201, &json!("Bob")));
    let changed = admin.put(&bob, json!({ "displayname": "Robert", "admin": true })).await;
    assert_eq!((changed.status, &changed.body["admin"]), (200, &json!(true)));
    assert_eq!(admin.get(&format!("{V1}/users/@bob:pli.test/admin")).await.ok()["admin"], true);
    let role = format!("{V1}/users/@bob:pli.test/admin");
    admin.put(&role, json!({ "admin": false })).await.ok();
    assert_eq!(admin.get(&bob).await.ok()["admin"], false);
    admin
        .put(&format!("{V1}/users/@root:pli.test/admin"), json!({ "admin": false }))
        .await
        .refused(403, "M_FORBIDDEN");
    let login = admin.post(&format!("{V1}/users/@bob:pli.test/login"), json!({})).await.ok();
    let token = login["access_token"].as_str();
    let whoami = "/_matrix/client/v3/account/whoami";
    let who = server.request(Method::GET, whoami, token, None).await.ok();
    assert_eq!(who["user_id"], "@bob:pli.test");
    let reset = format!("{V1}/reset_password/@alice:pli.test");
    admin.post(&reset, json!({ "new_password": "another one" })).await.ok();
    alice.get(whoami).await.refused(401, "M_UNKNOWN_TOKEN");

    let audit = admin.get("/_pli/admin/v1/audit").await.ok();
    let entries = audit["entries"].as_array().unwrap();
    let actions: Vec<_> = entries.iter().map(|e| e["action"].as_str().unwrap()).collect();
    let expected = [
        "account.reset_password",
        "account.login_as",
        "account.admin",
        "account.admin",
        "account.create",
    ];
    assert_eq!(actions[..5], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_account_leaves_nothing_behind() {
    let server = TestServer::start().await;
    let admin = server.register_admin("root").await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = bob.create_room(json!({ "preset": "public_chat" })).await;
    alice.post(&format!("/_matrix/client/v3/join/{room}"), json!({})).await.ok();
    bob.create_room(json!({ "invite": [alice.user_id] })).await;
    let notice = json!({ "user_id": alice.user_id, "body": "Hello" });
    admin.post("/_pli/admin/v1/notices", notice).await.ok();
    let closed = admin.post(&format!("{V1}/deactivate/{}", alice.user_id), json!({})).await.ok();
    assert_eq!(closed["id_server_unbind_result"], "success");
    alice.get("/_matrix/client/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
    let profile = format!("/_matrix/client/v3/profile/{}", alice.user_id);
    bob.get(&profile).await.refused(404, "M_NOT_FOUND");
    let members = format!("/_matrix/client/v3/rooms/{room}/joined_members");
    assert!(bob.get(&members).await.ok()["joined"].get(&alice.user_id).is_none());
    let devices = admin.get(&format!("{V2}/users/{}/devices", alice.user_id)).await.ok();
    assert_eq!(devices["total"], 0);
    let joined = admin.get(&format!("{V1}/users/{}/joined_rooms", alice.user_id)).await.ok();
    assert_eq!(joined["joined_rooms"], json!([]));
    let of_alice = admin.get(&format!("{V2}/users/{}", alice.user_id)).await.ok();
    assert_eq!((&of_alice["deactivated"], &of_alice["threepids"]), (&json!(true), &json!([])));
    let body = json!({
        "username": "alice", "password": "x", "auth": { "type": "m.login.dummy" },
    });
    let register = "/_matrix/client/v3/register";
    let again = server.request(Method::POST, register, None, Some(&body)).await;
    again.refused(400, "M_USER_IN_USE");
    let open = json!({ "deactivated": false });
    let put = format!("{V2}/users/{}", alice.user_id);
    admin.put(&put, open).await.refused(400, "M_INVALID_PARAM");
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_are_listed_looked_at_and_closed() {
    let server = TestServer::start().await;
    let admin = server.register_admin("root").await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let request = json!({
        "preset": "public_chat", "visibility": "public", "name": "Forum",
        "room_alias_name": "forum",
    });
    let room = alice.create_room(request).await;
    bob.post(&format!("/_matrix/client/v3/join/{room}"), json!({})).await.ok();
    bob.create_room(json!({})).await;
    let list = admin.get(&format!("{V1}/rooms")).await.ok();
    assert_eq!((&list["total_rooms"], &list["offset"]), (&json!(2), &json!(0)));
    let found = admin.get(&format!("{V1}/rooms?search_term=forum")).await.ok();
    assert_eq!((&found["total_rooms"], &found["rooms"][0]["room_id"]), (&json!(1), &json!(room)));
    let one = format!("{V1}/rooms/{room}");
    let seen = admin.get(&one).await.ok();
    assert_eq!((&seen["name"], &seen["joined_members"]), (&json!("Forum"), &json!(2)));
    assert_eq!((&seen["creator"], &seen["public"]), (&json!(alice.user_id), &json!(true)));
    assert_eq!(seen["canonical_alias"], "#forum:pli.test");
    assert_eq!(admin.get(&format!("{one}/members")).await.ok()["total"], 2);
    admin.get(&format!("{V1}/rooms/!nothing:pli.test")).await.refused(404, "M_NOT_FOUND");
    let event = bob.say(&room, "rude").await;
    let report = format!("/_matrix/client/v3/rooms/{room}/report/{event}");
    alice.post(&report, json!({ "reason": "rude" })).await.ok();
    let reports = admin.get(&format!("{V1}/event_reports")).await.ok();
    assert_eq!(
        (&reports["total"], &reports["event_reports"][0]["sender"]),
        (&json!(1), &json!(bob.user_id))
    );

    let block = json!({ "block": true });
    let refused = admin.request(Method::DELETE, &one, Some(&block)).await;
    refused.refused(400, "M_INVALID_PARAM");
    let closed = admin.request(Method::DELETE, &one, Some(&json!({}))).await.ok();
    assert_eq!(closed["kicked_users"], json!([alice.user_id, bob.user_id]));
    assert_eq!(closed["local_aliases"], json!(["#forum:pli.test"]));
    assert_eq!(admin.get(&one).await.ok()["joined_members"], 0);
    let public = server.get("/_matrix/client/v3/publicRooms").await.ok();
    assert_eq!(public["chunk"], json!([]));
    let alias = "/_matrix/client/v3/directory/room/%23forum:pli.test";
    server.get(alias).await.refused(404, "M_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn registration_tokens_are_made_listed_and_taken_back() {
    let server = TestServer::start().await;
    let admin = server.register_admin("root").await;
    let path = "/_pli/admin/v1/registration_tokens";
    let new = json!({ "token": "summer", "label": "interns", "uses_allowed": 3 });
    assert_eq!(admin.post(path, new.clone()).await.ok()["token"], "summer");
    admin.post(path, new).await.refused(400, "M_INVALID_PARAM");
    let valid = |token: &str| {
        let path = "/_matrix/client/v1/register/m.login.registration_token/validity";
        format!("{path}?token={token}")
    };
    assert_eq!(server.get(&valid("summer")).await.ok(), json!({ "valid": true }));
    assert_eq!(server.get(&valid("winter")).await.ok(), json!({ "valid": false }));
    let list = admin.get(path).await.ok();
    assert!(!list.to_string().contains("summer"));
    let tokens = list["registration_tokens"].as_array().unwrap();
    let token = tokens.iter().find(|token| token["label"] == "interns").unwrap();
    assert_eq!((&token["uses_allowed"], &token["uses"]), (&json!(3), &json!(0)));
    assert_eq!(token["created_by"], "@root:pli.test");
    let one = format!("{path}/{}", token["id"].as_str().unwrap());
    admin.delete(&one).await.ok();
    admin.delete(&one).await.refused(404, "M_NOT_FOUND");
    assert_eq!(server.get(&valid("summer")).await.ok(), json!({ "valid": false }));
    server.register("alice").await.get(path).await.refused(403, "M_FORBIDDEN");
}
