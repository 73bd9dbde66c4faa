//! From the log to the queues, with many servers in a room.

use std::{collections::BTreeMap, sync::Arc};

use pli_federation::event_format::Pdu;
use pli_schema::records::sending::{
    DestinationKey, SendBehindKey, SendQueueKey, SendWatermarkKey, ToDeviceOutKey,
};
use pli_store::Scan;
use ruma::{OwnedRoomId, OwnedServerName, RoomVersionId};
use serde_json::json;

use super::{peers::QUEUE_MAX, *};
use crate::{
    Notifier,
    federation::{
        Devices, DevicesParts, KeyRing, Network, Openness, OwnKeys, Partners, Remote, RemoteParts,
    },
    outgoing::Servers,
    rooms::{
        Verdict,
        testing::{public_room, rooms, set_membership, text, user},
    },
};

pub(in crate::federation) fn sender(rooms: &Rooms) -> Sender {
    let clock = rooms.clock().clone();
    let servers = Servers::new(None, true).unwrap();
    let key = Arc::new(crate::SigningKey::from_seed(&[7; 32], "1").unwrap());
    let name = rooms.server_name().to_owned();
    let remote = Remote::new(RemoteParts {
        network: Network::new(servers.clone(), clock.clone()),
        servers,
        own: OwnKeys::new(name.clone(), key, BTreeMap::new(), clock.clone()),
        partners: Partners::new(
            rooms.store().clone(),
            clock.clone(),
            Openness { enabled: true, open: true },
        ),
    });
    let keys = KeyRing::new(rooms.store().clone(), clock.clone(), remote.clone(), Vec::new());
    let signed = Signed::new(remote, keys);
    let encryption = Encryption::new(rooms.store().clone(), clock, name).federating(true);
    let notifier = Notifier::new(rooms.clone());
    let random = Random::seeded(1);
    let devices = Devices::new(DevicesParts {
        rooms: rooms.clone(),
        encryption: encryption.clone(),
        signed: signed.clone(),
        random: random.clone(),
    });
    Sender::new(SenderParts {
        rooms: rooms.clone(),
        encryption,
        devices,
        receipts: Receipts::new(rooms.clone()),
        typing: Typing::new(rooms.clone(), notifier.clone()),
        presence: Presence::new(rooms.clone(), notifier, false),
        signed,
        random,
    })
}

/// Lets a user of another server join, as a resident server would hand it over.
pub(in crate::federation) async fn joins(rooms: &Rooms, room_id: &OwnedRoomId, server: usize) {
    let number = rooms.room_number(room_id).await.unwrap().unwrap();
    let head = rooms.head(number).await.unwrap();
    let sender = format!("@u:s{server}.example");
    let mut auth_events = Vec::new();
    for event_type in ["m.room.power_levels", "m.room.join_rules"] {
        let event = rooms.current_state_event(number, event_type, "").await.unwrap().unwrap();
        auth_events.push(event.record.event_id.clone());
    }
    let prev: Vec<_> = head.extremities.iter().map(|end| end.event_id.clone()).collect();
    let event = json!({
        "type": "m.room.member", "room_id": room_id, "sender": sender, "state_key": sender,
        "content": { "membership": "join" }, "depth": head.depth + 1, "prev_events": prev,
        "auth_events": auth_events, "origin_server_ts": 1_700_000_000_000_u64, "hashes": {},
        "signatures": {},
    });
    let pdu = Pdu::parse(None, &event.to_string(), &RoomVersionId::V12).unwrap();
    let verdicts = rooms.accept(number, &[Arc::new(pdu)]).await.unwrap();
    assert_eq!(verdicts, [Ok(Verdict::Accepted)]);
}

/// Looks at the whole log, as [`Sender::run`] does, without sending.
async fn look(sender: &Sender, from: Position) -> Run {
    let told = edus::Told::begin(from, &sender.parts);
    let peers = Peers::paused(sender.clone());
    let mut run = Run { at: from, written: from, peers, told };
    while sender.route(&mut run).await.unwrap() {}
    run
}

async fn queued(sender: &Sender) -> BTreeMap<OwnedServerName, usize> {
    let rows = sender.store().scan(&Scan::<SendQueueKey>::prefix(())).await.unwrap();
    let mut queued = BTreeMap::new();
    for row in rows {
        *queued.entry(row.key.destination).or_default() += 1;
    }
    queued
}

#[tokio::test]
async fn a_message_is_queued_once_for_each_of_a_hundred_servers() {
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V12).await;
    for server in 0..100 {
        joins(&rooms, &room, server).await;
    }
    let sender = sender(&rooms);
    let from = rooms.store().position();
    rooms.append(&room, text("alice", "hello"), None).await.unwrap();
    let run = look(&sender, from).await;
    let first = queued(&sender).await;
    assert_eq!(first.len(), 100);
    assert!(first.values().all(|count| *count == 1));
    // The place is written with the rows: whoever looks again from there finds nothing new.
    let place = rooms.store().get(&SendWatermarkKey {}).await.unwrap();
    assert_eq!(place, Some(run.at));
    look(&sender, run.at).await;
    assert_eq!(queued(&sender).await, first);
    // The servers are known: the state of the room has not changed since.
    let number = rooms.room_number(&room).await.unwrap().unwrap();
    let before = rooms.residents(number).await.unwrap();
    rooms.append(&room, text("alice", "again"), None).await.unwrap();
    look(&sender, run.at).await;
    assert!(Arc::ptr_eq(&before, &rooms.residents(number).await.unwrap()));
    assert!(queued(&sender).await.values().all(|count| *count == 2));
}

#[tokio::test]
async fn only_what_happens_while_a_server_is_in_the_room_is_for_it() {
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V12).await;
    let sender = sender(&rooms);
    let from = rooms.store().position();
    rooms.append(&room, text("alice", "before"), None).await.unwrap();
    joins(&rooms, &room, 1).await;
    rooms.append(&room, text("alice", "while"), None).await.unwrap();
    let content = json!({ "membership": "ban" });
    let ban = crate::rooms::testing::state("alice", "m.room.member", "@u:s1.example", &content);
    rooms.append(&room, ban, None).await.unwrap();
    rooms.append(&room, text("alice", "after"), None).await.unwrap();
    set_membership(&rooms, &room, ("alice", "bob"), "invite").await.unwrap();
    look(&sender, from).await;
    let server = OwnedServerName::try_from("s1.example").unwrap();
    // The message and the ban.
    assert_eq!(queued(&sender).await, BTreeMap::from([(server, 2)]));
}

#[tokio::test]
async fn a_full_queue_notes_rooms_and_is_caught_up_from_them() {
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V12).await;
    joins(&rooms, &room, 1).await;
    let sender = sender(&rooms);
    let from = rooms.store().position();
    for n in 0..QUEUE_MAX + 60 {
        rooms.append(&room, text("alice", &n.to_string()), None).await.unwrap();
    }
    look(&sender, from).await;
    let server = OwnedServerName::try_from("s1.example").unwrap();
    assert_eq!(queued(&sender).await, BTreeMap::from([(server.clone(), QUEUE_MAX)]));
    let behind = rooms.store().scan(&Scan::<SendBehindKey>::prefix(())).await.unwrap();
    assert_eq!(behind.len(), 1);
    // Taken one after the other: each transaction is in the store before it is sent.
    let lane = peers::Lane::default();
    let (mut record, mut acked, mut sent) = (<_>::default(), None, Vec::new());
    while let Some(outbound) = sender.next((&server, &lane), &mut record, acked).await.unwrap() {
        let key = DestinationKey { destination: server.clone() };
        let stored = rooms.store().get(&key).await.unwrap().unwrap();
        assert_eq!(stored.pending.as_ref(), Some(&outbound.pending));
        // After a crash the same transaction is sent again.
        let again = sender.again(&server, outbound.pending.clone()).await.unwrap();
        assert_eq!((&again.pdus, &again.edus), (&outbound.pdus, &outbound.edus));
        assert!(outbound.pdus.len() <= 50);
        sent.extend(outbound.pdus.clone());
        acked = Some(outbound.pending);
    }
    // The queue in order, then the newest, and nothing twice.
    assert!(sent.len() > QUEUE_MAX && sent.len() < QUEUE_MAX + 60);
    assert!(sent.last().unwrap().contains(&format!("\"{}\"", QUEUE_MAX + 59)));
    let mut unique = sent.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), sent.len());
    assert_eq!(sender.waiting().await.unwrap(), Vec::<OwnedServerName>::new());
    assert!(rooms.store().scan(&Scan::<SendBehindKey>::prefix(())).await.unwrap().is_empty());
}

#[tokio::test]
async fn messages_to_devices_wait_by_server_and_come_in_once() {
    let rooms = rooms();
    let sender = sender(&rooms);
    let encryption = &sender.parts.encryption;
    let content = ruma::serde::Raw::from_json(crate::rooms::testing::raw(&json!({ "n": 1 })));
    let messages: crate::encryption::ToDeviceMessages = BTreeMap::from([(
        "@bob:s1.example".try_into().unwrap(),
        BTreeMap::from([(ruma::to_device::DeviceIdOrAllDevices::AllDevices, content)]),
    )]);
    let alice = user("alice");
    let device = (&*alice, "DEVICE".into());
    for _ in 0..2 {
        let (event_type, txn) = ("m.dummy".into(), "txn".into());
        encryption.send_to_device(device, &event_type, txn, &messages).await.unwrap();
    }
    let rows = rooms.store().scan(&Scan::<ToDeviceOutKey>::prefix(())).await.unwrap();
    assert_eq!(rows.len(), 1);
    let edu: serde_json::Value = serde_json::from_str(&rows[0].record).unwrap();
    assert_eq!(edu["content"]["messages"], json!({ "@bob:s1.example": { "*": { "n": 1 } } }));
    assert_eq!(sender.waiting().await.unwrap(), ["s1.example"]);
}
