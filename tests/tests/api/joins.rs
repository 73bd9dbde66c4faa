//! Ways into rooms in every version that has them: knocking, restricted rooms, both.

use pli_tests::server::{Reply, TestServer, TestUser};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";

async fn room(alice: &TestUser, version: u32, rule: Value) -> String {
    alice
        .create_room(json!({
            "room_version": version.to_string(),
            "initial_state": [{ "type": "m.room.join_rules", "content": rule }],
        }))
        .await
}

async fn join(user: &TestUser, room: &str) -> Reply {
    user.post(&format!("{V3}/join/{room}"), json!({})).await
}

async fn knock(user: &TestUser, room: &str) -> Reply {
    user.post(&format!("{V3}/knock/{room}"), json!({ "reason": "please" })).await
}

async fn member(alice: &TestUser, room: &str, user: &TestUser) -> Value {
    let path = format!("{V3}/rooms/{room}/state/m.room.member/{}", user.user_id);
    alice.get(&path).await.body
}

#[tokio::test(flavor = "multi_thread")]
async fn knocking_works_where_the_version_has_it() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    for version in 1..=12 {
        let room = room(&alice, version, json!({ "join_rule": "knock" })).await;
        join(&bob, &room).await.refused(403, "M_FORBIDDEN");
        let reply = knock(&bob, &room).await;
        if version < 7 {
            reply.refused(403, "M_FORBIDDEN");
            continue;
        }
        reply.ok();
        let event = member(&alice, &room, &bob).await;
        assert_eq!((&event["membership"], &event["reason"]), (&json!("knock"), &json!("please")));
        let rooms = bob.sync(None).await["rooms"]["knock"].clone();
        let state = rooms[&room]["knock_state"]["events"].as_array().cloned().unwrap_or_default();
        assert!(state.iter().any(|event| event["type"] == "m.room.create"), "{version}");
        let invite = json!({ "user_id": bob.user_id });
        alice.post(&format!("{V3}/rooms/{room}/invite"), invite).await.ok();
        knock(&bob, &room).await.refused(403, "M_FORBIDDEN");
        join(&bob, &room).await.ok();
        // Taking a knock back, and being refused.
        bob.post(&format!("{V3}/rooms/{room}/leave"), json!({})).await.ok();
        knock(&bob, &room).await.ok();
        bob.post(&format!("{V3}/rooms/{room}/leave"), json!({})).await.ok();
        assert_eq!(member(&alice, &room, &bob).await["membership"], "leave", "{version}");
        let ban = json!({ "user_id": bob.user_id });
        alice.post(&format!("{V3}/rooms/{room}/ban"), ban).await.ok();
        knock(&bob, &room).await.refused(403, "M_FORBIDDEN");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_another_room_join_restricted_rooms() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let carol = server.register("carol").await;
    let other = alice.create_room(json!({ "preset": "public_chat" })).await;
    join(&bob, &other).await.ok();
    let allow = json!([
        { "type": "org.example.odd", "room_id": 7 },
        { "type": "m.room_membership", "room_id": "!unknown:pli.test" },
        { "type": "m.room_membership", "room_id": other },
    ]);
    for version in 1..=12 {
        for (rule, since) in [("restricted", 8), ("knock_restricted", 10)] {
            let content = json!({ "join_rule": rule, "allow": allow });
            let room = room(&alice, version, content).await;
            let case = format!("{rule} {version}");
            join(&carol, &room).await.refused(403, "M_FORBIDDEN");
            let knocks = knock(&carol, &room).await.status;
            let has_knocks = rule == "knock_restricted" && version >= since;
            assert_eq!(knocks, if has_knocks { 200 } else { 403 }, "{case}");
            let reply = join(&bob, &room).await;
            if version < since {
                reply.refused(403, "M_FORBIDDEN");
                continue;
            }
            reply.ok();
            let event = member(&alice, &room, &bob).await;
            let authorizer = &event["join_authorised_via_users_server"];
            assert_eq!(authorizer, &json!(alice.user_id), "{case}");
            // Whoever is invited needs nobody to vouch.
            let dora = server.register(&format!("dora{version}{}", rule.len())).await;
            let invite = json!({ "user_id": dora.user_id });
            alice.post(&format!("{V3}/rooms/{room}/invite"), invite).await.ok();
            join(&dora, &room).await.ok();
            let event = member(&alice, &room, &dora).await;
            assert!(event.get("join_authorised_via_users_server").is_none(), "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_vouch_where_nobody_may_invite() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let other = alice.create_room(json!({ "preset": "public_chat" })).await;
    join(&bob, &other).await.ok();
    let allow = json!([{ "type": "m.room_membership", "room_id": other }]);
    let room = alice
        .create_room(json!({
            "room_version": "11",
            "power_level_content_override": { "invite": 101 },
            "initial_state": [{
                "type": "m.room.join_rules",
                "content": { "join_rule": "restricted", "allow": allow },
            }],
        }))
        .await;
    join(&bob, &room).await.refused(400, "M_UNABLE_TO_GRANT_JOIN");
}
