//! Summaries of rooms and the rooms of spaces: who finds what, in which order, in how many pages.

use pli_tests::server::{TestServer, TestUser};
use serde_json::{Value, json};

const V1: &str = "/_matrix/client/v1";

async fn summary(user: &TestUser, room: &str) -> pli_tests::server::Reply {
    user.get(&format!("{V1}/room_summary/{room}")).await
}

async fn room_with(user: &TestUser, join_rule: Value, visibility: &str) -> String {
    user.create_room(json!({
        "name": "A room",
        "initial_state": [
            { "type": "m.room.join_rules", "content": join_rule },
            { "type": "m.room.history_visibility", "content": { "history_visibility": visibility } },
        ],
    }))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_is_for_those_who_may_be_in_the_room() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let allowed = alice.create_room(json!({ "preset": "public_chat" })).await;
    let member = server.register("member").await;
    member.post(&format!("/_matrix/client/v3/join/{allowed}"), json!({})).await.ok();
    let allow = json!([{ "type": "m.room_membership", "room_id": allowed }]);
    // Join rule, visibility; who finds it: nobody in particular, anyone, a member of the allowed room.
    let cases = [
        (json!({ "join_rule": "public" }), "shared", (true, true, true)),
        (json!({ "join_rule": "knock" }), "shared", (true, true, true)),
        (json!({ "join_rule": "knock_restricted", "allow": allow }), "joined", (true, true, true)),
        (json!({ "join_rule": "restricted", "allow": allow }), "shared", (false, false, true)),
        (json!({ "join_rule": "restricted" }), "shared", (false, false, false)),
        (json!({ "join_rule": "invite" }), "shared", (false, false, false)),
        (json!({ "join_rule": "invite" }), "world_readable", (true, true, true)),
        (json!({ "join_rule": "org.example.odd" }), "shared", (false, false, false)),
    ];
    for (rule, visibility, (nobody, anyone, allowed_member)) in cases {
        let room = room_with(&alice, rule.clone(), visibility).await;
        let status = |found: bool| if found { 200 } else { 404 };
        let case = format!("{rule} {visibility}");
        let reply = server.get(&format!("{V1}/room_summary/{room}")).await;
        assert_eq!(reply.status, status(nobody), "{case}");
        assert!(reply.body.get("membership").is_none(), "{case}");
        assert_eq!(summary(&bob, &room).await.status, status(anyone), "{case}");
        assert_eq!(summary(&member, &room).await.status, status(allowed_member), "{case}");
        let own = summary(&alice, &room).await.ok();
        assert_eq!(own["membership"], "join", "{case}");
        assert_eq!(own["join_rule"], rule["join_rule"], "{case}");
        let invite = json!({ "user_id": bob.user_id });
        alice.post(&format!("/_matrix/client/v3/rooms/{room}/invite"), invite).await.ok();
        assert_eq!(summary(&bob, &room).await.ok()["membership"], "invite", "{case}");
        let ban = json!({ "user_id": bob.user_id });
        alice.post(&format!("/_matrix/client/v3/rooms/{room}/ban"), ban).await.ok();
        let readable = visibility == "world_readable";
        assert_eq!(summary(&bob, &room).await.status, status(readable), "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_tells_what_the_state_says_under_every_path() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let room = alice
        .create_room(json!({
            "preset": "public_chat", "room_version": "11", "room_alias_name": "lobby",
            "name": "Lobby", "topic": "Everyone",
            "initial_state": [
                { "type": "m.room.encryption", "content": { "algorithm": "m.megolm.v1.aes-sha2" } },
                { "type": "m.room.avatar", "content": { "url": "mxc://pli.test/a" } },
            ],
        }))
        .await;
    let expected = json!({
        "room_id": room, "name": "Lobby", "topic": "Everyone", "avatar_url": "mxc://pli.test/a",
        "canonical_alias": "#lobby:pli.test", "num_joined_members": 1, "join_rule": "public",
        "world_readable": false, "guest_can_join": false, "encryption": "m.megolm.v1.aes-sha2",
        "room_version": "11", "membership": "join",
    });
    let alias = "%23lobby:pli.test";
    for path in [
        format!("{V1}/room_summary/{alias}"),
        format!("{V1}/room_summary/{room}?via=pli.test&via=other.test"),
        format!("/_matrix/client/unstable/im.nheko.summary/rooms/{alias}/summary"),
        format!("/_matrix/client/unstable/im.nheko.summary/summary/{room}"),
    ] {
        assert_eq!(alice.get(&path).await.ok(), expected, "{path}");
    }
    // A redacted name is gone, although the state has the same event.
    let name = json!({ "name": "Bad words" });
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.name/");
    let sent = alice.put(&path, name).await.ok();
    assert_eq!(summary(&alice, &room).await.ok()["name"], "Bad words");
    let event = sent["event_id"].as_str().unwrap();
    alice.put(&format!("/_matrix/client/v3/rooms/{room}/redact/{event}/r1"), json!({})).await.ok();
    assert!(summary(&alice, &room).await.ok().get("name").is_none());
    let unknown = alice.get(&format!("{V1}/room_summary/!nothing:pli.test")).await;
    unknown.refused(404, "M_NOT_FOUND");
    let unknown = alice.get(&format!("{V1}/room_summary/%23nothing:pli.test")).await;
    unknown.refused(404, "M_NOT_FOUND");
}

async fn space(user: &TestUser, name: &str) -> String {
    let content = json!({ "type": "m.space" });
    let body = json!({ "preset": "public_chat", "name": name, "creation_content": content });
    user.create_room(body).await
}

async fn child(user: &TestUser, space: &str, child: &str, content: Value) {
    let path = format!("/_matrix/client/v3/rooms/{space}/state/m.space.child/{child}");
    user.put(&path, content).await.ok();
}

fn via(order: Option<&str>, suggested: bool) -> Value {
    let mut content = json!({ "via": ["pli.test"], "suggested": suggested });
    if let Some(order) = order {
        content["order"] = json!(order);
    }
    content
}

async fn names(user: &TestUser, space: &str, query: &str) -> Vec<String> {
    let page = user.get(&format!("{V1}/rooms/{space}/hierarchy?{query}")).await.ok();
    names_of(&page)
}

fn names_of(page: &Value) -> Vec<String> {
    let rooms = page["rooms"].as_array().unwrap().iter();
    rooms.map(|room| room["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// `root` ⟶ (b, a, inner ⟶ (deep, root again), hidden, late, no longer a child).
async fn tree(alice: &TestUser) -> String {
    let root = space(alice, "root").await;
    let inner = space(alice, "inner").await;
    let room = |name: &str| json!({ "preset": "public_chat", "name": name });
    let a = alice.create_room(room("a")).await;
    let b = alice.create_room(room("b")).await;
    let deep = alice.create_room(room("deep")).await;
    let late = alice.create_room(room("late")).await;
    let gone = alice.create_room(room("gone")).await;
    let hidden = alice.create_room(json!({ "name": "hidden" })).await;
    child(alice, &root, &late, via(None, false)).await;
    child(alice, &root, &hidden, via(Some("c"), true)).await;
    child(alice, &root, &inner, via(Some("bb"), true)).await;
    child(alice, &root, &a, via(Some("b"), false)).await;
    child(alice, &root, &b, via(Some(" "), true)).await;
    child(alice, &root, &gone, via(None, true)).await;
    child(alice, &root, &gone, json!({})).await;
    child(alice, &root, "!unknown:elsewhere.test", via(None, true)).await;
    child(alice, &inner, &root, via(None, true)).await;
    child(alice, &inner, &deep, via(None, false)).await;
    root
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_is_walked_in_its_order_without_what_one_may_not_see() {
    let server = TestServer::start().await;
    server.watch.let_events_be_odd();
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let root = tree(&alice).await;
    let all = ["root", "b", "a", "inner", "deep", "hidden", "late"];
    assert_eq!(names(&alice, &root, "").await, all);
    assert_eq!(names(&bob, &root, "").await, ["root", "b", "a", "inner", "deep", "late"]);
    assert_eq!(names(&bob, &root, "max_depth=0").await, ["root"]);
    assert_eq!(names(&bob, &root, "max_depth=1").await, ["root", "b", "a", "inner", "late"]);
    assert_eq!(names(&bob, &root, "suggested_only=true").await, ["root", "b", "inner"]);
    let page = bob.get(&format!("{V1}/rooms/{root}/hierarchy")).await.ok();
    let rooms = page["rooms"].as_array().unwrap();
    assert_eq!(rooms[0]["room_type"], "m.space");
    let children = rooms[0]["children_state"].as_array().unwrap();
    assert_eq!(children.len(), 6, "{children:?}");
    for event in children {
        let keys: Vec<&String> = event.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["content", "origin_server_ts", "sender", "state_key", "type"]);
    }
    assert_eq!(rooms[1]["children_state"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_space_follow_each_other_and_are_bound_to_their_parameters() {
    let server = TestServer::start().await;
    server.watch.let_events_be_odd();
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let root = tree(&alice).await;
    let path = format!("{V1}/rooms/{root}/hierarchy");
    let mut seen = Vec::new();
    let mut query = "limit=2&max_depth=5".to_owned();
    loop {
        let page = alice.get(&format!("{path}?{query}")).await.ok();
        assert!(page["rooms"].as_array().unwrap().len() <= 2);
        seen.extend(names_of(&page));
        let Some(next) = page["next_batch"].as_str() else { break };
        for other in [
            format!("limit=2&max_depth=4&from={next}"),
            format!("limit=2&from={next}"),
            format!("limit=2&max_depth=5&suggested_only=true&from={next}"),
            format!("limit=2&max_depth=5&from={next}0"),
        ] {
            alice.get(&format!("{path}?{other}")).await.refused(400, "M_INVALID_PARAM");
        }
        let foreign = bob.get(&format!("{path}?limit=2&max_depth=5&from={next}")).await;
        foreign.refused(400, "M_INVALID_PARAM");
        query = format!("limit=2&max_depth=5&from={next}");
    }
    assert_eq!(seen, ["root", "b", "a", "inner", "deep", "hidden", "late"]);
    alice.get(&format!("{path}?limit=0")).await.refused(400, "M_INVALID_PARAM");
    let hidden = alice.create_room(json!({})).await;
    bob.get(&format!("{V1}/rooms/{hidden}/hierarchy")).await.refused(403, "M_FORBIDDEN");
    bob.get(&format!("{V1}/rooms/!no:pli.test/hierarchy")).await.refused(403, "M_FORBIDDEN");
}
