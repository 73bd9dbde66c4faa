//! What is told beside rooms.

use super::*;
use crate::{receipts::Markers, rooms::testing::raw};

fn with(extensions: Value) -> Value {
    let mut body = window(9, 1, json!([]));
    body["extensions"] = extensions;
    body
}

#[tokio::test]
async fn to_device_messages_stay_until_their_token_comes_back() {
    let server = Server::new();
    let alice = user("alice");
    let device = (&*alice, device_id!("PHONE"));
    let put = pli_schema::records::encryption::ToDeviceKey {
        user_id: alice.clone(),
        device_id: device.1.to_owned(),
        at: pli_schema::Stamp::Commit,
        index: 0,
    };
    let record = pli_schema::records::encryption::ToDeviceRecord { json: r#"{"type":"x"}"#.into() };
    let (put, record) = (&put, &record);
    let store = server.rooms.store();
    store.write(|tx| async move { Ok::<_, Error>(tx.put(put, record)?) }).await.unwrap();
    let body =
        json!({ "conn_id": "encryption", "extensions": { "to_device": { "enabled": true } } });
    let mut client = Client::new(&server, "alice", body);
    let first = client.next().await;
    let section = &first["extensions"]["to_device"];
    assert_eq!(section["events"], json!([{ "type": "x" }]));
    // Without the token of the extension it comes again, whatever `pos` says.
    assert_eq!(client.next().await["extensions"]["to_device"]["events"], section["events"]);
    client.body["extensions"]["to_device"]["since"] = section["next_batch"].clone();
    assert_eq!(client.next().await["extensions"]["to_device"]["events"], json!([]));
    let inbox = server.sync.parts.encryption.inbox(device, Position::ZERO, store.position(), 9);
    assert!(inbox.await.unwrap().events.is_empty());
    client.body["extensions"]["to_device"]["since"] = json!("x");
    assert!(matches!(client.try_next().await, Err(Error::InvalidParam(_))));
}

#[tokio::test]
async fn account_data_of_rooms_comes_with_them_and_then_as_it_changes() {
    let server = Server::new();
    let (a, b) = (server.room().await, server.room().await);
    let alice = user("alice");
    let data = server.sync.account_data();
    data.set(&alice, None, "x", &raw(&json!({ "n": 1 }))).await.unwrap();
    data.set_tag(&alice, &a, "u.a", &json!({})).await.unwrap();
    let mut body = with(json!({ "account_data": { "enabled": true } }));
    body["lists"]["all"]["ranges"] = json!([[0, 0]]);
    let mut client = Client::new(&server, "alice", body);
    let first = client.next().await;
    let types = |answer: &Value| -> Vec<String> {
        let events = answer["extensions"]["account_data"]["global"].as_array().cloned();
        let events = events.unwrap_or_default();
        events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(types(&first), ["x", "m.push_rules"]);
    assert_eq!(first["extensions"]["account_data"]["rooms"], json!({}));
    client.body["lists"]["all"]["ranges"] = json!([[0, 9]]);
    let second = client.next().await;
    let rooms = &second["extensions"]["account_data"]["rooms"];
    assert_eq!(rooms[a.as_str()][0]["type"], "m.tag");
    data.set_tag(&alice, &b, "u.b", &json!({})).await.unwrap();
    let third = client.next().await;
    assert_eq!(types(&third), Vec::<String>::new());
    assert!(third["extensions"]["account_data"]["rooms"].get(b.as_str()).is_some());
    assert_eq!(client.next().await["extensions"], json!({}));
}

#[tokio::test]
async fn receipts_and_typing_are_told_and_not_after_the_user_has_gone() {
    let server = Server::new();
    let room = server.room().await;
    server.join(&room, "bob").await;
    let event = server.say(&room, "alice", "hello").await;
    let extensions = json!({
        "receipts": { "enabled": true, "rooms": ["*"] }, "typing": { "enabled": true },
    });
    let mut client = Client::new(&server, "alice", with(extensions));
    assert_eq!(client.next().await["extensions"], json!({}));
    let read = async |who: &str| {
        let read = Some(event.as_str().try_into().unwrap());
        let markers = Markers { read, ..Markers::default() };
        server.sync.receipts().set(&room, &user(who), &markers).await.unwrap();
        let typing = server.sync.typing();
        typing.set(&room, &user(who), Some(Duration::from_secs(30))).await.unwrap();
    };
    read("bob").await;
    let answer = client.next().await;
    let receipt = &answer["extensions"]["receipts"]["rooms"][room.as_str()];
    assert_eq!(receipt["type"], "m.receipt");
    assert!(receipt["content"][&event]["m.read"].get(user("bob").as_str()).is_some());
    let typing = &answer["extensions"]["typing"]["rooms"][room.as_str()];
    assert_eq!(typing["content"]["user_ids"], json!([user("bob")]));
    server.sync.typing().set(&room, &user("bob"), None).await.unwrap();
    let answer = client.next().await;
    let typing = &answer["extensions"]["typing"]["rooms"][room.as_str()];
    assert_eq!(typing["content"]["user_ids"], json!([]));
    assert_eq!(client.next().await["extensions"], json!({}));
    // Whoever was put out learns nothing more.
    let mut other = Client::new(&server, "bob", client.body.clone());
    let _ = other.next().await;
    let leave =
        crate::rooms::testing::set_membership(&server.rooms, &room, ("bob", "bob"), "leave");
    leave.await.unwrap();
    let _ = other.next().await;
    read("alice").await;
    assert_eq!(other.next().await["extensions"], json!({}));
}

#[tokio::test]
async fn an_extension_may_be_for_some_rooms_only() {
    let server = Server::new();
    let (a, b) = (server.room().await, server.room().await);
    let typing = json!({ "enabled": true, "lists": [], "rooms": [a] });
    let mut body = with(json!({ "typing": typing }));
    body["room_subscriptions"] = json!({ a.as_str(): {}, b.as_str(): {} });
    let mut client = Client::new(&server, "alice", body);
    let _ = client.next().await;
    for room in [&a, &b] {
        let typing = server.sync.typing();
        typing.set(room, &user("alice"), Some(Duration::from_secs(30))).await.unwrap();
    }
    let answer = client.next().await;
    let rooms = answer["extensions"]["typing"]["rooms"].as_object().unwrap();
    assert_eq!(rooms.keys().collect::<Vec<_>>(), [a.as_str()]);
    // The other one comes into its scope, and what was going on there with it.
    client.body["extensions"]["typing"]["rooms"] = json!([a, b]);
    let answer = client.next().await;
    let rooms = answer["extensions"]["typing"]["rooms"].as_object().unwrap();
    assert_eq!(rooms.keys().collect::<Vec<_>>(), [b.as_str()]);
}

#[tokio::test]
async fn stocks_of_keys_are_told_when_they_change_and_every_extension_wakes() {
    let server = Server::new();
    let room = server.room().await;
    let extensions = json!({ "e2ee": { "enabled": true }, "typing": { "enabled": true } });
    let mut client = Client::new(&server, "alice", with(extensions));
    let first = client.next().await;
    let e2ee = &first["extensions"]["e2ee"];
    assert!(e2ee["device_one_time_keys_count"].is_object());
    assert_eq!(
        (e2ee.get("device_lists"), e2ee["device_unused_fallback_key_types"].is_array()),
        (None, true)
    );
    client.timeout = Duration::from_secs(60);
    let typing = server.sync.typing().clone();
    let wake = async {
        tokio::task::yield_now().await;
        let alice = user("alice");
        typing.set(&room, &alice, Some(Duration::from_secs(30))).await.unwrap();
    };
    let (answer, ()) = tokio::join!(client.next(), wake);
    assert!(answer["extensions"]["typing"]["rooms"].get(room.as_str()).is_some());
}

#[tokio::test]
async fn subscriptions_to_threads_are_told_newest_first() {
    let server = Server::new();
    let room = server.room().await;
    let mut roots = Vec::new();
    for n in 0..3 {
        let id = server.say(&room, "alice", &format!("root {n}")).await;
        roots.push(ruma::OwnedEventId::try_from(id).unwrap());
    }
    let threads = server.sync.thread_subscriptions();
    let alice = user("alice");
    let name = "io.element.msc4308.thread_subscriptions";
    let mut client =
        Client::new(&server, "alice", with(json!({ name: { "enabled": true, "limit": 2 } })));
    assert_eq!(client.next().await["extensions"], json!({}));
    for root in &roots {
        threads.subscribe(&alice, (&room, root), None).await.unwrap();
    }
    let answer = client.next().await;
    let section = &answer["extensions"][name];
    let subscribed = section["subscribed"][room.as_str()].as_object().unwrap();
    assert_eq!(subscribed.len(), 2);
    assert_eq!(subscribed[roots[2].as_str()]["automatic"], false);
    assert!(section["prev_batch"].is_string());
    threads.unsubscribe(&alice, (&room, &roots[0])).await.unwrap();
    let answer = client.next().await;
    let section = &answer["extensions"][name];
    assert!(section["unsubscribed"][room.as_str()][roots[0].as_str()]["bump_stamp"].is_u64());
    assert_eq!((section.get("subscribed"), section.get("prev_batch")), (None, None));
    // What a client does on its own gives way to what the user did by hand.
    let again = threads.subscribe(&alice, (&room, &roots[0]), Some(&roots[0])).await;
    assert!(matches!(again, Err(Error::ConflictingUnsubscription)));
    let elsewhere = threads.subscribe(&alice, (&room, &roots[0]), Some(&roots[1])).await;
    assert!(matches!(elsewhere, Err(Error::NotInThread)));
    let stranger = threads.get(&user("mallory"), (&room, &roots[1])).await;
    assert!(matches!(stranger, Err(Error::NotFound(_))));
}
