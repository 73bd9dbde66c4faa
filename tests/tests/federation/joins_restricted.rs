//! Restricted joins and knocks across servers.

use pli_tests::server::{Reply, TestServer, TestUser};
use serde_json::{Value, json};

use crate::{
    joins::{join_via, public_room, state_of, two},
    joins_invites::{membership, one},
};

async fn restricted(user: &TestUser, rule: &str, allowed: &str, version: &str) -> String {
    let allow = json!([{ "type": "m.room_membership", "room_id": allowed }]);
    user.create_room(json!({
        "room_version": version,
        "initial_state": [{
            "type": "m.room.join_rules",
            "content": { "join_rule": rule, "allow": allow },
        }],
    }))
    .await
}

async fn try_join(user: &TestUser, room: &str, servers: &[&TestServer]) -> Reply {
    let via: Vec<String> = servers.iter().map(|s| format!("via={}", s.server_name)).collect();
    user.post(&format!("/_matrix/client/v3/join/{room}?{}", via.join("&")), json!({})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_the_allowed_room_come_in_and_others_do_not() {
    let ((a, alice), (_b, bob)) = two().await;
    for (version, rule) in
        [("8", "restricted"), ("9", "restricted"), ("10", "knock_restricted"), ("12", "restricted")]
    {
        let allowed = public_room(&alice, version).await;
        let room = restricted(&alice, rule, &allowed, version).await;
        try_join(&bob, &room, &[&a]).await.refused(403, "M_FORBIDDEN");
        join_via(&bob, &allowed, &a).await;
        join_via(&bob, &room, &a).await;
        let state = state_of(&alice, &room).await;
        assert_eq!(state, state_of(&bob, &room).await, "{version}");
        let path = format!(
            "/_matrix/client/v3/rooms/{room}/state/m.room.member/{}?format=event",
            bob.user_id
        );
        let join = bob.get(&path).await.ok();
        assert_eq!(
            join["content"]["join_authorised_via_users_server"],
            alice.user_id.as_str(),
            "{version}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_tell_or_vouch_is_passed_over_for_one_that_can() {
    let ((a, alice), (b, bob)) = two().await;
    let (c, carol) = one().await;
    let allowed = public_room(&alice, "11").await;
    let room = restricted(&alice, "restricted", &allowed, "11").await;
    // Bob's server is in both rooms but nobody of it may let others in.
    join_via(&bob, &allowed, &a).await;
    join_via(&bob, &room, &a).await;
    let levels = format!("/_matrix/client/v3/rooms/{room}/state/m.room.power_levels");
    let mut content = alice.get(&levels).await.ok();
    assert_eq!(content["invite"], 0);
    join_via(&carol, &allowed, &a).await;
    content["invite"] = json!(50);
    alice.put(&levels, content).await.ok();
    let joined = try_join(&carol, &room, &[&b, &a]).await.ok();
    assert_eq!(joined["room_id"], room.as_str());
    assert_eq!(membership(&alice, &room, &carol).await, "join");
    drop(c);
}

fn shown(synced: &Value, section: &str, room: &str) -> bool {
    synced["rooms"][section][room].is_object()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_knock_is_seen_and_answered_with_an_invite() {
    let ((a, alice), (_b, bob)) = two().await;
    for version in ["7", "10", "12"] {
        let room = alice
            .create_room(json!({
                "room_version": version, "name": "Porte",
                "initial_state": [{
                    "type": "m.room.join_rules", "content": { "join_rule": "knock" },
                }],
            }))
            .await;
        let knock = format!("/_matrix/client/v3/knock/{room}?via={}", a.server_name);
        let answer = bob.post(&knock, json!({ "reason": "Please" })).await.ok();
        assert_eq!(answer["room_id"], room.as_str());
        assert_eq!(membership(&alice, &room, &bob).await, "knock", "{version}");
        let synced = bob.sync(None).await;
        let told = synced["rooms"]["knock"][&room]["knock_state"]["events"].as_array().unwrap();
        assert!(told.iter().any(|event| event["content"]["name"] == "Porte"), "{synced}");
        // Taken back, and once more.
        bob.post(&format!("/_matrix/client/v3/rooms/{room}/leave"), json!({})).await.ok();
        assert_eq!(membership(&alice, &room, &bob).await, "leave");
        assert!(!shown(&bob.sync(None).await, "knock", &room));
        bob.post(&knock, json!({})).await.ok();
        let invite = format!("/_matrix/client/v3/rooms/{room}/invite");
        alice.post(&invite, json!({ "user_id": bob.user_id })).await.ok();
        let synced = bob.sync(None).await;
        assert!(shown(&synced, "invite", &room) && !shown(&synced, "knock", &room));
        bob.post(&format!("/_matrix/client/v3/rooms/{room}/join"), json!({})).await.ok();
        assert_eq!(state_of(&alice, &room).await, state_of(&bob, &room).await, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_knocks_where_that_is_not_possible() {
    let ((a, alice), (_b, bob)) = two().await;
    let room = alice.create_room(json!({ "preset": "private_chat" })).await;
    let path = format!("/_matrix/client/v3/knock/{room}?via={}", a.server_name);
    bob.post(&path, json!({})).await.refused(403, "M_FORBIDDEN");
    try_join(&bob, &room, &[&a]).await.refused(403, "M_FORBIDDEN");
    assert!(bob.sync(None).await["rooms"]["knock"].is_null());
}
