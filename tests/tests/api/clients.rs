//! What published clients take for granted beyond the letter of the specification, each seen on the wire
//! with the client that is named.

use pli_tests::server::{TestServer, TestUser};
use serde_json::{Value, json};

async fn sync(user: &TestUser, since: &Value, more: &str) -> Value {
    let since = since["next_batch"].as_str().unwrap();
    user.get(&format!("/_matrix/client/v3/sync?timeout=0&since={since}{more}")).await.ok()
}

/// matrix-nio 0.26 reads `params` of the challenge without looking whether it is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_always_has_its_parameters() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let path = "/_matrix/client/v3/delete_devices";
    let challenge = alice.post(path, json!({ "devices": [alice.device_id] })).await;
    assert_eq!(challenge.status, 401);
    assert_eq!(challenge.body["params"], json!({}));
    assert!(challenge.body["session"].is_string());
}

/// matrix-js-sdk 43.0 and matrix-nio 0.26 take the list of a kind of push rules as given.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_push_rules_is_told_even_if_it_has_none() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let all = alice.get("/_matrix/client/v3/pushrules/").await.ok();
    let global = alice.get("/_matrix/client/v3/pushrules/global/").await.ok();
    let first = alice.sync(None).await;
    let account_data = first["account_data"]["events"].as_array().unwrap();
    let told = account_data.iter().find(|event| event["type"] == "m.push_rules").unwrap();
    for rules in [&all["global"], &global, &told["content"]["global"]] {
        for kind in ["override", "content", "room", "sender", "underride"] {
            assert!(rules[kind].is_array(), "{kind} of {rules}");
        }
    }
}

/// matrix-nio 0.26 refuses a whole sync in which a room that was left has no `state`.
#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_was_left_has_state_and_timeline() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let join = format!("/_matrix/client/v3/rooms/{room}/join");
    let _ = bob.post(&join, json!({})).await.ok();
    let first = bob.sync(None).await;
    let kick = json!({ "user_id": bob.user_id });
    let _ = alice.post(&format!("/_matrix/client/v3/rooms/{room}/kick"), kick).await.ok();
    let answer = sync(&bob, &first, "").await;
    let left = &answer["rooms"]["leave"][&room];
    assert_eq!(left["state"], json!({ "events": [] }));
    assert_eq!(left["timeline"]["events"][0]["content"]["membership"], "leave");
}

/// matrix-js-sdk 43.0 takes no state from timelines when it asks for `state_after`: a ban of somebody
/// who is not in the room must be told there.
#[tokio::test(flavor = "multi_thread")]
async fn a_ban_after_a_kick_is_told_in_the_state_after_the_timeline() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let rooms = format!("/_matrix/client/v3/rooms/{room}");
    let _ = bob.post(&format!("{rooms}/join"), json!({})).await.ok();
    let first = bob.sync(None).await;
    let who = json!({ "user_id": bob.user_id });
    for (ask, name) in [
        ("&use_state_after=true", "state_after"),
        ("&org.matrix.msc4222.use_state_after=true", "org.matrix.msc4222.state_after"),
    ] {
        let _ = alice.post(&format!("{rooms}/kick"), who.clone()).await.ok();
        let kicked = sync(&bob, &first, ask).await;
        let state = &kicked["rooms"]["leave"][&room][name]["events"];
        let own = state.as_array().unwrap().iter().find(|e| e["state_key"] == *bob.user_id);
        assert_eq!(own.unwrap()["content"]["membership"], "leave", "{kicked}");
        let _ = alice.post(&format!("{rooms}/ban"), who.clone()).await.ok();
        let banned = sync(&bob, &kicked, ask).await;
        let state = &banned["rooms"]["leave"][&room][name]["events"];
        assert_eq!(state[0]["content"]["membership"], "ban", "{banned}");
        let _ = alice.post(&format!("{rooms}/unban"), who.clone()).await.ok();
        let _ = bob.post(&format!("{rooms}/join"), json!({})).await.ok();
    }
}
