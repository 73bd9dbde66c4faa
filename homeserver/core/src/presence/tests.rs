//! Who is seen when, by a clock that is set.

use ruma::{device_id, user_id};

use super::*;
use crate::{
    Clock,
    rooms::testing::{public_room, rooms, set_membership, user},
};

fn advance(rooms: &Rooms, ms: u64) {
    let Clock::Test(clock) = rooms.clock() else { panic!("the clock of tests") };
    clock.advance_ms(ms);
}

async fn state(presence: &Presence, who: &UserId) -> (&'static str, bool) {
    let seen = presence.get(who, who).await.unwrap();
    (seen.state, seen.currently_active)
}

#[tokio::test]
async fn people_come_rest_and_go() {
    let rooms = rooms();
    let presence = Presence::new(rooms.clone(), Notifier::new(rooms.clone()), true);
    let (alice, phone) = (user_id!("@alice:agents.example"), device_id!("PHONE"));
    assert_eq!(state(&presence, alice).await, ("offline", false));
    let syncing = presence.syncing(alice, phone, &PresenceState::Online).await.unwrap();
    assert_eq!(state(&presence, alice).await, ("online", true));
    advance(&rooms, 60_000);
    assert_eq!(state(&presence, alice).await, ("online", false));
    advance(&rooms, 4 * 60_000);
    assert_eq!(state(&presence, alice).await, ("unavailable", false));
    presence.active(alice, phone);
    assert_eq!(state(&presence, alice).await, ("online", true));
    drop(syncing);
    advance(&rooms, 29_000);
    assert_eq!(state(&presence, alice).await, ("online", true));
    advance(&rooms, 1_000);
    assert_eq!(state(&presence, alice).await, ("offline", false));
    let hidden = presence.syncing(alice, phone, &PresenceState::Offline).await.unwrap();
    assert_eq!(state(&presence, alice).await, ("offline", false));
    drop(hidden);
}

#[tokio::test]
async fn what_is_set_by_hand_holds_while_syncs_go_on_and_the_message_over_a_restart() {
    let rooms = rooms();
    let presence = Presence::new(rooms.clone(), Notifier::new(rooms.clone()), true);
    let (alice, phone) = (user_id!("@alice:agents.example"), device_id!("PHONE"));
    let text = Some("in a meeting".to_owned());
    presence.set(alice, phone, &PresenceState::Unavailable, text.clone()).await.unwrap();
    let _syncing = presence.syncing(alice, phone, &PresenceState::Online).await.unwrap();
    assert_eq!(state(&presence, alice).await, ("unavailable", false));
    let again = Presence::new(rooms.clone(), Notifier::new(rooms.clone()), true);
    let seen = again.get(alice, alice).await.unwrap();
    assert_eq!((seen.state, seen.status_msg), ("offline", text));
    let long = Some("x".repeat(2_000));
    let refused = presence.set(alice, phone, &PresenceState::Online, long).await;
    assert!(matches!(refused, Err(Error::TooLarge(_))));
    let strange = presence.set(alice, phone, &PresenceState::from("busy"), None).await;
    assert!(matches!(strange, Err(Error::InvalidParam(_))));
}

#[tokio::test]
async fn only_those_who_share_a_room_are_told_and_each_change_once() {
    let rooms = rooms();
    let room = public_room(&rooms, ruma::RoomVersionId::V11).await;
    set_membership(&rooms, &room, ("bob", "bob"), "join").await.unwrap();
    let notifier = Notifier::new(rooms.clone());
    let presence = Presence::new(rooms.clone(), notifier.clone(), true);
    let (alice, bob, eve) = (user("alice"), user("bob"), user("eve"));
    let before = presence.serial();
    let _syncing = presence.syncing(&alice, device_id!("P"), &PresenceState::Online).await.unwrap();
    let told = async |who: &UserId, since| {
        let rooms = notifier.memberships(who).await.unwrap();
        let until = presence.serial();
        presence.events((who, &rooms), (since, until), &BTreeSet::new()).await.unwrap()
    };
    let events = told(&bob, Some(before)).await;
    assert_eq!(events.len(), 1);
    let event: serde_json::Value = serde_json::from_str(&events[0].json).unwrap();
    assert_eq!(event["sender"], alice.as_str());
    assert_eq!(event["content"]["presence"], "online");
    assert_eq!(told(&eve, None).await, []);
    assert_eq!(told(&bob, Some(presence.serial())).await, []);
    assert_eq!(told(&bob, None).await.len(), 1);
    assert!(matches!(presence.get(&eve, &alice).await, Err(Error::Forbidden(_))));
    // Going idle is noticed by itself.
    let serial = presence.serial();
    advance(&rooms, 5 * 60_000);
    presence.tell().await.unwrap();
    assert!(presence.serial() > serial);
    assert_eq!(told(&bob, Some(serial)).await.len(), 1);
}

#[tokio::test]
async fn switched_off_nobody_is_there() {
    let rooms = rooms();
    let presence = Presence::new(rooms.clone(), Notifier::new(rooms.clone()), false);
    let alice = user("alice");
    let online = PresenceState::Online;
    let _syncing = presence.syncing(&alice, device_id!("P"), &online).await.unwrap();
    presence.set(&alice, device_id!("P"), &online, None).await.unwrap();
    assert_eq!(state(&presence, &alice).await, ("offline", false));
}
