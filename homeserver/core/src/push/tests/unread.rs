//! Unread counts.

use pli_schema::records::sync::{ReceiptKey, ReceiptKind, ReceiptRecord};
use ruma::push::{NewPushRule, NewSimplePushRule};

use super::*;
use crate::Error;

/// A read receipt.
async fn read(world: &World, name: &str, thread: &str, event_id: &OwnedEventId) {
    let pointer = world.rooms.pointer(event_id).await.unwrap().unwrap();
    let user_id = user(name);
    let kind = ReceiptKind::Read;
    let key = &ReceiptKey { room: world.room, user_id, kind, thread: thread.to_owned() };
    let (at, index) = (pointer.position, pointer.record.index);
    let record = &ReceiptRecord { event_id: event_id.clone(), ts_ms: 0, at, index };
    let write = |tx: pli_store::Tx| async move {
        tx.put(key, record)?;
        Ok::<_, Error>(())
    };
    world.rooms.store().write(write).await.unwrap();
}

#[tokio::test]
async fn notifications_wait_until_they_are_read() {
    let world = World::new().await;
    assert_eq!(world.counts("bob").await, (0, 0));
    world.say("alice", "one").await;
    let second = world.say("alice", "two").await;
    assert_eq!(world.counts("bob").await, (2, 0));
    world.send("alice", mention("Bob!", "bob")).await;
    assert_eq!(world.counts("bob").await, (3, 1));
    // What is in memory is what a restart counts.
    let other = World { push: push(world.rooms.clone()), ..World::new().await };
    let unread = other.push.unread(&user("bob"), world.room).await.unwrap();
    assert_eq!((unread.main.notifications, unread.main.highlights), (3, 1));
    read(&world, "bob", "", &second).await;
    assert_eq!(world.counts("bob").await, (1, 1));
    assert_eq!(world.counts("alice").await, (0, 0));
    assert_eq!(world.counts("nobody").await, (0, 0));
}

#[tokio::test]
async fn an_own_event_marks_what_was_before_it_as_read() {
    let world = World::new().await;
    world.say("alice", "one").await;
    world.say("bob", "answer").await;
    assert_eq!(world.counts("bob").await, (0, 0));
    world.say("alice", "two").await;
    assert_eq!(world.counts("bob").await, (1, 0));
    assert_eq!(world.counts("carol").await, (3, 0));
}

#[tokio::test]
async fn threads_are_counted_and_read_apart() {
    let world = World::new().await;
    let root = world.say("alice", "root").await;
    let in_thread = |body: &str| {
        json!({
            "msgtype": "m.text", "body": body,
            "m.relates_to": { "rel_type": "m.thread", "event_id": root },
        })
    };
    let first = world.send("alice", in_thread("first")).await;
    world.send("alice", in_thread("second")).await;
    let unread = world.push.unread(&user("bob"), world.room).await.unwrap();
    assert_eq!(unread.main.notifications, 1);
    assert_eq!(unread.threads[&root].notifications, 2);
    assert_eq!(unread.total().notifications, 3);
    read(&world, "bob", "main", &root).await;
    read(&world, "bob", root.as_str(), &first).await;
    let unread = world.push.unread(&user("bob"), world.room).await.unwrap();
    assert_eq!(unread.main.notifications, 0);
    assert_eq!(unread.threads[&root].notifications, 1);
}

#[tokio::test]
async fn rules_and_ignored_users_decide() {
    use pli_schema::records::sync::{AccountDataKey, AccountDataRecord};
    let world = World::new().await;
    let quiet = NewPushRule::Room(NewSimplePushRule::new(world.room_id.clone(), vec![]));
    world.push.put_rule(&user("bob"), &quiet, &RulePlace::default()).await.unwrap();
    let key = &AccountDataKey {
        user_id: user("carol"),
        room_id: String::new(),
        data_type: "m.ignored_user_list".into(),
    };
    let content = json!({ "ignored_users": { user("alice"): {} } }).to_string();
    let record = &AccountDataRecord { content };
    let write = |tx: pli_store::Tx| async move {
        tx.put(key, record)?;
        Ok::<_, Error>(())
    };
    world.rooms.store().write(write).await.unwrap();
    world.say("alice", "hello").await;
    assert_eq!(world.counts("bob").await, (0, 0));
    assert_eq!(world.counts("carol").await, (0, 0));
}

#[tokio::test]
async fn the_whole_room_is_mentioned_by_who_may() {
    let world = World::new().await;
    let all = json!({ "msgtype": "m.text", "body": "all", "m.mentions": { "room": true } });
    world.send("carol", all.clone()).await;
    assert_eq!(world.counts("bob").await, (1, 0));
    world.send("alice", all).await;
    assert_eq!(world.counts("bob").await, (2, 1));
}

#[tokio::test]
async fn notifications_are_listed_newest_first_in_pages() {
    let world = World::new().await;
    for n in 0..3 {
        world.say("alice", &format!("m{n}")).await;
    }
    world.send("alice", mention("Bob!", "bob")).await;
    let bob = user("bob");
    let page = world.push.notifications(&bob, None, 3, false).await.unwrap();
    assert_eq!(page.notifications.len(), 3);
    let rest = world.push.notifications(&bob, page.next, 3, false).await.unwrap();
    assert_eq!((rest.notifications.len(), rest.next), (1, None));
    let highlights = world.push.notifications(&bob, None, 10, true).await.unwrap();
    assert_eq!(highlights.notifications.len(), 1);
    assert!(!highlights.notifications[0].read);
}

#[tokio::test]
async fn a_new_display_name_changes_no_count_and_reads_nothing() {
    let world = World::new().await;
    world.say("alice", "one").await;
    world.send("alice", mention("Bob!", "bob")).await;
    assert_eq!(world.counts("bob").await, (2, 1));
    let content = json!({ "membership": "join", "displayname": "Robert" });
    let draft = testing::state("bob", "m.room.member", user("bob").as_str(), &content);
    world.rooms.append(&world.room_id, draft, None).await.unwrap();
    assert_eq!(world.counts("bob").await, (2, 1));
    // Counted anew, as after a restart.
    let fresh = push(world.rooms.clone());
    let unread = fresh.unread(&user("bob"), world.room).await.unwrap();
    assert_eq!((unread.main.notifications, unread.main.highlights), (2, 1));
    let page = fresh.notifications(&user("bob"), None, 10, false).await.unwrap();
    assert_eq!(page.notifications.len(), 2);
}
