//! What comes beside the timelines: receipts, typing, account data, filters, counts.

use super::*;

#[tokio::test]
async fn receipts_typing_and_account_data_arrive_where_they_may() {
    let server = Server::new();
    let room = server.room().await;
    server.join(&room, "bob").await;
    let (alice, bob) = (server.initial("alice").await, server.initial("bob").await);
    let event = server.say(&room, "alice", "read me").await;
    let event_id: ruma::OwnedEventId = event.as_str().try_into().unwrap();
    let receipts = server.sync.receipts();
    let public = Markers { read: Some(event_id.clone()), ..Markers::default() };
    receipts.set(&room, &user("bob"), &public).await.unwrap();
    let private = Markers {
        read_private: Some(event_id.clone()),
        fully_read: Some(event_id),
        ..Markers::default()
    };
    receipts.set(&room, &user("bob"), &private).await.unwrap();
    server.sync.typing().set(&room, &user("bob"), Some(Duration::from_secs(30))).await.unwrap();
    let alice = server.next("alice", &alice).await;
    let ephemeral = join(&alice, &room)["ephemeral"].to_string();
    assert!(ephemeral.contains("m.read") && !ephemeral.contains("m.read.private"), "{ephemeral}");
    assert!(ephemeral.contains("m.typing"));
    assert!(!alice.to_string().contains("m.fully_read"));
    let bob = server.next("bob", &bob).await;
    let ephemeral = join(&bob, &room)["ephemeral"].to_string();
    assert!(ephemeral.contains("m.read.private") && ephemeral.contains("m.typing"));
    assert!(join(&bob, &room)["account_data"].to_string().contains("m.fully_read"));
    // Nothing twice.
    let next = server.next("alice", &alice).await;
    assert_eq!(next.get("rooms"), None, "{next}");
    server.sync.typing().set(&room, &user("bob"), None).await.unwrap();
    let next = server.next("alice", &next).await;
    let typing = &join(&next, &room)["ephemeral"]["events"][0];
    assert_eq!(typing["content"]["user_ids"], json!([]));
    let tags = server.sync.account_data();
    tags.set_tag(&user("bob"), &room, "u.x", &json!({})).await.unwrap();
    tags.set(&user("bob"), None, "org.x", &raw(&json!({"a": 1}))).await.unwrap();
    let bob = server.next("bob", &bob).await;
    assert_eq!(types(&join(&bob, &room)["account_data"]), ["m.tag"]);
    assert_eq!(types(&bob["account_data"]), ["org.x"]);
}

#[tokio::test]
async fn ignored_users_are_not_heard() {
    let server = Server::new();
    let room = server.room().await;
    server.join(&room, "bob").await;
    let list = json!({"ignored_users": {user("bob"): {}}});
    let data = server.sync.account_data();
    data.set(&user("alice"), None, "m.ignored_user_list", &raw(&list)).await.unwrap();
    let first = server.initial("alice").await;
    server.say(&room, "bob", "spam").await;
    let topic = json!({ "topic": "from bob" });
    let refused = server.rooms.append(&room, state("bob", "m.room.topic", "", &topic), None).await;
    assert!(refused.is_err());
    let answer = server.next("alice", &first).await;
    assert!(!answer.to_string().contains("spam"));
    let leave = set_membership(&server.rooms, &room, ("bob", "bob"), "leave").await;
    leave.unwrap();
    let answer = server.next("alice", &answer).await;
    assert_eq!(types(&join(&answer, &room)["timeline"]), ["m.room.member"]);
}

#[tokio::test]
async fn filters_leave_out_what_they_name() {
    let server = Server::new();
    let (room, other) = (server.room().await, server.room().await);
    server.say(&room, "alice", "a message").await;
    let filter = json!({
        "room": {
            "not_rooms": [other],
            "timeline": {"types": ["m.room.message"], "limit": 5},
            "state": {"types": ["m.room.create"]},
        },
        "account_data": {"not_types": ["*"]},
    });
    let answer = server.sync(with_filter(request("alice"), filter)).await;
    assert_eq!(answer["rooms"]["join"].as_object().unwrap().len(), 1);
    let joined = join(&answer, &room);
    assert_eq!(types(&joined["timeline"]), ["m.room.message"]);
    assert_eq!(types(&joined["state"]), ["m.room.create"]);
}

#[tokio::test]
async fn unread_counts_and_push_rules_are_told() {
    let server = Server::new();
    let room = server.room().await;
    server.join(&room, "bob").await;
    let first = server.initial("bob").await;
    assert!(types(&first["account_data"]).contains(&"m.push_rules".to_owned()));
    assert_eq!(join(&first, &room)["unread_notifications"]["notification_count"], 0);
    let root = server.say(&room, "alice", "hello").await;
    let next = server.next("bob", &first).await;
    assert_eq!(types(&next["account_data"]), Vec::<String>::new());
    let counts = json!({ "highlight_count": 0, "notification_count": 1 });
    assert_eq!(join(&next, &room)["unread_notifications"], counts);
    let thread = json!({
        "msgtype": "m.text", "body": "t",
        "m.relates_to": { "rel_type": "m.thread", "event_id": root },
    });
    let kind = ruma::events::TimelineEventType::RoomMessage;
    let draft = crate::rooms::Draft::message(user("alice"), kind, raw(&thread)).unwrap();
    server.rooms.append(&room, draft, None).await.unwrap();
    let apart = json!({ "room": { "timeline": { "unread_thread_notifications": true } } });
    let seen = server.sync(with_filter(since("bob", &next), apart)).await;
    assert_eq!(join(&seen, &room)["unread_notifications"], counts);
    assert_eq!(join(&seen, &room)["unread_thread_notifications"][&root], counts);
    let push = &server.sync.parts.push;
    push.enable_rule(&user("bob"), ruma::push::RuleKind::Override, ".m.rule.master", true)
        .await
        .unwrap();
    let changed = server.next("bob", &seen).await;
    assert_eq!(types(&changed["account_data"]), ["m.push_rules"]);
}
