//! What ends and what wakes; tokens; long chains of syncs.

use super::*;

#[tokio::test]
async fn nothing_is_told_after_a_kick_even_to_a_long_poll() {
    let server = Server::new();
    let room = server.room().await;
    server.join(&room, "bob").await;
    let first = server.initial("bob").await;
    let poll = SyncRequest { timeout: Duration::from_secs(30), ..since("bob", &first) };
    let sync = server.sync.clone();
    let waiting = tokio::spawn(async move { sync.sync(&poll).await.unwrap() });
    tokio::task::yield_now().await;
    set_membership(&server.rooms, &room, ("alice", "bob"), "leave").await.unwrap();
    server.say(&room, "alice", "after the kick").await;
    let answer: Value = serde_json::from_str(&waiting.await.unwrap()).unwrap();
    let left = &answer["rooms"]["leave"][room.as_str()];
    assert_eq!(types(&left["timeline"]), ["m.room.member"], "{answer}");
    assert!(!answer.to_string().contains("after the kick"));
    let next = server.next("bob", &answer).await;
    assert_eq!(next.get("rooms"), None);
    let all =
        server.sync(with_filter(request("bob"), json!({"room": {"include_leave": true}}))).await;
    assert!(!all.to_string().contains("after the kick"));
    let left = &all["rooms"]["leave"][room.as_str()];
    assert_eq!(types(&left["timeline"]).last().unwrap(), "m.room.member");
    assert_eq!(server.initial("bob").await.get("rooms"), None);
}

#[tokio::test]
async fn invites_come_with_stripped_state_and_refusals_end_them() {
    let server = Server::new();
    let room = server.room().await;
    let first = server.initial("bob").await;
    set_membership(&server.rooms, &room, ("alice", "bob"), "invite").await.unwrap();
    server.say(&room, "alice", "not for the invited").await;
    let answer = server.next("bob", &first).await;
    let invited = &answer["rooms"]["invite"][room.as_str()]["invite_state"];
    assert!(types(invited).contains(&"m.room.create".to_owned()));
    assert_eq!(members(invited), [user("alice").to_string(), user("bob").to_string()]);
    assert!(!answer.to_string().contains("not for the invited"));
    set_membership(&server.rooms, &room, ("bob", "bob"), "leave").await.unwrap();
    let answer = server.next("bob", &answer).await;
    let left = &answer["rooms"]["leave"][room.as_str()];
    assert_eq!(types(&left["timeline"]), ["m.room.member"]);
    assert!(!answer.to_string().contains("not for the invited"));
    assert_eq!(left["state"], json!({ "events": [] }));
}

#[tokio::test]
async fn a_message_wakes_those_who_wait() {
    let server = Server::new();
    let room = server.room().await;
    let first = server.initial("alice").await;
    let poll = SyncRequest { timeout: Duration::from_secs(30), ..since("alice", &first) };
    let sync = server.sync.clone();
    let waiting = tokio::spawn(async move { sync.sync(&poll).await.unwrap() });
    tokio::task::yield_now().await;
    server.say(&room, "alice", "wake up").await;
    let answer = tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap();
    assert!(answer.contains("wake up"));
}

#[tokio::test]
async fn a_poll_without_news_ends_in_time_and_is_small() {
    let server = Server::new();
    let room = server.room().await;
    let first = server.initial("alice").await;
    let poll = SyncRequest { timeout: Duration::from_millis(150), ..since("alice", &first) };
    let begin = tokio::time::Instant::now();
    let answer = server.sync.sync(&poll).await.unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(150));
    assert!(answer.len() < 200, "{answer}");
    assert!(!answer.contains(room.as_str()));
}

#[tokio::test]
async fn tokens_outlive_a_restart_and_a_lost_future_begins_anew() {
    let store = Store::in_memory();
    let server = Server::on(store.clone());
    let room = server.room().await;
    let first = server.initial("alice").await;
    server.say(&room, "alice", "before the restart").await;
    drop(server);
    let server = Server::on(store);
    let answer = server.next("alice", &first).await;
    assert_eq!(bodies(join(&answer, &room)), ["before the restart"]);
    server.say(&room, "alice", "after it").await;
    let answer = server.next("alice", &answer).await;
    assert_eq!(bodies(join(&answer, &room)), ["after it"]);
    let future = SyncRequest { since: Some("s1_99999_99999_0".into()), ..request("alice") };
    let answer = server.sync(future).await;
    assert!(bodies(join(&answer, &room)).len() == 2);
    for wrong in ["x", "s1_", "s1_1_2", "t1_1_1"] {
        let request = SyncRequest { since: Some(wrong.into()), ..request("alice") };
        let result = server.sync.sync(&request).await;
        assert!(matches!(result, Err(crate::Error::InvalidParam(_))), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_chain_of_syncs_tells_each_event_once_and_in_order() {
    let server = std::sync::Arc::new(Server::new());
    let room = server.room().await;
    for who in ["bob", "carol"] {
        server.join(&room, who).await;
    }
    let mut last = server.initial("alice").await;
    let mut writers = Vec::new();
    for who in ["alice", "bob", "carol"] {
        let (server, room) = (server.clone(), room.clone());
        writers.push(tokio::spawn(async move {
            let mut sent = Vec::new();
            for n in 0..40 {
                sent.push(server.say(&room, who, &format!("{who}{n}")).await);
            }
            sent
        }));
    }
    let mut seen: Vec<String> = Vec::new();
    let filter = json!({"room": {"timeline": {"limit": 500}}});
    while seen.len() < 120 {
        let poll = SyncRequest { timeout: Duration::from_secs(20), ..since("alice", &last) };
        last = server.sync(with_filter(poll, filter.clone())).await;
        let joined = join(&last, &room);
        assert!(joined.is_object(), "{last}");
        assert_eq!(joined["timeline"]["limited"], false);
        let events = joined["timeline"]["events"].as_array().into_iter().flatten();
        seen.extend(events.map(|e| e["event_id"].as_str().unwrap().to_owned()));
    }
    for writer in writers {
        let sent = writer.await.unwrap();
        let mine: Vec<_> = seen.iter().filter(|id| sent.contains(id)).cloned().collect();
        assert_eq!(mine, sent);
    }
    assert_eq!(seen.len(), 120);
    let timeline = crate::rooms::testing::timeline(&server.rooms, &room).await;
    let all: Vec<_> =
        timeline.iter().map(ToString::to_string).filter(|id| seen.contains(id)).collect();
    assert_eq!(seen, all);
}
