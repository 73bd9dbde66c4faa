//! Searching over HTTP: what the body may say, and upgraded rooms.

use pli_tests::server::{TestServer, TestUser};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";

async fn search(user: &TestUser, criteria: Value) -> Value {
    let body = json!({ "search_categories": { "room_events": criteria } });
    let found = user.post(&format!("{V3}/search"), body).await.ok();
    found["search_categories"]["room_events"].clone()
}

fn bodies(found: &Value) -> Vec<&str> {
    let results = found["results"].as_array().unwrap().iter();
    results.map(|result| result["result"]["content"]["body"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_found_with_what_is_around_it() {
    let mut server = TestServer::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    for n in 0..4 {
        alice.say(&room, &format!("before {n}")).await;
    }
    let message = alice.say(&room, "the Needle in the haystack").await;
    alice.say(&room, "after").await;
    let criteria = json!({
        "search_term": "needle", "order_by": "recent", "include_state": true,
        "event_context": { "before_limit": 2, "after_limit": 5, "include_profile": true },
        "groupings": { "group_by": [{ "key": "room_id" }, { "key": "sender" }] },
    });
    for restarted in [false, true] {
        let found = search(&alice, criteria.clone()).await;
        assert_eq!((&found["count"], found["highlights"][0].as_str()), (&json!(1), Some("needle")));
        let result = &found["results"][0];
        assert_eq!(result["result"]["event_id"], json!(message), "{restarted}");
        assert!(result["rank"].as_f64().unwrap() > 0.0);
        let context = &result["context"];
        assert_eq!(context["events_before"][0]["content"]["body"], "before 3");
        assert_eq!(context["events_before"].as_array().unwrap().len(), 2);
        assert_eq!(context["events_after"][0]["content"]["body"], "after");
        assert_eq!(context["profile_info"][&alice.user_id]["displayname"], "alice");
        let start = context["start"].as_str().unwrap();
        let older = format!("{V3}/rooms/{room}/messages?dir=b&limit=1&from={start}");
        assert_eq!(alice.get(&older).await.ok()["chunk"][0]["content"]["body"], "before 1");
        assert_eq!(found["groups"]["room_id"][&room]["results"], json!([message]));
        assert_eq!(found["groups"]["sender"][&alice.user_id]["order"], 0);
        assert!(found["state"][&room].as_array().unwrap().len() > 4);
        if !restarted {
            server.restart().await;
        }
    }
    let plain = search(&alice, json!({ "search_term": "needle" })).await;
    assert!(plain["results"][0].get("context").is_none() && plain.get("state").is_none());
    let none = alice.post(&format!("{V3}/search"), json!({ "search_categories": {} })).await;
    assert_eq!(none.ok(), json!({ "search_categories": {} }));
    for wrong in [
        json!({}),
        json!({ "search_term": 7 }),
        json!({ "search_term": "x", "order_by": "color" }),
        json!({ "search_term": "x", "keys": ["content.secret"] }),
        json!({ "search_term": "x", "groupings": { "group_by": [{ "key": "age" }] } }),
    ] {
        let body = json!({ "search_categories": { "room_events": wrong } });
        alice.post(&format!("{V3}/search"), body).await.refused(400, "M_BAD_JSON");
    }
    let body = json!({ "search_categories": { "room_events": { "search_term": "x" } } });
    let path = format!("{V3}/search?next_batch=nonsense");
    alice.post(&path, body).await.refused(400, "M_INVALID_PARAM");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_stands_for_those_that_it_replaced() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let old = alice.create_room(json!({ "room_version": "10" })).await;
    alice.say(&old, "a word from the past").await;
    let upgraded =
        alice.post(&format!("{V3}/rooms/{old}/upgrade"), json!({ "new_version": "12" })).await.ok();
    let new = upgraded["replacement_room"].as_str().unwrap();
    alice.say(new, "a word of today").await;
    let filter = json!({ "rooms": [new] });
    let found =
        search(&alice, json!({ "search_term": "word", "filter": filter, "order_by": "recent" }));
    assert_eq!(bodies(&found.await), ["a word of today", "a word from the past"]);
    let filter = json!({ "rooms": [old] });
    let found = search(&alice, json!({ "search_term": "word", "filter": filter }));
    assert_eq!(bodies(&found.await), ["a word from the past"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_search_says_so() {
    let server = TestServer::start_with(|config| config.rooms.search = false).await;
    let alice = server.register("alice").await;
    let body = json!({ "search_categories": { "room_events": { "search_term": "x" } } });
    alice.post(&format!("{V3}/search"), body).await.refused(403, "M_FORBIDDEN");
}
