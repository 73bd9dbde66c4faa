//! Which rooms are told, and when.

use super::*;
use crate::{
    Error,
    rooms::testing::{set_membership, state},
};

#[tokio::test]
async fn a_window_has_the_most_recently_active_rooms() {
    let server = Server::new();
    let (a, b, c) = (server.room().await, server.room().await, server.room().await);
    let mut client = Client::window(&server, "alice", 1, 1);
    let first = client.next().await;
    assert_eq!(ids(&first), sorted(&[&b, &c]));
    assert_eq!(first["lists"]["all"]["count"], 3);
    assert_eq!(told(&first, &b)["initial"], true);
    // What is far down comes up with its next event, whole.
    server.say(&a, "alice", "up").await;
    let next = client.next().await;
    assert_eq!(ids(&next), sorted(&[&a]));
    assert_eq!(told(&next, &a)["initial"], true);
    assert_eq!(told(&next, &a)["num_live"], 1);
    assert_eq!(bodies(told(&next, &a)), ["up"]);
    // A greater window brings what it had not, and nothing twice.
    client.body = window(9, 1, json!([]));
    assert_eq!(ids(&client.next().await), Vec::<String>::new());
    let stamp = |answer: &Value, room| told(answer, room)["bump_stamp"].as_u64().unwrap();
    assert!(stamp(&next, &a) > stamp(&first, &c) && stamp(&first, &c) > stamp(&first, &b));
}

#[tokio::test]
async fn a_room_that_changed_outside_of_the_window_is_told_once_it_is_resident() {
    let server = Server::new();
    let (a, b) = (server.room().await, server.room().await);
    let mut client = Client::window(&server, "alice", 9, 1);
    let _ = client.next().await;
    client.body = window(0, 1, json!([]));
    server.say(&a, "alice", "missed").await;
    server.say(&b, "alice", "seen").await;
    assert_eq!(ids(&client.next().await), sorted(&[&b]));
    assert_eq!(ids(&client.next().await), Vec::<String>::new());
    client.body = window(9, 1, json!([]));
    let answer = client.next().await;
    assert_eq!(bodies(told(&answer, &a)), ["missed"]);
    assert_eq!(told(&answer, &a).get("initial"), None);
}

#[tokio::test]
async fn a_lost_answer_is_given_again() {
    let server = Server::new();
    let room = server.room().await;
    let mut client = Client::window(&server, "alice", 9, 5);
    let first = client.lost().await;
    let again = client.next().await;
    assert_eq!(told(&first, &room)["timeline"], told(&again, &room)["timeline"]);
    server.say(&room, "alice", "one").await;
    let lost = client.lost().await;
    server.say(&room, "alice", "two").await;
    let answer = client.next().await;
    assert_eq!(bodies(told(&lost, &room)), ["one"]);
    assert_eq!(bodies(told(&answer, &room)), ["one", "two"]);
    assert_eq!(ids(&client.next().await), Vec::<String>::new());
}

#[tokio::test]
async fn unknown_tokens_and_too_much_are_refused() {
    let server = Server::new();
    let mut client = Client::window(&server, "alice", 9, 5);
    client.pos = Some("p1_1_2_3_4_5".to_owned());
    assert!(matches!(client.try_next().await, Err(Error::UnknownPos)));
    let list = json!({ "ranges": [[0, 1]], "timeline_limit": 1, "required_state": [] });
    let lists: serde_json::Map<_, _> = (0..101).map(|n| (n.to_string(), list.clone())).collect();
    let mut client = Client::new(&server, "alice", json!({ "lists": lists }));
    assert!(matches!(client.try_next().await, Err(Error::InvalidParam(_))));
    client.body = json!({ "lists": { "a": { "ranges": [[3, 1]] } } });
    assert!(matches!(client.try_next().await, Err(Error::InvalidParam(_))));
}

#[tokio::test]
async fn another_store_does_not_know_the_token_and_the_client_begins_anew() {
    let server = Server::new();
    let room = server.room().await;
    let pos = {
        let mut client = Client::window(&server, "alice", 9, 5);
        let _ = client.next().await;
        client.pos
    };
    let restarted = Server::on(server.rooms.store().clone());
    let mut client = Client::window(&restarted, "alice", 9, 5);
    client.pos = pos;
    assert!(matches!(client.try_next().await, Err(Error::UnknownPos)));
    client.pos = None;
    assert_eq!(ids(&client.next().await), sorted(&[&room]));
}

async fn listed(server: &Server, filters: Value) -> (u64, Vec<String>) {
    let body = json!({ "lists": { "all": {
        "ranges": [[0, 99]], "timeline_limit": 0, "required_state": [], "filters": filters,
    }}});
    let answer = Client::new(server, "alice", body).next().await;
    (answer["lists"]["all"]["count"].as_u64().unwrap(), ids(&answer))
}

#[tokio::test]
async fn filters_leave_rooms_out() {
    let server = Server::new();
    let (plain, named) = (server.room().await, server.room().await);
    let (secret, space) = (server.room().await, server.room().await);
    let set = async |room: &OwnedRoomId, event_type, key: &str, content: Value| {
        let draft = state("alice", event_type, key, &content);
        server.rooms.append(room, draft, None).await.unwrap();
    };
    set(&named, "m.room.name", "", json!({ "name": "The Cellar" })).await;
    let algorithm = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
    set(&secret, "m.room.encryption", "", algorithm).await;
    set(&space, "m.space.child", named.as_str(), json!({ "via": ["x"] })).await;
    set(&space, "m.space.child", plain.as_str(), json!({})).await;
    let data = server.sync.account_data();
    let alice = user("alice");
    let direct = crate::rooms::testing::raw(&json!({ "@bob:x": [secret] }));
    data.set(&alice, None, "m.direct", &direct).await.unwrap();
    data.set_tag(&alice, &plain, "m.favourite", &json!({})).await.unwrap();
    for (filters, expected) in [
        (json!({}), sorted(&[&plain, &named, &secret, &space])),
        (json!({ "is_dm": true }), sorted(&[&secret])),
        (json!({ "is_dm": false }), sorted(&[&plain, &named, &space])),
        (json!({ "is_encrypted": true }), sorted(&[&secret])),
        (json!({ "is_encrypted": false, "room_name_like": "cell" }), sorted(&[&named])),
        (json!({ "is_invite": true }), vec![]),
        (json!({ "room_types": [null] }), sorted(&[&plain, &named, &secret, &space])),
        (json!({ "room_types": ["m.space"] }), vec![]),
        (json!({ "not_room_types": [null] }), vec![]),
        (json!({ "tags": ["m.favourite", "u.x"] }), sorted(&[&plain])),
        (json!({ "not_tags": ["m.favourite"] }), sorted(&[&named, &secret, &space])),
        (json!({ "spaces": [space, "!unknown:x", "nonsense"] }), sorted(&[&named])),
    ] {
        let (count, rooms) = listed(&server, filters.clone()).await;
        assert_eq!(rooms, expected, "{filters}");
        assert_eq!(usize::try_from(count).unwrap(), expected.len());
    }
}

#[tokio::test]
async fn rooms_that_were_left_are_not_listed_unless_the_client_has_them_or_was_put_out() {
    let server = Server::new();
    let (left, kicked, banned) = (server.room().await, server.room().await, server.room().await);
    for room in [&left, &kicked] {
        server.join(room, "bob").await;
    }
    set_membership(&server.rooms, &left, ("bob", "bob"), "leave").await.unwrap();
    set_membership(&server.rooms, &kicked, ("alice", "bob"), "leave").await.unwrap();
    set_membership(&server.rooms, &banned, ("alice", "bob"), "ban").await.unwrap();
    server.say(&kicked, "alice", "behind the back").await;
    let mut client = Client::window(&server, "bob", 9, 5);
    let answer = client.next().await;
    assert_eq!(ids(&answer), sorted(&[&kicked]));
    let room = told(&answer, &kicked);
    assert_eq!(room["required_state"][0]["content"]["membership"], "leave");
    assert_eq!(bodies(room), Vec::<&str>::new());
    assert_eq!(ids(&client.next().await), Vec::<String>::new());
}

#[tokio::test]
async fn subscriptions_add_rooms_and_ask_for_more_of_them() {
    let server = Server::new();
    let (a, b) = (server.room().await, server.room().await);
    server.say(&a, "alice", "1").await;
    server.say(&a, "alice", "2").await;
    server.say(&b, "alice", "3").await;
    let mut body = window(0, 1, json!([]));
    let room = json!({ "timeline_limit": 2, "required_state": [["m.room.create", ""]] });
    let unknown = "!unknown:agents.example";
    body["room_subscriptions"] = json!({ a.as_str(): room, unknown: room });
    let mut client = Client::new(&server, "alice", body);
    let answer = client.next().await;
    assert_eq!(ids(&answer), sorted(&[&a, &b]));
    assert_eq!(bodies(told(&answer, &a)), ["1", "2"]);
    assert_eq!(state_of(told(&answer, &a)), [("m.room.create".into(), String::new())]);
    assert_eq!(told(&answer, &b).get("required_state"), None);
    // A stranger sees nothing of a room by naming it.
    let body = json!({ "room_subscriptions": { a.as_str(): room } });
    let answer = Client::new(&server, "mallory", body).next().await;
    assert_eq!(ids(&answer), Vec::<String>::new());
}
