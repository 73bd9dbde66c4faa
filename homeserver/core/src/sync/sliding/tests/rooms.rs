//! What is told of a room.

use super::*;
use crate::{
    receipts::Markers,
    rooms::testing::{set_membership, state},
};

#[tokio::test]
async fn a_greater_limit_brings_older_events_at_once() {
    let server = Server::new();
    let room = server.room().await;
    for n in 0..5 {
        server.say(&room, "alice", &format!("m{n}")).await;
    }
    let mut client = Client::window(&server, "alice", 9, 1);
    let first = client.next().await;
    assert_eq!(bodies(told(&first, &room)), ["m4"]);
    assert_eq!(told(&first, &room)["limited"], true);
    assert_eq!(told(&first, &room)["num_live"], 0);
    client.body = window(9, 3, json!([]));
    let more = client.next().await;
    let more = told(&more, &room);
    assert_eq!(bodies(more), ["m2", "m3", "m4"]);
    assert_eq!(more["unstable_expanded_timeline"], true);
    assert_eq!((more.get("initial"), &more["num_live"]), (None, &json!(0)));
    assert_eq!(ids(&client.next().await), Vec::<String>::new());
    // A smaller limit and then the same again: the client has those events.
    client.body = window(9, 1, json!([]));
    server.say(&room, "alice", "m5").await;
    assert_eq!(bodies(told(&client.next().await, &room)), ["m5"]);
    client.body = window(9, 3, json!([]));
    assert_eq!(ids(&client.next().await), Vec::<String>::new());
    let prev = more["prev_batch"].as_str().unwrap();
    assert!(crate::token::Boundary::parse(prev).is_ok());
    assert!(crate::token::Boundary::parse(client.pos.as_deref().unwrap()).is_ok());
}

#[tokio::test]
async fn a_gap_is_limited_and_has_the_state_that_changed() {
    let server = Server::new();
    let room = server.room().await;
    let required = json!([["m.room.topic", ""], ["m.room.name", ""]]);
    let mut client = Client::new(&server, "alice", window(9, 2, required));
    let _ = client.next().await;
    let name = state("alice", "m.room.name", "", &json!({ "name": "Cellar" }));
    server.rooms.append(&room, name, None).await.unwrap();
    for n in 0..4 {
        server.say(&room, "alice", &format!("m{n}")).await;
    }
    let answer = client.next().await;
    let answer = told(&answer, &room);
    assert_eq!(bodies(answer), ["m2", "m3"]);
    assert_eq!((&answer["limited"], &answer["num_live"]), (&json!(true), &json!(2)));
    assert_eq!(state_of(answer), [("m.room.name".into(), String::new())]);
    assert_eq!(answer["name"], "Cellar");
    assert_eq!(answer.get("heroes"), None);
    let name = state("alice", "m.room.name", "", &json!({}));
    server.rooms.append(&room, name, None).await.unwrap();
    let answer = client.next().await;
    assert_eq!(told(&answer, &room).get("name"), Some(&Value::Null));
    assert_eq!(told(&answer, &room)["heroes"], json!([]));
}

#[tokio::test]
async fn more_required_state_comes_at_once() {
    let server = Server::new();
    let room = server.room().await;
    let mut client = Client::new(&server, "alice", window(9, 1, json!([["m.room.create", ""]])));
    let _ = client.next().await;
    let both = json!([["m.room.create", ""], ["m.room.power_levels", ""]]);
    client.body = window(9, 1, both);
    let answer = client.next().await;
    assert_eq!(state_of(told(&answer, &room)), [("m.room.power_levels".into(), String::new())]);
    assert_eq!(ids(&client.next().await), Vec::<String>::new());
}

#[tokio::test]
async fn lazy_members_come_with_what_they_send_and_once() {
    let server = Server::new();
    let room = server.room().await;
    for who in ["bob", "carol"] {
        server.join(&room, who).await;
    }
    server.say(&room, "bob", "hello").await;
    let lazy = json!([["m.room.member", "$LAZY"], ["m.room.member", "$ME"]]);
    let mut client = Client::new(&server, "alice", window(9, 1, lazy));
    let members = |answer: &Value| -> Vec<String> {
        state_of(told(answer, &room)).into_iter().map(|(_, key)| key).collect()
    };
    let first = client.next().await;
    assert_eq!(members(&first), [user("alice").to_string(), user("bob").to_string()]);
    assert_eq!(told(&first, &room)["joined_count"], 3);
    let heroes = told(&first, &room)["heroes"].as_array().unwrap().clone();
    assert_eq!(heroes.len(), 2);
    server.say(&room, "bob", "again").await;
    assert_eq!(members(&client.next().await), Vec::<String>::new());
    server.say(&room, "carol", "me too").await;
    let lost = client.lost().await;
    assert_eq!(members(&lost), [user("carol").to_string()]);
    assert_eq!(members(&client.next().await), members(&lost));
    server.join(&room, "dave").await;
    let answer = client.next().await;
    assert_eq!(members(&answer), [user("dave").to_string()]);
    assert_eq!(told(&answer, &room)["joined_count"], 4);
}

#[tokio::test]
async fn an_invite_has_stripped_state_and_becomes_a_whole_room() {
    let server = Server::new();
    let room = server.room().await;
    set_membership(&server.rooms, &room, ("alice", "bob"), "invite").await.unwrap();
    let mut client = Client::window(&server, "bob", 9, 5);
    let answer = client.next().await;
    let invite = told(&answer, &room);
    let own = invite["invite_state"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&own["state_key"], own.get("event_id")), (&json!(user("bob")), None));
    assert_eq!((invite.get("timeline"), invite.get("required_state")), (None, None));
    // What happens inside is not for the invited.
    server.say(&room, "alice", "inside").await;
    assert_eq!(ids(&client.next().await), Vec::<String>::new());
    server.join(&room, "bob").await;
    let answer = client.next().await;
    assert_eq!(told(&answer, &room)["initial"], true);
    assert_eq!(told(&answer, &room).get("invite_state"), None);
    assert!(!told(&answer, &room)["timeline"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn an_invite_of_someone_ignored_is_not_told() {
    let server = Server::new();
    let room = server.room().await;
    set_membership(&server.rooms, &room, ("alice", "bob"), "invite").await.unwrap();
    let ignored = json!({ "ignored_users": { user("alice").as_str(): {} } });
    let ignored = crate::rooms::testing::raw(&ignored);
    let data = server.sync.account_data();
    data.set(&user("bob"), None, "m.ignored_user_list", &ignored).await.unwrap();
    let answer = Client::window(&server, "bob", 9, 5).next().await;
    assert_eq!((ids(&answer), &answer["lists"]["all"]["count"]), (vec![], &json!(0)));
}

#[tokio::test]
async fn a_refused_invite_and_a_left_room_are_told_once() {
    let server = Server::new();
    let (invited, left) = (server.room().await, server.room().await);
    set_membership(&server.rooms, &invited, ("alice", "bob"), "invite").await.unwrap();
    server.join(&left, "bob").await;
    let mut client = Client::window(&server, "bob", 9, 5);
    let _ = client.next().await;
    server.say(&left, "alice", "last words").await;
    for room in [&invited, &left] {
        set_membership(&server.rooms, room, ("bob", "bob"), "leave").await.unwrap();
        server.say(room, "alice", "not for bob").await;
    }
    let answer = client.next().await;
    for room in [&invited, &left] {
        let own = &told(&answer, room)["required_state"][0];
        assert_eq!(own["content"]["membership"], "leave");
        assert_eq!(own["state_key"], json!(user("bob")));
    }
    assert_eq!(bodies(told(&answer, &left)), ["last words"]);
    assert_eq!(bodies(told(&answer, &invited)), Vec::<&str>::new());
    server.say(&left, "alice", "nor this").await;
    assert_eq!(ids(&client.next().await), Vec::<String>::new());
    // Back again: the whole room.
    server.join(&left, "bob").await;
    assert_eq!(told(&client.next().await, &left)["initial"], true);
}

#[tokio::test]
async fn counts_of_notifications_follow_messages_and_receipts() {
    let server = Server::new();
    let room = server.room().await;
    server.join(&room, "bob").await;
    let mut client = Client::window(&server, "bob", 9, 5);
    assert_eq!(told(&client.next().await, &room)["notification_count"], 0);
    let event = server.say(&room, "alice", "hello").await;
    assert_eq!(told(&client.next().await, &room)["notification_count"], 1);
    for (n, private) in [false, true].into_iter().enumerate() {
        let event = match n {
            0 => event.clone(),
            _ => server.say(&room, "alice", "more").await,
        };
        if n == 1 {
            assert_eq!(told(&client.next().await, &room)["notification_count"], 1);
        }
        let event = Some(event.as_str().try_into().unwrap());
        let markers = match private {
            false => Markers { read: event, ..Markers::default() },
            true => Markers { read_private: event, ..Markers::default() },
        };
        server.sync.receipts().set(&room, &user("bob"), &markers).await.unwrap();
        let answer = client.next().await;
        assert_eq!(told(&answer, &room)["notification_count"], 0, "{answer}");
        assert_eq!(told(&answer, &room).get("timeline"), None);
    }
}

#[tokio::test]
async fn a_room_that_becomes_direct_is_told_to_be() {
    let server = Server::new();
    let room = server.room().await;
    let mut client = Client::window(&server, "alice", 9, 1);
    assert_eq!(told(&client.next().await, &room).get("is_dm"), None);
    for (direct, expected) in [(json!({ "@b:x": [room] }), true), (json!({}), false)] {
        let direct = crate::rooms::testing::raw(&direct);
        let data = server.sync.account_data();
        data.set(&user("alice"), None, "m.direct", &direct).await.unwrap();
        assert_eq!(told(&client.next().await, &room)["is_dm"], expected);
    }
    assert_eq!(ids(&client.next().await), Vec::<String>::new());
}
