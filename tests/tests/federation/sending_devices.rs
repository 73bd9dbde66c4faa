//! Devices, their keys and messages to them, across servers and outages.

use std::time::Duration;

use pli_tests::server::{TestServer, TestUser};
use ruma::{
    OwnedServerName, api::federation::transactions::send_transaction_message::v1::Request,
    serde::Raw,
};
use serde_json::{Value, json, value::to_raw_value};

use super::{
    device_keys::{devices_of, publish_cross_signing, upload},
    joins::{join_via, public_room, two},
    sending::{PATIENCE, now, until},
};

const V3: &str = "/_matrix/client/v3";

/// Waits until a sync tells that the devices of a user changed.
async fn until_changed(user: &TestUser, since: Option<String>, whose: &str) {
    until(user, since, |synced| {
        let changed = synced["device_lists"]["changed"].as_array()?;
        changed.contains(&json!(whose)).then_some(())
    })
    .await;
}

/// Waits until a query answers with these devices, whatever a sync tells.
async fn until_devices(asking: &TestUser, whose: &str, wanted: &[&TestUser]) -> Value {
    let mut ids: Vec<String> = wanted.iter().map(|user| user.device_id.clone()).collect();
    ids.sort();
    let started = std::time::Instant::now();
    loop {
        let (found, answer) = devices_of(asking, whose).await;
        if found == ids {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "{whose} has {found:?}, not {ids:?}: {answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn send_to_device(from: &TestUser, to: &TestUser, txn: &str, n: u32) {
    let body = json!({ "messages": { &to.user_id: { &to.device_id: { "n": n } } } });
    from.put(&format!("{V3}/sendToDevice/org.example.count/{txn}"), body).await.ok();
}

/// Reads messages to the device until the last of `wanted` is there; all that came.
async fn counted(user: &TestUser, wanted: &[u64]) -> Vec<u64> {
    let mut seen = Vec::new();
    let mut token = None;
    until(user, None, |synced| {
        let events = synced["to_device"]["events"].as_array().cloned().unwrap_or_default();
        seen.extend(events.iter().filter_map(|event| event["content"]["n"].as_u64()));
        token = synced["next_batch"].as_str().map(str::to_owned);
        (seen.last() == wanted.last()).then_some(())
    })
    .await;
    // Nothing comes after it.
    let rest = user.sync(token.as_deref()).await;
    assert_eq!(rest["to_device"]["events"].as_array().map_or(0, Vec::len), 0);
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_and_keys_of_other_servers_are_known_and_followed() {
    let ((a, alice), (_b, bob)) = two().await;
    upload(&alice, 1).await;
    upload(&bob, 2).await;
    // Without a room in common the other server is asked each time.
    assert_eq!(devices_of(&alice, &bob.user_id).await.0, std::slice::from_ref(&bob.device_id));
    let room = public_room(&alice, "12").await;
    join_via(&bob, &room, &a).await;
    assert_eq!(devices_of(&alice, &bob.user_id).await.0, std::slice::from_ref(&bob.device_id));
    assert_eq!(devices_of(&bob, &alice.user_id).await.0, std::slice::from_ref(&alice.device_id));
    let since = now(&bob).await;
    let phone = a.login("alice").await;
    upload(&phone, 3).await;
    until_changed(&bob, since, &alice.user_id).await;
    let found = until_devices(&bob, &alice.user_id, &[&alice, &phone]).await;
    assert_eq!(found["failures"], Value::Null);
    assert_eq!(found["device_keys"][&alice.user_id][&phone.device_id]["unsigned"], Value::Null);
    let since = now(&bob).await;
    let master = publish_cross_signing(&alice, 10).await;
    until_changed(&bob, since, &alice.user_id).await;
    let started = std::time::Instant::now();
    let master_id = format!("ed25519:{}", master.public);
    while devices_of(&bob, &alice.user_id).await.1["master_keys"][&alice.user_id]["keys"]
        [&master_id]
        != master.public.as_str()
    {
        assert!(started.elapsed() < PATIENCE);
    }
    let since = now(&bob).await;
    phone.post(&format!("{V3}/logout"), json!({})).await.ok();
    until_changed(&bob, since, &alice.user_id).await;
    until_devices(&bob, &alice.user_id, &[&alice]).await;
    let body =
        json!({ "one_time_keys": { &alice.user_id: { &alice.device_id: "signed_curve25519" } } });
    for n in 0..3 {
        let claimed = bob.post(&format!("{V3}/keys/claim"), body.clone()).await.ok();
        let keys = &claimed["one_time_keys"][&alice.user_id][&alice.device_id];
        assert!(keys[format!("signed_curve25519:AAAA{n}")]["key"].is_string(), "{claimed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_both_sides_know_the_new_devices() {
    let ((a, alice), (mut b, bob)) = two().await;
    upload(&alice, 1).await;
    upload(&bob, 2).await;
    let room = public_room(&alice, "12").await;
    join_via(&bob, &room, &a).await;
    until_devices(&bob, &alice.user_id, &[&alice]).await;
    until_devices(&alice, &bob.user_id, &[&bob]).await;
    b.stop().await;
    let phone = a.login("alice").await;
    upload(&phone, 3).await;
    let (_, answer) = devices_of(&alice, &bob.user_id).await;
    assert_eq!(answer["failures"], Value::Null, "what is tracked needs no asking");
    b.restart().await;
    let laptop = b.login("bob").await;
    upload(&laptop, 4).await;
    until_devices(&alice, &bob.user_id, &[&bob, &laptop]).await;
    until_devices(&bob, &alice.user_id, &[&alice, &phone]).await;
    // What is sent for the new devices arrives there, once.
    send_to_device(&phone, &laptop, "k1", 1).await;
    send_to_device(&laptop, &phone, "k2", 2).await;
    assert_eq!(counted(&laptop, &[1]).await, [1]);
    assert_eq!(counted(&phone, &[2]).await, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_to_devices_arrive_once_across_restarts_and_repetitions() {
    let ((mut a, alice), (mut b, bob)) = two().await;
    b.stop().await;
    send_to_device(&alice, &bob, "t1", 1).await;
    send_to_device(&alice, &bob, "t1", 1).await;
    a.restart().await;
    send_to_device(&alice, &bob, "t2", 2).await;
    b.restart().await;
    send_to_device(&alice, &bob, "t3", 3).await;
    assert_eq!(counted(&bob, &[1, 2, 3]).await, [1, 2, 3]);
    // The same message in two transactions, and one in the name of another server's user.
    let message = |sender: &str, id: &str, n: u32| {
        json!({
            "edu_type": "m.direct_to_device",
            "content": {
                "sender": sender, "type": "org.example.count", "message_id": id,
                "messages": { &bob.user_id: { "*": { "n": n } } },
            },
        })
    };
    let edus = [
        message(&alice.user_id, "m1", 4),
        message(&alice.user_id, "m1", 4),
        message(&bob.user_id, "m2", 5),
        message(&alice.user_id, "m3", 6),
    ];
    for (txn, edu) in edus.iter().enumerate() {
        transact(&a, &b, &format!("by-hand-{txn}"), edu).await;
    }
    let since = now(&bob).await;
    let first = bob.sync(None).await;
    drop(since);
    let events = first["to_device"]["events"].as_array().cloned().unwrap_or_default();
    let seen: Vec<u64> = events.iter().filter_map(|event| event["content"]["n"].as_u64()).collect();
    assert_eq!(seen.iter().filter(|n| **n > 3).copied().collect::<Vec<_>>(), [4, 6]);
}

/// Sends an EDU in a transaction of its own.
async fn transact(from: &TestServer, to: &TestServer, txn: &str, edu: &Value) {
    let remote = from.state().signed.remote().clone();
    let own = OwnedServerName::try_from(from.server_name.as_str()).unwrap();
    let to = OwnedServerName::try_from(to.server_name.as_str()).unwrap();
    let now = ruma::MilliSecondsSinceUnixEpoch::now();
    let mut request = Request::new(txn.into(), own, now);
    request.edus = vec![Raw::from_json(to_raw_value(edu).unwrap())];
    remote.request(&to, request, pli_core::federation::Bounds::EVENTS).await.unwrap();
}
