//! The ways of older clients: snapshots and the stream of events.

use std::time::Duration;

use pli_tests::server::{TestServer, TestUser};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";

fn bodies(chunk: &Value) -> Vec<String> {
    let events = chunk.as_array().unwrap().iter();
    events.filter_map(|event| event["content"]["body"].as_str().map(str::to_owned)).collect()
}

async fn change(user: &TestUser, room: &str, action: &str, body: Value) {
    user.post(&format!("{V3}/rooms/{room}/{action}"), body).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_holds_the_rooms_and_the_stream_goes_on_from_it() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let joined =
        alice.create_room(json!({ "preset": "public_chat", "visibility": "public" })).await;
    let left = alice.create_room(json!({ "preset": "public_chat" })).await;
    let invited = alice.create_room(json!({})).await;
    for room in [&joined, &left] {
        change(&bob, room, "join", json!({})).await;
        for n in 0..3 {
            alice.say(room, &format!("m{n}")).await;
        }
    }
    change(&bob, &left, "leave", json!({})).await;
    alice.say(&left, "after").await;
    change(&alice, &invited, "invite", json!({ "user_id": bob.user_id })).await;
    let tags = format!("{V3}/user/{}/rooms/{joined}/tags/u.work", bob.user_id);
    bob.put(&tags, json!({ "order": 0.5 })).await.ok();

    let all = bob.get(&format!("{V3}/initialSync?limit=2&archived=true")).await.ok();
    let find = |id: &str| {
        let rooms = all["rooms"].as_array().unwrap();
        rooms.iter().find(|room| room["room_id"] == id).unwrap().clone()
    };
    let room = find(&joined);
    assert_eq!((&room["membership"], &room["visibility"]), (&json!("join"), &json!("public")));
    assert_eq!(bodies(&room["messages"]["chunk"]), ["m1", "m2"]);
    assert_eq!(room["account_data"][0]["type"], "m.tag");
    assert!(room["state"].as_array().unwrap().iter().any(|e| e["type"] == "m.room.create"));
    let room = find(&left);
    assert_eq!(room["membership"], "leave");
    assert_eq!(bodies(&room["messages"]["chunk"]), ["m2"]);
    let room = find(&invited);
    assert_eq!(room["membership"], "invite");
    assert_eq!(room["invite"]["state_key"], json!(bob.user_id));
    assert!(room.get("messages").is_none());
    let few = bob.get(&format!("{V3}/initialSync")).await.ok();
    assert_eq!(few["rooms"].as_array().unwrap().len(), 2);
    assert_eq!(few["presence"], json!([]));

    let end = all["end"].as_str().unwrap();
    let stream = format!("{V3}/events?from={end}");
    assert_eq!(bob.get(&stream).await.ok()["chunk"], json!([]));
    let listen = tokio::spawn({
        let (bob, stream) = (bob.clone(), format!("{stream}&timeout=20000"));
        async move { bob.get(&stream).await.ok() }
    });
    alice.say(&left, "not for bob").await;
    alice.say(&joined, "hello").await;
    let woken = tokio::time::timeout(Duration::from_secs(15), listen).await;
    let heard = woken.expect("woken by the message").unwrap();
    assert_eq!(bodies(&heard["chunk"]), ["hello"]);
    assert_eq!(heard["chunk"][0]["room_id"], json!(joined));
    let next = format!("{V3}/events?from={}", heard["end"].as_str().unwrap());
    assert_eq!(bob.get(&next).await.ok()["chunk"], json!([]));
    bob.get(&format!("{V3}/events?from=nonsense")).await.refused(400, "M_INVALID_PARAM");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_listens_to_a_room_that_everyone_may_read() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let readable = json!([{
        "type": "m.room.history_visibility", "content": { "history_visibility": "world_readable" },
    }]);
    let room = alice.create_room(json!({ "initial_state": readable })).await;
    let message = alice.say(&room, "old").await;
    let snapshot = bob.get(&format!("{V3}/rooms/{room}/initialSync")).await.ok();
    assert!(snapshot.get("membership").is_none(), "{snapshot}");
    assert_eq!(bodies(&snapshot["messages"]["chunk"]), ["old"]);
    let end = snapshot["messages"]["end"].as_str().unwrap();
    let listen = tokio::spawn({
        let bob = bob.clone();
        let path = format!("{V3}/events?room_id={room}&from={end}&timeout=20000");
        async move { bob.get(&path).await.ok() }
    });
    tokio::time::timeout(Duration::from_secs(20), alice.say(&room, "new")).await.unwrap();
    assert_eq!(bodies(&listen.await.unwrap()["chunk"]), ["new"]);
    let event = bob.get(&format!("{V3}/events/{message}")).await.ok();
    assert_eq!(event["content"]["body"], "old");

    let closed = alice.create_room(json!({})).await;
    let secret = alice.say(&closed, "secret").await;
    bob.get(&format!("{V3}/rooms/{closed}/initialSync")).await.refused(403, "M_FORBIDDEN");
    bob.get(&format!("{V3}/events?room_id={closed}")).await.refused(403, "M_FORBIDDEN");
    bob.get(&format!("{V3}/events/{secret}")).await.refused(404, "M_NOT_FOUND");
    bob.get(&format!("{V3}/events/$nothing")).await.refused(404, "M_NOT_FOUND");
    bob.get(&format!("{V3}/events?room_id=nonsense")).await.refused(400, "M_INVALID_PARAM");
}
