//! Invites across servers: taken, turned down, blocked, and taken by nobody.

use pli_tests::server::{TestServer, TestUser};
use serde_json::{Value, json};

use crate::joins::{state_of, two};

/// The invites of a first sync.
async fn invites(user: &TestUser) -> Value {
    user.sync(None).await["rooms"]["invite"].clone()
}

async fn invite(host: &TestUser, room: &str, guest: &TestUser) -> pli_tests::server::Reply {
    let path = format!("/_matrix/client/v3/rooms/{room}/invite");
    host.post(&path, json!({ "user_id": guest.user_id, "reason": "Welcome" })).await
}

async fn act(user: &TestUser, room: &str, what: &str) -> pli_tests::server::Reply {
    user.post(&format!("/_matrix/client/v3/rooms/{room}/{what}"), json!({})).await
}

pub async fn membership(viewer: &TestUser, room: &str, user: &TestUser) -> String {
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/{}", user.user_id);
    let member = viewer.get(&path).await.ok();
    member["membership"].as_str().unwrap().to_owned()
}

async fn private_room(user: &TestUser, version: &str) -> String {
    let body = json!({ "preset": "private_chat", "room_version": version, "name": "Cabinet" });
    user.create_room(body).await
}

fn told(state: &Value, event_type: &str) -> Value {
    let events = state["invite_state"]["events"].as_array().unwrap();
    let event = events.iter().find(|event| event["type"] == event_type);
    event.unwrap_or(&Value::Null).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_is_shown_with_what_the_room_is_and_leads_into_it() {
    let ((_a, alice), (_b, bob)) = two().await;
    for version in ["1", "2", "6", "10", "11", "12"] {
        let room = private_room(&alice, version).await;
        invite(&alice, &room, &bob).await.ok();
        assert_eq!(membership(&alice, &room, &bob).await, "invite");
        let shown = invites(&bob).await[&room].clone();
        assert_eq!(told(&shown, "m.room.name")["content"]["name"], "Cabinet", "{version}");
        assert_eq!(told(&shown, "m.room.create")["sender"], alice.user_id.as_str());
        let own = told(&shown, "m.room.member");
        assert_eq!(own["content"]["membership"], "join", "the inviter's own membership");
        // The id of a room of version 12 names no server: the inviter's is asked.
        act(&bob, &room, "join").await.ok();
        assert_eq!(state_of(&alice, &room).await, state_of(&bob, &room).await, "{version}");
        let synced = bob.sync(None).await;
        assert!(synced["rooms"]["invite"][&room].is_null());
        assert!(synced["rooms"]["join"][&room].is_object());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_comes_with_an_incremental_sync_and_with_sliding_sync() {
    let ((_a, alice), (_b, bob)) = two().await;
    let since = bob.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    let room = private_room(&alice, "11").await;
    invite(&alice, &room, &bob).await.ok();
    let news = bob.sync(Some(&since)).await;
    assert!(news["rooms"]["invite"][&room].is_object(), "{news}");
    let path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
    let body = json!({ "lists": { "all": {
        "ranges": [[0, 10]], "required_state": [], "timeline_limit": 5,
    } } });
    let sliding = bob.post(path, body).await.ok();
    assert!(sliding["rooms"][&room]["invite_state"].is_array(), "{sliding}");
    act(&bob, &room, "leave").await.ok();
    let since = news["next_batch"].as_str().unwrap();
    let gone = bob.sync(Some(since)).await;
    assert!(gone["rooms"]["leave"][&room].is_object(), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_that_is_turned_down_is_gone_on_both_servers() {
    let ((_a, alice), (_b, bob)) = two().await;
    for version in ["1", "9", "12"] {
        let room = private_room(&alice, version).await;
        invite(&alice, &room, &bob).await.ok();
        act(&bob, &room, "leave").await.ok();
        assert_eq!(membership(&alice, &room, &bob).await, "leave", "{version}");
        assert!(invites(&bob).await[&room].is_null());
        // Once more, and this time it is taken.
        invite(&alice, &room, &bob).await.ok();
        act(&bob, &room, "join").await.ok();
        assert_eq!(state_of(&alice, &room).await, state_of(&bob, &room).await, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_is_turned_down_also_when_its_server_is_gone() {
    let ((mut a, alice), (_b, bob)) = two().await;
    let room = private_room(&alice, "12").await;
    invite(&alice, &room, &bob).await.ok();
    a.stop().await;
    act(&bob, &room, "leave").await.ok();
    assert!(invites(&bob).await[&room].is_null());
    act(&bob, &room, "forget").await.ok();
    act(&bob, &room, "join").await.refused(404, "M_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_other_server_reaches_whoever_invites() {
    let ((_a, alice), (b, bob)) = two().await;
    let room = private_room(&alice, "12").await;
    let path =
        format!("/_matrix/client/v3/user/{}/account_data/m.invite_permission_config", bob.user_id);
    bob.put(&path, json!({ "default_action": "block" })).await.ok();
    invite(&alice, &room, &bob).await.refused(403, "M_INVITE_BLOCKED");
    let path = format!("/_matrix/client/v3/rooms/{room}/invite");
    let nobody = json!({ "user_id": format!("@nobody:{}", b.server_name) });
    alice.post(&path, nobody).await.refused(404, "M_NOT_FOUND");
    let nowhere = json!({ "user_id": "@x:127.0.0.1:1" });
    alice.post(&path, nowhere).await.refused(502, "M_UNKNOWN");
    let members = alice.get(&format!("/_matrix/client/v3/rooms/{room}/members")).await.ok();
    assert_eq!(members["chunk"].as_array().unwrap().len(), 1, "nothing of it is in the room");
    assert!(invites(&bob).await.is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ignored_inviter_is_not_shown() {
    let ((_a, alice), (_b, bob)) = two().await;
    let path = format!("/_matrix/client/v3/user/{}/account_data/m.ignored_user_list", bob.user_id);
    bob.put(&path, json!({ "ignored_users": { alice.user_id.clone(): {} } })).await.ok();
    let room = private_room(&alice, "12").await;
    invite(&alice, &room, &bob).await.ok();
    assert!(invites(&bob).await[&room].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_room_with_a_user_of_another_server() {
    let ((_a, alice), (_b, bob)) = two().await;
    for version in ["10", "12"] {
        let room = alice
            .create_room(json!({
                "preset": "trusted_private_chat", "is_direct": true,
                "invite": [bob.user_id], "room_version": version,
            }))
            .await;
        let shown = invites(&bob).await[&room].clone();
        let events = shown["invite_state"]["events"].as_array().unwrap();
        let own = events.iter().find(|event| event["state_key"] == bob.user_id.as_str()).unwrap();
        assert_eq!(own["content"]["is_direct"], true);
        act(&bob, &room, "join").await.ok();
        assert_eq!(state_of(&alice, &room).await, state_of(&bob, &room).await);
        let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.name");
        bob.put(&path, json!({ "name": "Ours" })).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_an_invite_from_elsewhere_can_be_closed() {
    let ((mut a, alice), (b, bob)) = two().await;
    let room = private_room(&alice, "12").await;
    invite(&alice, &room, &bob).await.ok();
    a.stop().await;
    let user_id = ruma::UserId::parse(&bob.user_id).unwrap();
    b.state().rooms.leave_all(&user_id).await.unwrap();
    assert!(invites(&bob).await.is_null());
}

/// A server with a user.
pub async fn one() -> (TestServer, TestUser) {
    let server = TestServer::start_federating().await;
    let user = server.register("carol").await;
    (server, user)
}
