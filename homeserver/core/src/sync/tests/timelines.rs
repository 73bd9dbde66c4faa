//! Timelines and the state beside them.

use super::*;

#[tokio::test]
async fn an_initial_sync_has_the_newest_events_and_the_state_before_them() {
    let server = Server::new();
    let room = server.room().await;
    for n in 0..12 {
        server.say(&room, "alice", &format!("m{n}")).await;
    }
    let answer = server.initial("alice").await;
    let joined = join(&answer, &room);
    assert_eq!(bodies(joined).len(), 10);
    assert_eq!(bodies(joined).last().unwrap(), "m11");
    assert_eq!(joined["timeline"]["limited"], true);
    assert!(types(&joined["state"]).contains(&"m.room.create".to_owned()));
    assert_eq!(joined["summary"]["m.joined_member_count"], 1);
    let next = server.next("alice", &answer).await;
    assert_eq!(next.get("rooms"), None, "{next}");
}

#[tokio::test]
async fn a_gap_has_the_state_that_changed_in_it() {
    let server = Server::new();
    let room = server.room().await;
    let first = server.initial("alice").await;
    let topic = json!({ "topic": "secret" });
    server.rooms.append(&room, state("alice", "m.room.topic", "", &topic), None).await.unwrap();
    for n in 0..30 {
        server.say(&room, "alice", &format!("m{n}")).await;
    }
    let answer = server.next("alice", &first).await;
    let joined = join(&answer, &room);
    assert_eq!(joined["timeline"]["limited"], true);
    assert_eq!(types(&joined["state"]), ["m.room.topic"]);
    let prev = joined["timeline"]["prev_batch"].as_str().unwrap();
    let query = crate::history::MessagesQuery {
        from: Some(crate::token::Boundary::parse(prev).unwrap()),
        to: None,
        direction: crate::history::Direction::Backward,
        limit: 20,
        filter: Default::default(),
    };
    let history = History::new(server.rooms.clone());
    let alice = user("alice");
    let reader = history.open(&room, &alice).await.unwrap();
    let viewer = crate::history::Viewer { user_id: &alice, device_id: None };
    let page = history.messages(&reader, viewer, &query).await.unwrap();
    let first: Value = serde_json::from_str(page.chunk[0].get()).unwrap();
    assert_eq!(first["content"]["body"], "m19");
    assert_eq!(page.chunk.len(), 20);
}

#[tokio::test]
async fn state_after_is_the_state_at_the_end_and_present_when_empty() {
    let server = Server::new();
    let room = server.room().await;
    let first = server.initial("alice").await;
    let topic = json!({ "topic": "t" });
    server.rooms.append(&room, state("alice", "m.room.topic", "", &topic), None).await.unwrap();
    let request = SyncRequest { state_after: StateAfter::Unstable, ..since("alice", &first) };
    let answer = server.sync(request).await;
    let joined = join(&answer, &room);
    assert_eq!(types(&joined["org.matrix.msc4222.state_after"]), ["m.room.topic"]);
    assert_eq!(joined.get("state"), None);
    server.say(&room, "alice", "x").await;
    let request = SyncRequest { state_after: StateAfter::Stable, ..since("alice", &answer) };
    let answer = server.sync(request).await;
    assert_eq!(join(&answer, &room)["state_after"], json!({"events": []}));
}

#[tokio::test]
async fn lazy_loading_sends_each_member_once() {
    let server = Server::new();
    let room = server.room().await;
    for who in ["bob", "carol", "dave"] {
        server.join(&room, who).await;
    }
    for n in 0..10 {
        server.say(&room, "bob", &format!("m{n}")).await;
    }
    let lazy = json!({"room": {"state": {"lazy_load_members": true}}});
    let first = server.sync(with_filter(request("alice"), lazy.clone())).await;
    let mut seen = members(&join(&first, &room)["state"]);
    seen.retain(|who| who != user("alice").as_str() && who != user("bob").as_str());
    // The room has no name: its heroes are there, too.
    assert_eq!(seen, [user("carol").to_string(), user("dave").to_string()]);
    server.say(&room, "bob", "again").await;
    let next = server.sync(with_filter(since("alice", &first), lazy.clone())).await;
    assert_eq!(members(&join(&next, &room)["state"]), Vec::<String>::new());
    // The answer to this one gets lost: the same token again must tell the same.
    server.say(&room, "dave", "hello").await;
    let lost = server.sync(with_filter(since("alice", &first), lazy.clone())).await;
    let again = server.sync(with_filter(since("alice", &first), lazy)).await;
    assert_eq!(members(&join(&lost, &room)["state"]), members(&join(&again, &room)["state"]));
}

#[tokio::test]
async fn whoever_comes_back_gets_the_room_anew() {
    let server = Server::new();
    let room = server.room().await;
    server.join(&room, "bob").await;
    let first = server.initial("bob").await;
    set_membership(&server.rooms, &room, ("bob", "bob"), "leave").await.unwrap();
    server.say(&room, "alice", "while away").await;
    server.join(&room, "bob").await;
    let answer = server.next("bob", &first).await;
    let joined = join(&answer, &room);
    assert_eq!(joined["timeline"]["limited"], true);
    assert!(bodies(joined).contains(&"while away".to_owned()));
    let all = [types(&joined["state"]), types(&joined["timeline"])].concat();
    assert!(all.contains(&"m.room.create".to_owned()));
}

#[tokio::test]
async fn a_change_of_the_profile_is_no_new_join() {
    let server = Server::new();
    let room = server.room().await;
    server.join(&room, "bob").await;
    let first = server.initial("bob").await;
    let profile = json!({ "membership": "join", "displayname": "Bob" });
    let draft = state("bob", "m.room.member", user("bob").as_str(), &profile);
    server.rooms.append(&room, draft, None).await.unwrap();
    let answer = server.next("bob", &first).await;
    let joined = join(&answer, &room);
    assert_eq!(types(&joined["timeline"]), ["m.room.member"]);
    assert_eq!(joined["timeline"]["limited"], false);
    assert_eq!(joined.get("state"), None);
    let event = &joined["timeline"]["events"][0];
    assert_eq!(event["unsigned"]["prev_content"]["membership"], "join");
    assert_eq!(event["unsigned"]["membership"], "join");
}
