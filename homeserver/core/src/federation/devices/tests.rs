//! Lists of devices as other servers tell of them.

use pli_schema::records::sending::{RemoteDeviceKey, RemoteUserKey, RemoteUserRecord};
use ruma::{
    OwnedUserId, RoomVersionId, UInt, api::federation::transactions::edu::DeviceListUpdateContent,
};
use serde_json::json;

use super::*;
use crate::{
    Error,
    federation::sender::tests::{joins, sender},
    rooms::testing::{public_room, rooms, state},
};

fn remote() -> OwnedUserId {
    OwnedUserId::try_from("@u:s1.example").unwrap()
}

fn gone(stream_id: u64, prev_id: &[u64]) -> DeviceListUpdateContent {
    let stream_id = UInt::new_saturating(stream_id);
    let mut update = DeviceListUpdateContent::new(remote(), "PHONE".into(), stream_id);
    update.prev_id = prev_id.iter().map(|id| UInt::new_saturating(*id)).collect();
    update.deleted = Some(true);
    update
}

/// A device of a user of another server who shares a room, known up to place 5 of the stream.
async fn tracked() -> (Devices, Rooms, ruma::OwnedRoomId) {
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V12).await;
    joins(&rooms, &room, 1).await;
    let devices = sender(&rooms).devices();
    keep(&rooms, RemoteUserRecord { stream_id: 5, ..RemoteUserRecord::default() }).await;
    (devices, rooms, room)
}

async fn keep(rooms: &Rooms, record: RemoteUserRecord) {
    let record = &record;
    let key = &RemoteDeviceKey { user_id: remote(), device_id: "PHONE".into() };
    rooms
        .store()
        .write(|tx| async move {
            tx.put(&RemoteUserKey { user_id: remote() }, record)?;
            tx.put(key, &"{}".to_owned())?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
}

async fn known(rooms: &Rooms) -> Option<(u64, bool)> {
    let record = rooms.store().get(&RemoteUserKey { user_id: remote() }).await.unwrap();
    record.map(|record| (record.stream_id, record.stale))
}

#[tokio::test]
async fn what_follows_is_taken_over_and_a_gap_makes_the_list_stale() {
    let (devices, rooms, _) = tracked().await;
    let origin = remote().server_name().to_owned();
    let phone = RemoteDeviceKey { user_id: remote(), device_id: "PHONE".into() };
    // Another server has no say, and what is known already is no news.
    let stranger = ruma::server_name!("s2.example");
    devices.hear_device(stranger, &gone(6, &[5])).await.unwrap();
    devices.hear_device(&origin, &gone(5, &[4])).await.unwrap();
    assert_eq!(known(&rooms).await, Some((5, false)));
    assert!(rooms.store().get(&phone).await.unwrap().is_some());
    devices.hear_device(&origin, &gone(6, &[5])).await.unwrap();
    assert_eq!(known(&rooms).await, Some((6, false)));
    assert!(rooms.store().get(&phone).await.unwrap().is_none());
    devices.hear_device(&origin, &gone(9, &[8])).await.unwrap();
    assert_eq!(known(&rooms).await, Some((6, true)));
    // Stale it stays, whatever follows, until it was asked for.
    devices.hear_device(&origin, &gone(7, &[6])).await.unwrap();
    assert_eq!(known(&rooms).await, Some((6, true)));
}

#[tokio::test]
async fn who_shares_no_room_for_a_moment_is_tracked_no_more() {
    let (devices, rooms, room) = tracked().await;
    let from = rooms.store().position();
    let kick = state("alice", "m.room.member", "@u:s1.example", &json!({ "membership": "leave" }));
    rooms.append(&room, kick, None).await.unwrap();
    devices.follow_sharing(from, rooms.store().position()).await.unwrap();
    assert_eq!(known(&rooms).await, None);
    keep(&rooms, RemoteUserRecord { stream_id: 5, ..RemoteUserRecord::default() }).await;
    let from = rooms.store().position();
    joins(&rooms, &room, 1).await;
    let kick = state("alice", "m.room.member", "@u:s1.example", &json!({ "membership": "leave" }));
    rooms.append(&room, kick, None).await.unwrap();
    joins(&rooms, &room, 1).await;
    devices.follow_sharing(from, rooms.store().position()).await.unwrap();
    assert_eq!(known(&rooms).await, Some((5, true)));
}
