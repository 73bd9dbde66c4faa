//! Guests in the sense of the specification: what they may call and where they may be.

use pli_tests::server::{TestServer, TestUser};
use reqwest::Method;
use serde_json::{Value, json};

const REGISTER: &str = "/_matrix/client/v3/register";

async fn server() -> TestServer {
    TestServer::start_with(|config| config.server.test_deployment.guest_access = true).await
}

/// A guest, as a user whose token is put in place of another's.
async fn guest(server: &TestServer) -> TestUser {
    let path = format!("{REGISTER}?kind=guest");
    let made = server.request(Method::POST, &path, None, Some(&json!({}))).await.ok();
    let mut guest = server.register(&format!("x{:x}", rand::random::<u64>())).await;
    for (field, key) in [
        (&mut guest.user_id, "user_id"),
        (&mut guest.device_id, "device_id"),
        (&mut guest.token, "access_token"),
    ] {
        *field = made[key].as_str().unwrap().to_owned();
    }
    guest
}

fn open_to_guests() -> Value {
    json!({ "preset": "public_chat", "initial_state": [
        { "type": "m.room.guest_access", "content": { "guest_access": "can_join" } },
    ]})
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_join_only_where_they_are_let_in_and_leave_when_not_any_more() {
    let server = server().await;
    let alice = server.register("alice").await;
    let open = alice.create_room(open_to_guests()).await;
    let closed = alice.create_room(json!({ "preset": "public_chat" })).await;
    let guest = guest(&server).await;
    let whoami = guest.get("/_matrix/client/v3/account/whoami").await.ok();
    assert_eq!((&whoami["user_id"], &whoami["is_guest"]), (&json!(guest.user_id), &json!(true)));
    let join = |room: &str| format!("/_matrix/client/v3/rooms/{room}/join");
    let refused = guest.post(&join(&closed), json!({})).await;
    refused.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    guest.post(&join(&open), json!({})).await.ok();
    guest.say(&open, "hello").await;
    let members = format!("/_matrix/client/v3/rooms/{open}/joined_members");
    let joined = alice.get(&members).await.ok();
    assert!(joined["joined"].get(&guest.user_id).is_some());
    let access = format!("/_matrix/client/v3/rooms/{open}/state/m.room.guest_access/");
    alice.put(&access, json!({ "guest_access": "forbidden" })).await.ok();
    let joined = alice.get(&members).await.ok();
    assert!(joined["joined"].get(&guest.user_id).is_none());
    assert!(joined["joined"].get(&alice.user_id).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_may_call_what_the_specification_lists() {
    let server = server().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(open_to_guests()).await;
    let guest = guest(&server).await;
    let in_room = |rest: &str| format!("/_matrix/client/v3/rooms/{room}/{rest}");
    guest.post(&in_room("join"), json!({})).await.ok();
    let event = guest.say(&room, "hello").await;
    let profile = |field: &str| format!("/_matrix/client/v3/profile/{}/{field}", guest.user_id);
    for path in [
        in_room("state"),
        in_room(&format!("context/{event}")),
        in_room(&format!("event/{event}")),
        in_room("state/m.room.join_rules/"),
        in_room("messages?dir=b"),
        in_room("members"),
        in_room("initialSync"),
        "/_matrix/client/v3/sync?timeout=0".to_owned(),
        format!("/_matrix/client/v3/events?timeout=0&room_id={room}"),
        "/_matrix/client/v3/devices".to_owned(),
        format!("/_matrix/client/v3/devices/{}", guest.device_id),
    ] {
        let reply = guest.get(&path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
    }
    let device = format!("/_matrix/client/v3/devices/{}", guest.device_id);
    guest.put(&device, json!({ "display_name": "Browser" })).await.ok();
    guest.put(&profile("displayname"), json!({ "displayname": "Visitor" })).await.ok();
    guest.delete(&profile("displayname")).await.ok();
    guest.post("/_matrix/client/v3/keys/query", json!({ "device_keys": {} })).await.ok();
    guest.post("/_matrix/client/v3/keys/claim", json!({ "one_time_keys": {} })).await.ok();
    let to_device = "/_matrix/client/v3/sendToDevice/m.test/t1";
    guest.put(to_device, json!({ "messages": {} })).await.ok();

    let forbidden = "M_GUEST_ACCESS_FORBIDDEN";
    let avatar = json!({ "avatar_url": "mxc://a/b" });
    guest.put(&profile("avatar_url"), avatar).await.refused(403, forbidden);
    guest.put(&profile("m.tz"), json!({ "m.tz": "UTC" })).await.refused(403, forbidden);
    guest.post("/_matrix/client/v3/createRoom", json!({})).await.refused(403, forbidden);
    let whom = json!({ "user_id": "@alice:pli.test" });
    guest.post(&in_room("invite"), whom).await.refused(403, forbidden);
    let search = json!({ "search_term": "a" });
    guest.post("/_matrix/client/v3/user_directory/search", search).await.refused(403, forbidden);
    let media = "/_matrix/media/v3/upload";
    guest.post(media, json!({})).await.refused(403, forbidden);
    guest.post(&in_room("leave"), json!({})).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_becomes_a_user_under_the_same_id() {
    let server = server().await;
    let guest = guest(&server).await;
    let (local, _) = guest.user_id[1..].split_once(':').unwrap();
    let register = |username: &str, token: &str| {
        let body = json!({
            "username": username, "password": "pass word", "guest_access_token": token,
            "auth": { "type": "m.login.dummy" },
        });
        let server = &server;
        async move { server.request(Method::POST, REGISTER, None, Some(&body)).await }
    };
    register("somebody", &guest.token).await.refused(403, "M_FORBIDDEN");
    register(local, "wrong").await.refused(401, "M_UNKNOWN_TOKEN");
    let made = register(local, &guest.token).await.ok();
    assert_eq!(made["user_id"], json!(guest.user_id));
    let whoami = guest.get("/_matrix/client/v3/account/whoami").await.ok();
    assert_ne!(whoami["is_guest"], true);
    guest.create_room(json!({})).await;
    register(local, &guest.token).await.refused(403, "M_FORBIDDEN");
    let off = TestServer::start().await;
    let path = format!("{REGISTER}?kind=guest");
    let refused = off.request(Method::POST, &path, None, Some(&json!({}))).await;
    refused.refused(403, "M_FORBIDDEN");
}
