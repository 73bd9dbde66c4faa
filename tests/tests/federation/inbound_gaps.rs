//! Events whose ancestors are missing: fetched from the server that sent them, waited for, lived without.

use std::sync::{Arc, Mutex};

use pli_federation::event_format::Pdu;
use serde_json::{Value, json};

use crate::inbound::{Scene, scene};

fn json_of(pdu: &Pdu) -> Value {
    serde_json::from_str(&pdu.json).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_before_an_event_is_fetched_from_who_sent_it() {
    let mut scene = scene("12").await;
    let events: Vec<Arc<Pdu>> =
        (0..6).map(|n| scene.room.say(&scene.fake, &format!("m{n}"))).collect();
    let (last, before) = events.split_last().unwrap();
    let answer = json!({ "events": before.iter().map(|pdu| json_of(pdu)).collect::<Vec<_>>() });
    scene.fake.answer("/_matrix/federation/v1/get_missing_events/", move |_, body| {
        assert!(body["limit"].as_u64().unwrap() <= 20, "{body}");
        (200, answer.clone())
    });
    let told = scene.fake.transaction(&scene.server, "gap", &[&last.json]).await.ok();
    assert_eq!(told["pdus"][last.event_id.as_str()], json!({}));
    for pdu in &events {
        scene.wait_for(pdu.event_id.as_str()).await;
    }
    // An event is there a moment before its commit is durable, and then it is in the timeline.
    while bodies(&scene).await != ["m5", "m4", "m3", "m2", "m1", "m0"] {
        scene.alice.get("/_matrix/client/v3/sync?timeout=100").await.ok();
    }
    let asked = scene.fake.asked();
    assert!(!asked.iter().any(|path| path.contains("/state")), "{asked:?}");
}

async fn bodies(scene: &Scene) -> Vec<String> {
    let path = format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit=50", scene.room_id);
    let page = scene.alice.get(&path).await.ok();
    let events = page["chunk"].as_array().unwrap().iter();
    events.filter_map(|event| Some(event["content"]["body"].as_str()?.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_that_nobody_fills_is_crossed_with_the_state_behind_it() {
    let mut scene = scene("12").await;
    let eve = scene.fake.user("eve");
    let content = json!({ "membership": "join", "displayname": "Eve in the gap" });
    let renamed = scene.room.put(&scene.fake, ("m.room.member", &eve), &content);
    for n in 0..30 {
        scene.room.say(&scene.fake, &format!("lost {n}"));
    }
    let last = scene.room.say(&scene.fake, "found");
    let state: Vec<String> =
        scene.room.state.values().map(|pdu| pdu.event_id.to_string()).collect();
    let chain: Vec<String> =
        scene.room.auth_chain.iter().map(|pdu| pdu.event_id.to_string()).collect();
    // The member event before the new name authorizes it.
    let ids = json!({ "pdu_ids": state, "auth_chain_ids": chain });
    scene.fake.answer("/_matrix/federation/v1/get_missing_events/", |_, _| {
        (200, json!({ "events": [] }))
    });
    scene.fake.answer("/_matrix/federation/v1/state_ids/", move |_, _| (200, ids.clone()));
    let (event, id) = (json_of(&renamed), renamed.event_id.to_string());
    let name = scene.fake.name.to_string();
    scene.fake.answer("/_matrix/federation/v1/event/", move |path, _| {
        assert!(path.ends_with(&id.replace('$', "%24")) || path.ends_with(&id), "{path}");
        (200, json!({ "origin": name, "origin_server_ts": 1, "pdus": [event] }))
    });
    scene.fake.transaction(&scene.server, "gap", &[&last.json]).await.ok();
    scene.wait_for(last.event_id.as_str()).await;
    assert_eq!(scene.state("m.room.member", &eve).await["displayname"], "Eve in the gap");
    let said = scene.alice.say(&scene.room_id, "after the gap").await;
    assert!(scene.has(&said).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_is_taken_up_when_its_ancestors_come_also_after_a_restart() {
    for restarts in [false, true] {
        let mut scene = scene("11").await;
        let parent = scene.room.say(&scene.fake, "parent");
        let child = scene.room.say(&scene.fake, "child");
        let answer = scene.fake.transaction(&scene.server, "child", &[&child.json]).await.ok();
        assert_eq!(answer["pdus"][child.event_id.as_str()], json!({}));
        assert!(!scene.has(child.event_id.as_str()).await);
        if restarts {
            scene.server.restart().await;
        }
        let answer = scene.fake.transaction(&scene.server, "parent", &[&parent.json]).await.ok();
        assert_eq!(answer["pdus"][parent.event_id.as_str()], json!({}));
        scene.wait_for(child.event_id.as_str()).await;
        assert!(scene.has(parent.event_id.as_str()).await);
    }
}

/// `quality.md`, Part IV, 8: what authorizes an event is of its own room.
#[tokio::test(flavor = "multi_thread")]
async fn auth_events_of_another_room_do_not_count() {
    let mut scene = scene("11").await;
    let private =
        scene.alice.create_room(json!({ "preset": "public_chat" , "room_version": "11" })).await;
    let other =
        pli_tests::fake_room::FakeRoom::join(&scene.fake, &scene.server, &private, "eve").await;
    let mut new = scene.room.new_event(
        "m.room.message",
        None,
        &json!({ "msgtype": "m.text", "body": "borrowed" }),
    );
    new.auth_events = other.new_event("m.room.message", None, &json!({})).auth_events;
    let pdu = scene.room.build(&scene.fake, new);
    scene.fake.transaction(&scene.server, "borrowed", &[&pdu.json]).await.ok();
    let next = scene.room.say(&scene.fake, "own");
    scene.fake.transaction(&scene.server, "own", &[&next.json]).await.ok();
    assert!(scene.has(next.event_id.as_str()).await);
    assert!(!scene.has(pdu.event_id.as_str()).await);
}

/// `quality.md`, Part IV, 13: an event that claims to stand on a chain of ten thousand.
#[tokio::test(flavor = "multi_thread")]
async fn cve_2024_31208_a_chain_of_ten_thousand_auth_events_keeps_nobody_waiting() {
    let scene = scene("11").await;
    let eve = scene.fake.user("eve");
    let mut aside = scene.room.clone();
    let mut chain: Vec<Arc<Pdu>> = aside.auth_chain.clone();
    chain.extend(aside.state.values().cloned());
    for n in 0..10_000 {
        let content = json!({ "membership": "join", "displayname": format!("{n}") });
        chain.push(aside.put(&scene.fake, ("m.room.member", &eve), &content));
    }
    let mut new = scene.room.new_event(
        "m.room.message",
        None,
        &json!({ "msgtype": "m.text", "body": "deep" }),
    );
    new.auth_events = aside.new_event("m.room.message", None, &json!({})).auth_events;
    let pdu = scene.room.build(&scene.fake, new);
    let chain = json!({ "auth_chain": chain.iter().map(|pdu| json_of(pdu)).collect::<Vec<_>>() });
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    scene.fake.answer("/_matrix/federation/v1/event_auth/", move |_, _| {
        *count.lock().unwrap() += 1;
        (200, chain.clone())
    });
    let started = std::time::Instant::now();
    scene.fake.transaction(&scene.server, "chain", &[&pdu.json]).await.ok();
    // Whoever sent it is answered, and the room goes on, while the chain is looked at.
    let said = scene.alice.say(&scene.room_id, "meanwhile").await;
    assert!(scene.has(&said).await);
    assert!(started.elapsed() < std::time::Duration::from_secs(20));
    scene.wait_for(pdu.event_id.as_str()).await;
    assert_eq!(*asked.lock().unwrap(), 1);
}
