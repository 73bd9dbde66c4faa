//! Leaving rooms and coming back, alone and together, with more than two servers.

use std::collections::BTreeMap;

use pli_tests::server::{TestServer, TestUser};
use serde_json::{Value, json};

use crate::{
    joins::{join_via, public_room, state_of, two},
    joins_invites::{membership, one},
};

/// Waits until what a user sees with their syncs fulfills a condition.
async fn until(user: &TestUser, what: &str, found: impl AsyncFn() -> bool) {
    let mut since = user.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    for _ in 0..100 {
        if found().await {
            return;
        }
        let path = format!("/_matrix/client/v3/sync?timeout=300&since={since}");
        since = user.get(&path).await.ok()["next_batch"].as_str().unwrap().to_owned();
    }
    panic!("{what} does not come");
}

/// Waits until all see the same state of a room, with these memberships in it.
async fn agree(users: &[&TestUser], room: &str, memberships: &[(&TestUser, &str)]) {
    let first = users[0];
    for user in users {
        until(user, "the same state", async || {
            let state = state_of(user, room).await;
            if state != state_of(first, room).await {
                return false;
            }
            for (member, expected) in memberships {
                let is_known = state.contains_key(&format!("m.room.member|{}", member.user_id));
                if !is_known || membership(user, room, member).await != *expected {
                    return false;
                }
            }
            true
        })
        .await;
    }
}

async fn act(user: &TestUser, room: &str, what: &str, body: Value) {
    user.post(&format!("/_matrix/client/v3/rooms/{room}/{what}"), body).await.ok();
}

async fn set_topic(user: &TestUser, room: &str, topic: &str) {
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.topic");
    user.put(&path, json!({ "topic": topic })).await.ok();
}

/// The room's section of a whole sync.
async fn section_of(user: &TestUser, room: &str) -> Option<String> {
    let synced = user.sync(None).await;
    let sections = ["join", "invite", "knock", "leave"];
    let found = sections.into_iter().find(|section| synced["rooms"][section][room].is_object());
    found.map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_was_left_is_taken_over_again() {
    let ((a, alice), (_b, bob)) = two().await;
    for version in ["1", "6", "12"] {
        let room = public_room(&alice, version).await;
        for (round, topic) in ["one", "two", "three"].into_iter().enumerate() {
            join_via(&bob, &room, &a).await;
            agree(&[&alice, &bob], &room, &[(&bob, "join")]).await;
            assert_eq!(section_of(&bob, &room).await.as_deref(), Some("join"));
            act(&bob, &room, "leave", json!({})).await;
            until(&alice, "the leave", async || membership(&alice, &room, &bob).await == "leave")
                .await;
            if round == 1 {
                act(&bob, &room, "forget", json!({})).await;
            }
            // What happens meanwhile is known once the user is back.
            set_topic(&alice, &room, topic).await;
            alice.say(&room, topic).await;
        }
        join_via(&bob, &room, &a).await;
        agree(&[&alice, &bob], &room, &[(&bob, "join")]).await;
        let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.topic");
        assert_eq!(bob.get(&path).await.ok()["topic"], "three", "version {version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_server_joins_through_the_second_and_the_first_learns_of_it() {
    let ((a, alice), (b, bob)) = two().await;
    let (_c, carol) = one().await;
    for version in ["2", "10", "12"] {
        let room = public_room(&alice, version).await;
        join_via(&bob, &room, &a).await;
        agree(&[&alice, &bob], &room, &[(&bob, "join")]).await;
        join_via(&carol, &room, &b).await;
        agree(&[&alice, &bob, &carol], &room, &[(&bob, "join"), (&carol, "join")]).await;
        act(&carol, &room, "leave", json!({})).await;
        agree(&[&alice, &bob], &room, &[(&carol, "leave")]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_one_server_who_join_at_the_same_time_are_all_in() {
    let ((a, alice), (b, bob)) = two().await;
    let room = public_room(&alice, "12").await;
    let names = ["b1", "b2", "b3", "b4"];
    let mut users = vec![bob];
    for name in names {
        users.push(b.register(name).await);
    }
    let path = format!("/_matrix/client/v3/join/{room}?via={}", a.server_name);
    let mut joins = tokio::task::JoinSet::new();
    for user in users.clone() {
        let path = path.clone();
        joins.spawn(async move { user.post(&path, json!({})).await });
    }
    for joined in joins.join_all().await {
        joined.ok();
    }
    let all: Vec<&TestUser> = users.iter().chain([&alice]).collect();
    let expected: Vec<(&TestUser, &str)> = users.iter().map(|user| (user, "join")).collect();
    until(&alice, "the last join", async || {
        let members = alice.get(&format!("/_matrix/client/v3/rooms/{room}/joined_members")).await;
        members.ok()["joined"].as_object().unwrap().len() == 6
    })
    .await;
    agree(&all, &room, &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_do_not_answer_are_passed_over() {
    let ((a, alice), (b, bob)) = two().await;
    let room = public_room(&alice, "12").await;
    // One that is not there, one that is not in the room, this one itself.
    let path = format!(
        "/_matrix/client/v3/join/{room}?via=127.0.0.1:1&via={}&via={}",
        b.server_name, a.server_name
    );
    bob.post(&path, json!({})).await.ok();
    agree(&[&alice, &bob], &room, &[(&bob, "join")]).await;
    let nowhere = format!("/_matrix/client/v3/join/{room}");
    let (c, carol) = one().await;
    carol.post(&nowhere, json!({})).await.refused(404, "M_NOT_FOUND");
    carol.post(&format!("{nowhere}?via=127.0.0.1:1"), json!({})).await.refused(502, "M_UNKNOWN");
    drop(c);
}

async fn private_room(user: &TestUser, rule: &str) -> String {
    let rules = json!([{ "type": "m.room.join_rules", "content": { "join_rule": rule } }]);
    user.create_room(json!({ "preset": "private_chat", "initial_state": rules })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_that_is_taken_back_and_a_knock_that_is_refused_are_gone() {
    let ((a, alice), (_b, bob)) = two().await;
    let invited = private_room(&alice, "invite").await;
    act(&alice, &invited, "invite", json!({ "user_id": bob.user_id })).await;
    assert_eq!(section_of(&bob, &invited).await.as_deref(), Some("invite"));
    let knocked = private_room(&alice, "knock").await;
    let path = format!("/_matrix/client/v3/knock/{knocked}?via={}", a.server_name);
    bob.post(&path, json!({})).await.ok();
    assert_eq!(section_of(&bob, &knocked).await.as_deref(), Some("knock"));
    for room in [&invited, &knocked] {
        act(&alice, room, "kick", json!({ "user_id": bob.user_id })).await;
        until(&bob, "the end", async || section_of(&bob, room).await.is_none()).await;
        let path = format!("/_matrix/client/v3/rooms/{room}/join");
        assert_ne!(bob.post(&path, json!({})).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_is_not_evaded_through_another_server() {
    let ((a, alice), (b, bob)) = two().await;
    let (c, carol) = one().await;
    let room = public_room(&alice, "11").await;
    join_via(&bob, &room, &a).await;
    join_via(&carol, &room, &a).await;
    act(&alice, &room, "ban", json!({ "user_id": bob.user_id })).await;
    until(&carol, "the ban", async || membership(&carol, &room, &bob).await == "ban").await;
    for server in [&a, &c] {
        let path = format!("/_matrix/client/v3/join/{room}?via={}", server.server_name);
        bob.post(&path, json!({})).await.refused(403, "M_FORBIDDEN");
    }
    let other = b.register("other").await;
    join_via(&other, &room, &c).await;
    agree(&[&alice, &carol, &other], &room, &[(&bob, "ban"), (&other, "join")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_of_which_the_last_user_went_is_still_joined_where_it_was() {
    let ((_a, alice), (_b, _)) = two().await;
    let room = public_room(&alice, "12").await;
    act(&alice, &room, "leave", json!({})).await;
    let path = format!("/_matrix/client/v3/join/{room}");
    alice.post(&path, json!({})).await.ok();
    assert_eq!(section_of(&alice, &room).await.as_deref(), Some("join"));
}

/// A server with the rules of the administration.
async fn with_rules() -> (TestServer, TestUser) {
    let server = TestServer::start_federating_with(|config| {
        config.rooms.tchap_rules = true;
        let list = format!("#bans:{}", config.server.server_name);
        config.rooms.policy_rooms = vec![list];
    })
    .await;
    let user = server.register("agent").await;
    (server, user)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_of_the_administration_hold_for_users_of_other_servers() {
    let (server, agent) = with_rules().await;
    let (_b, bob) = one().await;
    let (_c, carol) = one().await;
    let direct = agent
        .create_room(json!({
            "preset": "trusted_private_chat", "is_direct": true, "invite": [bob.user_id],
        }))
        .await;
    act(&bob, &direct, "join", json!({})).await;
    let path = format!("/_matrix/client/v3/rooms/{direct}/invite");
    agent.post(&path, json!({ "user_id": carol.user_id })).await.refused(403, "M_FORBIDDEN");
    // Whom a policy list bans does not come in, and invites nobody.
    let list = agent.create_room(json!({ "room_alias_name": "bans" })).await;
    let path = format!("/_matrix/client/v3/rooms/{list}/state/m.policy.rule.user/one");
    let rule = json!({ "entity": carol.user_id, "recommendation": "m.ban", "reason": "spam" });
    agent.put(&path, rule).await.ok();
    let forum = json!({ "preset": "public_chat", "visibility": "public" });
    let forum = agent.create_room(forum).await;
    let path = format!("/_matrix/client/v3/join/{forum}?via={}", server.server_name);
    carol.post(&path, json!({})).await.refused(403, "M_FORBIDDEN");
    bob.post(&path, json!({})).await.ok();
    let room = carol.create_room(json!({})).await;
    let path = format!("/_matrix/client/v3/rooms/{room}/invite");
    carol.post(&path, json!({ "user_id": agent.user_id })).await.refused(403, "M_FORBIDDEN");
    let synced = agent.sync(None).await;
    assert!(synced["rooms"]["invite"].is_null());
    let members: BTreeMap<String, String> = state_of(&agent, &forum).await;
    assert!(!members.contains_key(&format!("m.room.member|{}", carol.user_id)));
}
