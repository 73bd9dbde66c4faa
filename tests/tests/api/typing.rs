//! Who is typing.

use pli_tests::server::TestServer;
use serde_json::json;

/// Clients such as bots leave `timeout` out; the specification lets them.
#[tokio::test(flavor = "multi_thread")]
async fn a_notice_needs_no_timeout_and_ends_when_the_client_says_so() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.post(&format!("/_matrix/client/v3/rooms/{room}/join"), json!({})).await.ok();
    let since = bob.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    let path = format!("/_matrix/client/v3/rooms/{room}/typing/{}", alice.user_id);
    alice.put(&path, json!({ "typing": true })).await.ok();
    let typing = async |since: &str| {
        let got = bob.sync(Some(since)).await;
        let ephemeral = got["rooms"]["join"][&room]["ephemeral"]["events"].clone();
        let events = ephemeral.as_array().cloned().unwrap_or_default();
        let event = events.into_iter().find(|event| event["type"] == "m.typing");
        (event.map(|event| event["content"]["user_ids"].clone()), got["next_batch"].clone())
    };
    let (users, next) = typing(&since).await;
    assert_eq!(users, Some(json!([alice.user_id])));
    alice.put(&path, json!({ "typing": false, "timeout": 30_000 })).await.ok();
    let (users, _) = typing(next.as_str().unwrap()).await;
    assert_eq!(users, Some(json!([])));
    for (body, errcode) in [
        (json!({}), "M_BAD_JSON"),
        (json!({ "typing": "yes" }), "M_BAD_JSON"),
        (json!({ "typing": true, "timeout": -1 }), "M_BAD_JSON"),
    ] {
        alice.put(&path, body).await.refused(400, errcode);
    }
    bob.put(&path, json!({ "typing": true })).await.refused(403, "M_FORBIDDEN");
}
