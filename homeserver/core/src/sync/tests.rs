//! What one user sees of rooms, sync after sync, on the memory store.

use std::time::Duration;

use pli_store::Store;
use ruma::{OwnedRoomId, RoomVersionId, device_id};
use serde_json::{Value, json};

use super::*;
use crate::{
    AccountData, Encryption, Filters, History, Notifier, Presence, Push, Random, Receipts, Rooms,
    ThreadSubscriptions, Typing,
    outgoing::Outgoing,
    receipts::Markers,
    rooms::{
        RoomSettings,
        testing::{public_room, raw, rooms_on, set_membership, state, text, user},
    },
};

pub(in crate::sync) struct Server {
    pub(in crate::sync) rooms: Rooms,
    pub(in crate::sync) sync: Sync,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(in crate::sync) fn on(store: Store) -> Self {
        let rooms = rooms_on(store.clone(), RoomSettings::default());
        let notifier = Notifier::new(rooms.clone());
        let push = Push::new(rooms.clone(), Random::seeded(1), Outgoing::new(true).unwrap());
        let sync = Sync::new(SyncParts {
            rooms: rooms.clone(),
            history: History::new(rooms.clone()),
            encryption: Encryption::new(
                store.clone(),
                rooms.clock().clone(),
                rooms.server_name().to_owned(),
            ),
            filters: Filters::new(store.clone()),
            account_data: AccountData::new(store.clone()),
            receipts: Receipts::new(rooms.clone()),
            presence: Presence::new(rooms.clone(), notifier.clone(), false),
            typing: Typing::new(rooms.clone(), notifier.clone()),
            notifier,
            thread_subscriptions: ThreadSubscriptions::new(rooms.clone(), push.clone()),
            push,
            stopping: Default::default(),
        });
        let task = tokio::spawn(sync.clone().run());
        Self { rooms, sync, task }
    }

    pub(in crate::sync) fn new() -> Self {
        Self::on(Store::in_memory())
    }

    pub(in crate::sync) async fn room(&self) -> OwnedRoomId {
        public_room(&self.rooms, RoomVersionId::V11).await
    }

    pub(in crate::sync) async fn join(&self, room: &OwnedRoomId, who: &str) {
        set_membership(&self.rooms, room, (who, who), "join").await.unwrap();
    }

    pub(in crate::sync) async fn say(&self, room: &OwnedRoomId, who: &str, body: &str) -> String {
        self.rooms.append(room, text(who, body), None).await.unwrap().event_id.to_string()
    }

    async fn sync(&self, request: SyncRequest) -> Value {
        serde_json::from_str(&self.sync.sync(&request).await.unwrap()).unwrap()
    }

    async fn initial(&self, who: &str) -> Value {
        self.sync(request(who)).await
    }

    async fn next(&self, who: &str, last: &Value) -> Value {
        self.sync(since(who, last)).await
    }
}

fn request(who: &str) -> SyncRequest {
    SyncRequest {
        user_id: user(who),
        device_id: device_id!("PHONE").to_owned(),
        since: None,
        filter: None,
        full_state: false,
        timeout: Duration::ZERO,
        state_after: StateAfter::No,
        set_presence: Default::default(),
    }
}

fn since(who: &str, last: &Value) -> SyncRequest {
    SyncRequest { since: Some(last["next_batch"].as_str().unwrap().to_owned()), ..request(who) }
}

fn with_filter(mut request: SyncRequest, filter: Value) -> SyncRequest {
    request.filter = Some(ruma::api::client::sync::sync_events::v3::Filter::FilterDefinition(
        serde_json::from_value(filter).unwrap(),
    ));
    request
}

fn join<'a>(answer: &'a Value, room: &OwnedRoomId) -> &'a Value {
    &answer["rooms"]["join"][room.as_str()]
}

fn bodies(room: &Value) -> Vec<String> {
    let events = room["timeline"]["events"].as_array();
    let events = events.into_iter().flatten();
    events.filter_map(|e| e["content"]["body"].as_str().map(str::to_owned)).collect()
}

fn types(list: &Value) -> Vec<String> {
    let events = list["events"].as_array().into_iter().flatten();
    events.map(|e| e["type"].as_str().unwrap().to_owned()).collect()
}

fn members(list: &Value) -> Vec<String> {
    let events = list["events"].as_array().into_iter().flatten();
    let members = events.filter(|e| e["type"] == "m.room.member");
    members.map(|e| e["state_key"].as_str().unwrap().to_owned()).collect()
}

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
