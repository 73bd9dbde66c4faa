//! How long it takes to join large rooms of another server: run by hand, figures are printed.

use std::{sync::Arc, time::Instant};

use pli_core::rooms::Rooms;
use pli_tests::server::TestUser;
use ruma::{OwnedUserId, RoomId};

use crate::joins::{join_via, public_room, two};

async fn fill(rooms: &Rooms, room: &str, server: &str, members: usize) {
    let room_id = RoomId::parse(room).unwrap();
    let tasks = (0..16).map(|task| {
        let (rooms, room_id, server) = (rooms.clone(), room_id.clone(), Arc::<str>::from(server));
        tokio::spawn(async move {
            for n in (task..members).step_by(16) {
                let user = OwnedUserId::try_from(format!("@m{n}:{server}")).unwrap();
                rooms.join(&user, &room_id, None).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

async fn members(user: &TestUser, room: &str) -> usize {
    let path = format!("/_matrix/client/v3/rooms/{room}/joined_members");
    user.get(&path).await.ok()["joined"].as_object().unwrap().len()
}

async fn measure(count: usize) {
    let ((a, alice), (_b, bob)) = two().await;
    let room = public_room(&alice, "12").await;
    fill(&a.state().rooms, &room, &a.server_name, count).await;
    let start = Instant::now();
    join_via(&bob, &room, &a).await;
    let joined = start.elapsed();
    let start = Instant::now();
    bob.sync(None).await;
    println!("{count} members: joined in {joined:?}, first sync in {:?}", start.elapsed());
    assert_eq!(members(&bob, &room).await, count + 2);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes, and the figures depend on the build"]
async fn a_room_of_a_thousand_members() {
    measure(1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes, and the figures depend on the build"]
async fn a_room_of_ten_thousand_members() {
    measure(10_000).await;
}
