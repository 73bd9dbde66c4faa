//! Who comes into rooms and what goes with them: guests, replaced rooms, policy lists, the last admin.

use pli_tests::server::{TestServer, TestUser};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";

async fn room_for_guests(alice: &TestUser, access: &str, visibility: &str) -> String {
    alice
        .create_room(json!({ "preset": "public_chat", "initial_state": [
            { "type": "m.room.guest_access", "content": { "guest_access": access } },
            { "type": "m.room.history_visibility", "content": { "history_visibility": visibility } },
        ] }))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_read_what_everyone_may_and_join_where_they_may() {
    let server =
        TestServer::start_with(|config| config.server.test_deployment.guest_access = true).await;
    let alice = server.register("alice").await;
    let guest = server.register_guest().await;
    let readable = room_for_guests(&alice, "forbidden", "world_readable").await;
    let message = alice.say(&readable, "for everyone").await;
    for path in [
        "state",
        "state/m.room.create/",
        "messages?dir=b",
        "members",
        "initialSync",
        &format!("event/{message}"),
        &format!("context/{message}"),
    ] {
        guest.get(&format!("{V3}/rooms/{readable}/{path}")).await.ok();
    }
    guest.get(&format!("{V3}/events?room_id={readable}")).await.ok();
    guest.get(&format!("{V3}/events")).await.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    let join = |room: &str| format!("{V3}/rooms/{room}/join");
    guest.post(&join(&readable), json!({})).await.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    let closed = room_for_guests(&alice, "forbidden", "shared").await;
    guest.get(&format!("{V3}/rooms/{closed}/state")).await.refused(403, "M_FORBIDDEN");

    let open = room_for_guests(&alice, "can_join", "shared").await;
    guest.post(&join(&open), json!({})).await.ok();
    guest.say(&open, "hello").await;
    let body = json!({ "topic": "by a guest" });
    let path = format!("{V3}/rooms/{open}/state/m.room.topic/");
    guest.put(&path, body).await.refused(403, "M_FORBIDDEN");
    for (path, body) in [
        ("createRoom".to_owned(), json!({})),
        (format!("rooms/{open}/invite"), json!({ "user_id": alice.user_id })),
        (format!("knock/{open}"), json!({})),
        ("search".to_owned(), json!({ "search_categories": {} })),
    ] {
        let reply = guest.post(&format!("{V3}/{path}"), body).await;
        reply.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    }
    // The room is closed to guests: they are out at once.
    let path = format!("{V3}/rooms/{open}/state/m.room.guest_access/");
    alice.put(&path, json!({ "guest_access": "forbidden" })).await.ok();
    let member = format!("{V3}/rooms/{open}/state/m.room.member/{}", guest.user_id);
    assert_eq!(alice.get(&member).await.ok()["membership"], "leave");
    let path = format!("{V3}/rooms/{open}/send/m.room.message/t");
    guest.put(&path, json!({ "msgtype": "m.text", "body": "x" })).await.refused(403, "M_FORBIDDEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_follow_to_the_room_that_replaces_another() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let old = alice.create_room(json!({ "preset": "public_chat", "room_version": "10" })).await;
    bob.post(&format!("{V3}/join/{old}"), json!({})).await.ok();
    for user in [&alice, &bob] {
        let tag = format!("{V3}/user/{}/rooms/{old}/tags/u.work", user.user_id);
        user.put(&tag, json!({ "order": 0.25 })).await.ok();
        let direct = format!("{V3}/user/{}/account_data/m.direct", user.user_id);
        user.put(&direct, json!({ "@carol:pli.test": [old] })).await.ok();
        let rule = format!("{V3}/pushrules/global/room/{old}");
        user.put(&rule, json!({ "actions": [] })).await.ok();
    }
    let upgrade = json!({ "new_version": "12" });
    let upgraded = alice.post(&format!("{V3}/rooms/{old}/upgrade"), upgrade).await.ok();
    let new = upgraded["replacement_room"].as_str().unwrap().to_owned();
    let before = format!("{V3}/user/{}/rooms/{new}/tags", bob.user_id);
    assert_eq!(bob.get(&before).await.ok()["tags"], json!({}));
    bob.post(&format!("{V3}/join/{new}"), json!({})).await.ok();
    for user in [&alice, &bob] {
        let tags = format!("{V3}/user/{}/rooms/{new}/tags", user.user_id);
        assert_eq!(user.get(&tags).await.ok()["tags"]["u.work"]["order"], 0.25);
        let direct = format!("{V3}/user/{}/account_data/m.direct", user.user_id);
        assert_eq!(user.get(&direct).await.ok()["@carol:pli.test"], json!([old, new]));
        let rule = user.get(&format!("{V3}/pushrules/global/room/{new}")).await.ok();
        assert_eq!(rule["actions"], json!([]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_administrations_rules_are_off_until_they_are_set() {
    let list = |rooms: Vec<String>| {
        move |config: &mut pli_schema::config::Config| {
            config.rooms.policy_rooms = rooms;
            config.rooms.last_admin_rule = true;
        }
    };
    let server = TestServer::start_with(list(vec!["#bans:pli.test".to_owned()])).await;
    let alice = server.register("alice").await;
    let bans = alice.create_room(json!({ "room_alias_name": "bans" })).await;
    let rule = json!({ "entity": "@spam*:pli.test", "recommendation": "m.ban", "reason": "spam" });
    alice.put(&format!("{V3}/rooms/{bans}/state/m.policy.rule.user/r1"), rule).await.ok();
    let body =
        json!({ "username": "Spammer", "password": "x", "auth": { "type": "m.login.dummy" } });
    let path = format!("{V3}/register");
    server
        .request("POST".parse().unwrap(), &path, None, Some(&body))
        .await
        .refused(403, "M_FORBIDDEN");
    let bob = server.register("bob").await;
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let invite = json!({ "user_id": "@spam1:pli.test" });
    let path = format!("{V3}/rooms/{room}/invite");
    alice.post(&path, invite).await.refused(403, "M_FORBIDDEN");
    bob.post(&format!("{V3}/join/{room}"), json!({})).await.ok();
    alice.post(&format!("{V3}/rooms/{room}/leave"), json!({})).await.ok();
    let levels = bob.get(&format!("{V3}/rooms/{room}/state/m.room.power_levels/")).await.ok();
    assert_eq!(levels["users"][&bob.user_id], 100, "{levels}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_filtered_by_their_relations() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let root = alice.say(&room, "root").await;
    for (n, rel_type) in ["m.thread", "m.reference", "m.thread"].into_iter().enumerate() {
        let path = format!("{V3}/rooms/{room}/send/m.room.message/r{n}");
        let relation = json!({ "rel_type": rel_type, "event_id": root });
        let body = json!({ "msgtype": "m.text", "body": rel_type, "m.relates_to": relation });
        alice.put(&path, body).await.ok();
    }
    let found = async |filter: Value| {
        let filter = filter.to_string().replace('"', "%22").replace(['{', '}'], "");
        let filter = format!("%7B{filter}%7D");
        let path = format!("{V3}/rooms/{room}/messages?dir=b&limit=100&filter={filter}");
        let page = alice.get(&path).await.ok();
        let bodies = page["chunk"].as_array().unwrap().iter();
        let bodies = bodies.filter_map(|e| e["content"]["body"].as_str().map(str::to_owned));
        bodies.collect::<Vec<_>>()
    };
    for prefix in ["", "org.matrix.msc3874."] {
        let wanted = json!({ format!("{prefix}rel_types"): ["m.thread"] });
        assert_eq!(found(wanted).await, ["m.thread", "m.thread"]);
        let unwanted = json!({ format!("{prefix}not_rel_types"): ["m.thread"] });
        assert_eq!(found(unwanted).await, ["m.reference", "root"]);
    }
}
