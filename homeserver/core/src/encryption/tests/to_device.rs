//! To-device messages.

use pli_schema::records::encryption::ToDeviceKey;
use pli_store::Scan;
use ruma::{events::ToDeviceEventType, to_device::DeviceIdOrAllDevices};

use super::*;

fn to(user: &str, device: DeviceIdOrAllDevices, content: serde_json::Value) -> ToDeviceMessages {
    let user = UserId::parse(user).unwrap();
    BTreeMap::from([(user, BTreeMap::from([(device, raw(content))]))])
}

async fn send(world: &World, from: &Device, txn: &str, messages: &ToDeviceMessages) -> Result<()> {
    let event_type = ToDeviceEventType::from("m.test");
    let from = (from.user.as_ref(), from.id.as_ref());
    world.encryption.send_to_device(from, &event_type, txn.into(), messages).await
}

async fn inbox(world: &World, device: &Device, since: Position, limit: usize) -> Inbox {
    let device = (device.user.as_ref(), device.id.as_ref());
    world.encryption.inbox(device, since, world.store.position(), limit).await.unwrap()
}

#[tokio::test]
async fn messages_wait_until_the_client_comes_back_with_a_later_token() {
    let mut world = World::new();
    let alice = world.device("@alice:x", "A").await;
    let bob = world.device("@bob:x", "B").await;
    for n in 0..5 {
        let messages = to("@bob:x", DeviceIdOrAllDevices::AllDevices, json!({ "n": n }));
        send(&world, &alice, &format!("t{n}"), &messages).await.unwrap();
    }
    world.restart();
    let first = inbox(&world, &bob, Position::ZERO, 3).await;
    assert_eq!((first.events.len(), first.more), (3, true));
    let event: serde_json::Value = serde_json::from_str(first.events[0].json().get()).unwrap();
    assert_eq!(event, json!({ "content": { "n": 0 }, "sender": "@alice:x", "type": "m.test" }));
    // The answer was lost: the same again.
    assert_eq!(inbox(&world, &bob, Position::ZERO, 3).await.events.len(), 3);
    world.encryption.delete_inbox_up_to(&bob.user, &bob.id, first.next).await.unwrap();
    let rest = inbox(&world, &bob, first.next, 3).await;
    assert_eq!((rest.events.len(), rest.more), (2, false));
    assert_eq!(inbox(&world, &bob, Position::ZERO, 100).await.events.len(), 2);
}

#[tokio::test]
async fn a_transaction_id_counts_once_per_device() {
    let world = World::new();
    let alice = world.device("@alice:x", "A").await;
    let second = world.device("@alice:x", "A2").await;
    let bob = world.device("@bob:x", "B").await;
    let messages = to("@bob:x", DeviceIdOrAllDevices::DeviceId("B".into()), json!({}));
    for device in [&alice, &alice, &second] {
        send(&world, device, "t", &messages).await.unwrap();
    }
    assert_eq!(inbox(&world, &bob, Position::ZERO, 100).await.events.len(), 2);
}

#[tokio::test]
async fn only_devices_of_this_server_that_exist_get_rows() {
    let world = World::new();
    let alice = world.device("@alice:x", "A").await;
    for user in ["@bob:x", "@bob:elsewhere", "@alice:y"] {
        for device in [DeviceIdOrAllDevices::AllDevices, DeviceIdOrAllDevices::DeviceId("A".into())]
        {
            let txn = format!("{user}{device}");
            send(&world, &alice, &txn, &to(user, device, json!({}))).await.unwrap();
        }
    }
    assert!(world.store.scan(&Scan::<ToDeviceKey>::prefix(())).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_with_all_the_others() {
    let world = World::new();
    let alice = world.device("@alice:x", "A").await;
    let mut messages = to("@alice:x", DeviceIdOrAllDevices::AllDevices, json!({}));
    let large = json!({ "x": "x".repeat(70_000) });
    messages.extend(to("@bob:x", DeviceIdOrAllDevices::AllDevices, large));
    assert!(matches!(send(&world, &alice, "t", &messages).await, Err(Error::TooLarge(_))));
    assert!(inbox(&world, &alice, Position::ZERO, 10).await.events.is_empty());
}

#[tokio::test]
async fn messages_of_one_commit_stay_together() {
    let world = World::new();
    let alice = world.device("@alice:x", "A").await;
    let mut messages = to("@alice:x", DeviceIdOrAllDevices::AllDevices, json!({ "n": 1 }));
    let both = to("@alice:x", DeviceIdOrAllDevices::DeviceId("A".into()), json!({ "n": 2 }));
    for (user, more) in both {
        messages.entry(user).or_default().extend(more);
    }
    send(&world, &alice, "t", &messages).await.unwrap();
    let got = inbox(&world, &alice, Position::ZERO, 1).await;
    assert_eq!(got.events.len(), 2);
    assert!(inbox(&world, &alice, got.next, 1).await.events.is_empty());
}
