//! Joining rooms of other servers: both servers have the same state afterwards, event by event.

use std::collections::BTreeMap;

use pli_tests::server::{TestServer, TestUser};
use serde_json::{Value, json};

/// The room's state as a member sees it: the event ids by type and state key.
pub async fn state_of(user: &TestUser, room_id: &str) -> BTreeMap<String, String> {
    let state = user.get(&format!("/_matrix/client/v3/rooms/{room_id}/state")).await.ok();
    let text = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
    let events = state.as_array().unwrap().iter();
    events
        .map(|event| {
            let key = format!("{}|{}", text(event, "type"), text(event, "state_key"));
            (key, text(event, "event_id"))
        })
        .collect()
}

/// Joins by id, through a server.
pub async fn join_via(user: &TestUser, room_id: &str, server: &TestServer) {
    let path = format!("/_matrix/client/v3/join/{room_id}?via={}", server.server_name);
    let joined = user.post(&path, json!({})).await.ok();
    assert_eq!(joined["room_id"], room_id);
}

/// A public room of a version.
pub async fn public_room(user: &TestUser, version: &str) -> String {
    let body = json!({ "preset": "public_chat", "room_version": version, "name": "Shared" });
    user.create_room(body).await
}

/// Two servers with a user each.
pub async fn two() -> ((TestServer, TestUser), (TestServer, TestUser)) {
    let (a, b) = tokio::join!(TestServer::start_federating(), TestServer::start_federating());
    let (alice, bob) = tokio::join!(a.register("alice"), b.register("bob"));
    ((a, alice), (b, bob))
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_of_every_version_are_joined_in_both_directions() {
    let ((a, alice), (b, bob)) = two().await;
    for version in 1..=12 {
        let version = version.to_string();
        for ((server, host), guest) in [((&a, &alice), &bob), ((&b, &bob), &alice)] {
            let room = public_room(host, &version).await;
            join_via(guest, &room, server).await;
            let state = state_of(host, &room).await;
            assert_eq!(state, state_of(guest, &room).await, "version {version}");
            let member = format!("m.room.member|{}", guest.user_id);
            assert!(state.contains_key(&member), "version {version}");
            let synced = guest.sync(None).await;
            let events = &synced["rooms"]["join"][&room];
            assert!(events["timeline"]["events"].as_array().unwrap().iter().any(|event| {
                event["type"] == "m.room.member" && event["state_key"] == guest.user_id.as_str()
            }));
        }
    }
}

/// What is told before and after a time away stands in different states: neither the invite nor what was
/// before one left may take the place of the state that one joins.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_joins_is_told_the_state_of_the_room() {
    let ((a, alice), (_b, bob)) = two().await;
    let room = public_room(&alice, "12").await;
    alice
        .post(&format!("/_matrix/client/v3/rooms/{room}/invite"), json!({"user_id": bob.user_id}))
        .await
        .ok();
    let invited = bob.sync(None).await;
    assert!(invited["rooms"]["invite"][&room].is_object());
    let mut since = invited["next_batch"].as_str().unwrap().to_owned();
    for topic in ["first", "second"] {
        let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.topic/");
        alice.put(&path, json!({ "topic": topic })).await.ok();
        join_via(&bob, &room, &a).await;
        let synced = bob.sync(Some(&since)).await;
        let told = &synced["rooms"]["join"][&room];
        assert_eq!(told["timeline"]["limited"], true, "{told}");
        let events = |section: &str| told[section]["events"].as_array().unwrap().clone();
        let timeline = events("timeline");
        assert_eq!(timeline.len(), 1, "the join alone: {timeline:?}");
        let state = events("state");
        let topics: Vec<&Value> = state
            .iter()
            .filter(|e| e["type"] == "m.room.topic")
            .map(|e| &e["content"]["topic"])
            .collect();
        assert_eq!(topics, [topic]);
        if topic == "first" {
            let host = alice.user_id.as_str();
            assert!(state.iter().any(|e| e["state_key"] == host), "whoever is there: {state:?}");
        }
        bob.post(&format!("/_matrix/client/v3/rooms/{room}/leave"), json!({})).await.ok();
        since = bob.sync(Some(synced["next_batch"].as_str().unwrap())).await["next_batch"]
            .as_str()
            .unwrap()
            .to_owned();
    }
}

/// The join follows the invite at once, so nothing is missing between them: what came with the invite is
/// not the state of the room.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_an_invite_is_told_who_is_in_the_room() {
    let ((_a, alice), (_b, bob)) = two().await;
    let body = json!({ "preset": "private_chat", "invite": [bob.user_id] });
    let room = alice.create_room(body).await;
    let invited = bob.sync(None).await;
    assert!(invited["rooms"]["invite"][&room].is_object());
    bob.post(&format!("/_matrix/client/v3/join/{room}"), json!({})).await.ok();
    for since in [invited["next_batch"].as_str(), None] {
        let synced = bob.sync(since).await;
        let told = &synced["rooms"]["join"][&room];
        let state = told["state"]["events"].as_array().unwrap();
        let has_alice = |e: &Value| e["state_key"] == alice.user_id.as_str();
        assert!(state.iter().any(has_alice), "since {since:?}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_of_another_server_leads_into_its_room() {
    let ((a, alice), (_b, bob)) = two().await;
    let body = json!({ "preset": "public_chat", "room_alias_name": "projet" });
    let room = alice.create_room(body).await;
    let alias = format!("%23projet:{}", a.server_name);
    let path = format!("/_matrix/client/v3/directory/room/{alias}");
    let resolved = bob.get(&path).await.ok();
    assert_eq!(resolved["room_id"], room.as_str());
    assert_eq!(resolved["servers"], json!([a.server_name]));
    let path = format!("/_matrix/client/v3/join/{alias}");
    assert_eq!(bob.post(&path, json!({})).await.ok()["room_id"], room.as_str());
    assert_eq!(state_of(&alice, &room).await, state_of(&bob, &room).await);
    let nothing = format!("/_matrix/client/v3/join/%23nothing:{}", a.server_name);
    bob.post(&nothing, json!({})).await.refused(404, "M_NOT_FOUND");
}
