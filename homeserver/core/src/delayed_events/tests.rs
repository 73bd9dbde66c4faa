//! Delayed events on the memory store, with a clock that the test moves.

use pli_store::Store;
use ruma::{OwnedRoomId, RoomVersionId, device_id};
use serde_json::json;

use super::*;
use crate::{
    TestClock,
    rooms::{
        RoomSettings,
        testing::{public_room, raw, rooms_on, timeline, user},
    },
};

const LIMITS: DelayLimits = DelayLimits { delay_max_ms: 60_000, scheduled_max: 3 };

fn on(rooms: &Rooms) -> DelayedEvents {
    DelayedEvents::new(rooms.clone(), Random::seeded(3), LIMITS)
}

fn advance(rooms: &Rooms, by_ms: u64) {
    let Clock::Test(clock) = rooms.clock() else { panic!("a test clock") };
    TestClock::advance_ms(clock, by_ms);
}

fn leave(room_id: &OwnedRoomId, who: &str, delay_ms: u64) -> NewDelayedEvent {
    NewDelayedEvent {
        user_id: user(who),
        room_id: room_id.clone(),
        event_type: "org.example.call".to_owned(),
        state_key: Some(user(who).to_string()),
        content: raw(&json!({ "left": true })),
        delay_ms,
        origin_server_ts: None,
        sticky_duration_ms: None,
        transaction: None,
    }
}

fn message(room_id: &OwnedRoomId, txn: &str) -> NewDelayedEvent {
    NewDelayedEvent {
        event_type: "m.room.message".to_owned(),
        state_key: None,
        content: raw(&json!({ "msgtype": "m.text", "body": txn })),
        transaction: Some((device_id!("PHONE").to_owned(), txn.into())),
        ..leave(room_id, "alice", 1_000)
    }
}

async fn scheduled(delayed: &DelayedEvents) -> usize {
    delayed.of_user(&user("alice"), false).await.unwrap().len()
}

async fn alone() -> (Rooms, DelayedEvents, OwnedRoomId) {
    let rooms = rooms_on(Store::in_memory(), RoomSettings::default());
    let room_id = public_room(&rooms, RoomVersionId::V12).await;
    (rooms.clone(), on(&rooms), room_id)
}

#[tokio::test]
async fn an_event_is_sent_when_its_time_has_come_and_only_once() {
    let (rooms, delayed, room_id) = alone().await;
    let before = timeline(&rooms, &room_id).await.len();
    let id = delayed.schedule(leave(&room_id, "alice", 1_000)).await.unwrap();
    assert_eq!(delayed.send_due().await.unwrap(), 1_000);
    advance(&rooms, 999);
    assert_eq!(delayed.send_due().await.unwrap(), 1);
    assert_eq!(timeline(&rooms, &room_id).await.len(), before);
    advance(&rooms, 1);
    delayed.send_due().await.unwrap();
    let after = timeline(&rooms, &room_id).await;
    assert_eq!(after.len(), before + 1);
    let record = delayed.get(&user("alice"), &id).await.unwrap().record;
    assert_eq!(record.finalised.clone().unwrap().event_id.as_ref(), after.last());
    assert_eq!(scheduled(&delayed).await, 0);
    // The server stopped after the event was on disk and before it knew: it is not sent again.
    let again = DelayedEventRecord { finalised: None, ..record };
    let event_id = delayed.send(&id, again).await.unwrap();
    assert_eq!(Some(&event_id), after.last());
    assert_eq!(timeline(&rooms, &room_id).await.len(), before + 1);
}

#[tokio::test]
async fn what_became_due_while_the_server_was_down_is_sent_in_order() {
    let store = Store::in_memory();
    let rooms = rooms_on(store.clone(), RoomSettings::default());
    let room_id = public_room(&rooms, RoomVersionId::V12).await;
    let delayed = on(&rooms);
    for (txn, delay_ms) in [("second", 2_000), ("first", 1_000)] {
        let new = NewDelayedEvent { delay_ms, ..message(&room_id, txn) };
        delayed.schedule(new).await.unwrap();
    }
    let before = timeline(&rooms, &room_id).await.len();
    // Another process on the same store, later.
    let rooms = rooms_on(store, RoomSettings::default());
    advance(&rooms, 3_000);
    on(&rooms).send_due().await.unwrap();
    let mut bodies = Vec::new();
    for event_id in timeline(&rooms, &room_id).await.into_iter().skip(before) {
        let event = rooms.event_by_id(&event_id).await.unwrap().unwrap();
        let content: serde_json::Value = event.content().unwrap().unwrap();
        bodies.push(content["body"].as_str().unwrap().to_owned());
    }
    assert_eq!(bodies, ["first", "second"]);
}

#[tokio::test]
async fn restart_waits_again_cancel_ends_and_send_is_now() {
    let (rooms, delayed, room_id) = alone().await;
    let before = timeline(&rooms, &room_id).await.len();
    let id = delayed.schedule(leave(&room_id, "alice", 1_000)).await.unwrap();
    advance(&rooms, 900);
    delayed.update(None, &id, Action::Restart).await.unwrap();
    advance(&rooms, 900);
    assert_eq!(delayed.send_due().await.unwrap(), 100);
    let bob = user("bob");
    let others = delayed.update(Some(&bob), &id, Action::Cancel).await;
    assert!(matches!(others, Err(Error::NotFound(_))));
    for _ in 0..2 {
        delayed.update(None, &id, Action::Cancel).await.unwrap();
    }
    for action in [Action::Send, Action::Restart] {
        let refused = delayed.update(None, &id, action).await;
        assert!(matches!(refused, Err(Error::DelayedEventFinalised(_))));
    }
    advance(&rooms, 5_000);
    delayed.send_due().await.unwrap();
    assert_eq!(timeline(&rooms, &room_id).await.len(), before);
    let id = delayed.schedule(leave(&room_id, "alice", 1_000)).await.unwrap();
    for _ in 0..2 {
        delayed.update(Some(&user("alice")), &id, Action::Send).await.unwrap();
    }
    let refused = delayed.update(None, &id, Action::Cancel).await;
    assert!(matches!(refused, Err(Error::DelayedEventFinalised(_))));
    assert_eq!(timeline(&rooms, &room_id).await.len(), before + 1);
    assert_eq!(delayed.of_user(&user("alice"), true).await.unwrap().len(), 2);
}

#[tokio::test]
async fn limits_hold_and_the_same_request_schedules_once() {
    let (_, delayed, room_id) = alone().await;
    let first = delayed.schedule(message(&room_id, "a")).await.unwrap();
    assert_eq!(delayed.schedule(message(&room_id, "a")).await.unwrap(), first);
    for txn in ["b", "c"] {
        delayed.schedule(message(&room_id, txn)).await.unwrap();
    }
    let refused = delayed.schedule(message(&room_id, "d")).await;
    assert!(matches!(refused, Err(Error::MaxDelayedEventsExceeded)));
    let long = NewDelayedEvent { delay_ms: 60_001, ..message(&room_id, "e") };
    let refused = delayed.schedule(long).await;
    assert!(matches!(refused, Err(Error::MaxDelayExceeded { max_delay_ms: 60_000 })));
    let zero = NewDelayedEvent { delay_ms: 0, ..message(&room_id, "f") };
    assert!(matches!(delayed.schedule(zero).await, Err(Error::InvalidParam(_))));
    delayed.update(None, &first, Action::Cancel).await.unwrap();
    delayed.schedule(message(&room_id, "d")).await.unwrap();
}

#[tokio::test]
async fn what_is_refused_when_its_time_has_come_is_told_and_forgotten_after_a_week() {
    let (rooms, delayed, room_id) = alone().await;
    let new = NewDelayedEvent { user_id: user("stranger"), ..message(&room_id, "x") };
    let id = delayed.schedule(new).await.unwrap();
    let refused = delayed.update(None, &id, Action::Send).await;
    assert!(matches!(refused, Err(Error::Forbidden(_))));
    advance(&rooms, 1_000);
    delayed.send_due().await.unwrap();
    let record = delayed.get(&user("stranger"), &id).await.unwrap().record;
    let finalised = record.finalised.unwrap();
    assert_eq!(finalised.event_id, None);
    assert_eq!(finalised.error.unwrap().0, "M_FORBIDDEN");
    assert!(matches!(delayed.get(&user("alice"), &id).await, Err(Error::NotFound(_))));
    advance(&rooms, outcome::KEPT_MS);
    delayed.send_due().await.unwrap();
    assert!(matches!(delayed.get(&user("stranger"), &id).await, Err(Error::NotFound(_))));
    let left = rooms.store().scan(&Scan::<DelayedTransactionKey>::prefix(())).await.unwrap();
    assert!(left.is_empty());
}
