//! What other servers read: the past and the state of rooms in which they are, and of no others.

use pli_tests::{fake_room::FakeRoom, fake_server::FakeServer, server::TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    inbound::scene,
    joins::{join_via, public_room, two},
};

/// `quality.md`, Part IV, 12.
#[tokio::test(flavor = "multi_thread")]
async fn cve_2022_39335_no_endpoint_tells_of_an_event_of_another_room() {
    let scene = scene("12").await;
    let private = scene.alice.create_room(json!({ "preset": "private_chat" })).await;
    let secret = scene.alice.say(&private, "secret").await;
    let own = scene.alice.say(&scene.room_id, "open").await;
    let (room, fake, server) = (&scene.room_id, &scene.fake, &scene.server);
    for path in [
        format!("/_matrix/federation/v1/event/{secret}"),
        format!("/_matrix/federation/v1/state/{room}?event_id={secret}"),
        format!("/_matrix/federation/v1/state_ids/{room}?event_id={secret}"),
        format!("/_matrix/federation/v1/event_auth/{room}/{secret}"),
    ] {
        fake.get(server, &path).await.refused(404, "M_NOT_FOUND");
        fake.get(server, &path.replace(&secret, &own)).await.ok();
    }
    let path = format!("/_matrix/federation/v1/backfill/{room}?v={secret}&limit=5");
    assert_eq!(fake.get(server, &path).await.ok()["pdus"], json!([]));
    let missing = |latest: &str| json!({ "earliest_events": [], "latest_events": [latest] });
    let path = format!("/_matrix/federation/v1/get_missing_events/{room}");
    let body = missing(&secret).to_string();
    let answer = fake.send(server, Method::POST, &path, Some(&body)).await.ok();
    assert_eq!(answer["events"], json!([]));
    // The room itself is closed to a server that is not in it.
    for path in [
        format!("/_matrix/federation/v1/state/{private}?event_id={secret}"),
        format!("/_matrix/federation/v1/state_ids/{private}?event_id={secret}"),
        format!("/_matrix/federation/v1/event_auth/{private}/{secret}"),
        format!("/_matrix/federation/v1/backfill/{private}?v={secret}&limit=5"),
        format!("/_matrix/federation/v1/timestamp_to_event/{private}?ts=1&dir=f"),
    ] {
        fake.get(server, &path).await.refused(403, "M_FORBIDDEN");
    }
    let path = format!("/_matrix/federation/v1/get_missing_events/{private}");
    let body = missing(&secret).to_string();
    let answer = fake.send(server, Method::POST, &path, Some(&body)).await;
    answer.refused(403, "M_FORBIDDEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn states_chains_and_pages_are_whole_and_bounded() {
    let scene = scene("12").await;
    let (room, fake, server) = (&scene.room_id, &scene.fake, &scene.server);
    let mut said = Vec::new();
    for n in 0..120 {
        said.push(scene.alice.say(room, &format!("m{n}")).await);
    }
    let last = said.last().unwrap();
    let path = format!("/_matrix/federation/v1/state_ids/{room}?event_id={last}");
    let ids = fake.get(server, &path).await.ok();
    let path = format!("/_matrix/federation/v1/state/{room}?event_id={last}");
    let whole = fake.get(server, &path).await.ok();
    let count = |answer: &Value, name: &str| answer[name].as_array().unwrap().len();
    assert_eq!(count(&ids, "pdu_ids"), scene.room.state.len());
    assert_eq!(count(&whole, "pdus"), count(&ids, "pdu_ids"));
    assert_eq!(count(&whole, "auth_chain"), count(&ids, "auth_chain_ids"));
    for pdu in scene.room.state.values() {
        assert!(ids["pdu_ids"].as_array().unwrap().contains(&json!(pdu.event_id)));
    }
    let path = format!("/_matrix/federation/v1/event_auth/{room}/{last}");
    assert!(count(&fake.get(server, &path).await.ok(), "auth_chain") >= 2);
    let path = format!("/_matrix/federation/v1/backfill/{room}?v={last}&limit=1000");
    let page = fake.get(server, &path).await.ok();
    assert_eq!(count(&page, "pdus"), 100);
    assert_eq!(page["pdus"][0]["content"]["body"], "m119");
    assert_eq!(page["pdus"][99]["content"]["body"], "m20");
    let body = json!({ "earliest_events": [said[100]], "latest_events": [last], "limit": 50 });
    let path = format!("/_matrix/federation/v1/get_missing_events/{room}");
    let answer = fake.send(server, Method::POST, &path, Some(&body.to_string())).await.ok();
    let bodies: Vec<_> =
        answer["events"].as_array().unwrap().iter().map(|e| &e["content"]["body"]).collect();
    let expected: Vec<_> = (101..119).map(|n| json!(format!("m{n}"))).collect();
    assert_eq!(bodies, expected.iter().collect::<Vec<_>>());
    let body = json!({ "earliest_events": [], "latest_events": [last], "limit": 50 });
    let answer = fake.send(server, Method::POST, &path, Some(&body.to_string())).await.ok();
    assert_eq!(count(&answer, "events"), 20);
    let path = format!("/_matrix/federation/v1/timestamp_to_event/{room}?ts=1&dir=f");
    let first = fake.get(server, &path).await.ok();
    let create = &scene.room.state[&("m.room.create".to_owned(), String::new())];
    assert_eq!(first["event_id"], json!(create.event_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_user_of_a_server_may_see_it_gets_without_content() {
    let (server, fake) = tokio::join!(TestServer::start_federating(), FakeServer::start());
    let alice = server.register("alice").await;
    let visibility = json!({
        "type": "m.room.history_visibility",
        "state_key": "",
        "content": { "history_visibility": "joined" },
    });
    let body = json!({ "preset": "public_chat", "initial_state": [visibility] });
    let room_id = alice.create_room(body).await;
    let before = alice.say(&room_id, "before the join").await;
    FakeRoom::join(&fake, &server, &room_id, "eve").await;
    let after = alice.say(&room_id, "after the join").await;
    let path = format!("/_matrix/federation/v1/backfill/{room_id}?v={after}&limit=3");
    let page = fake.get(&server, &path).await.ok();
    assert_eq!(page["pdus"][0]["content"]["body"], "after the join");
    assert_eq!(page["pdus"][1]["type"], "m.room.member");
    assert_eq!(page["pdus"][2]["type"], "m.room.message");
    assert_eq!(page["pdus"][2]["content"], json!({}));
    let path = format!("/_matrix/federation/v1/event/{before}");
    fake.get(&server, &path).await.refused(404, "M_NOT_FOUND");
    fake.get(&server, &path.replace(&before, &after)).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_reader_pages_through_the_past_of_a_room_of_another_server() {
    let ((a, alice), (_b, bob)) = two().await;
    for version in ["1", "10", "12"] {
        let room = public_room(&alice, version).await;
        for n in 0..230 {
            alice.say(&room, &format!("m{n}")).await;
        }
        join_via(&bob, &room, &a).await;
        let all = async |user: &pli_tests::server::TestUser| {
            let mut ids: Vec<String> = Vec::new();
            let mut from = String::new();
            for _ in 0..50 {
                let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=40{from}");
                let page = user.get(&path).await.ok();
                let chunk = page["chunk"].as_array().unwrap();
                ids.extend(chunk.iter().map(|e| e["event_id"].as_str().unwrap().to_owned()));
                match page["end"].as_str() {
                    Some(end) => from = format!("&from={end}"),
                    None => break,
                }
            }
            ids
        };
        let before = bob.sync(None).await;
        let (of_alice, of_bob) = (all(&alice).await, all(&bob).await);
        assert_eq!(of_alice, of_bob, "version {version}");
        // None of it is news.
        let since = before["next_batch"].as_str().unwrap();
        let after = bob.sync(Some(since)).await;
        assert_eq!(after["rooms"]["join"][&room], Value::Null, "version {version}");
        // The oldest page knows what came around it, and by when it was sent.
        let oldest = &of_alice[of_alice.len() - 3];
        let path = format!("/_matrix/client/v3/rooms/{room}/context/{oldest}?limit=4");
        let context = |value: Value| {
            let ids = |name: &str| -> Vec<Value> {
                let events = value[name].as_array().unwrap().iter();
                events.map(|event| event["event_id"].clone()).collect()
            };
            (ids("events_before"), ids("events_after"))
        };
        assert_eq!(context(alice.get(&path).await.ok()), context(bob.get(&path).await.ok()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_long_ago_is_found_by_its_time() {
    let ((a, alice), (_b, bob)) = two().await;
    let room = public_room(&alice, "12").await;
    for n in 0..130 {
        alice.say(&room, &format!("m{n}")).await;
    }
    join_via(&bob, &room, &a).await;
    let path = format!("/_matrix/client/v1/rooms/{room}/timestamp_to_event?ts=1&dir=f");
    let (told, found) = (alice.get(&path).await.ok(), bob.get(&path).await.ok());
    assert_eq!(told, found);
    let path = format!(
        "/_matrix/client/v3/rooms/{room}/context/{}?limit=4",
        found["event_id"].as_str().unwrap()
    );
    assert_eq!(bob.get(&path).await.ok()["event"]["type"], "m.room.create");
}
