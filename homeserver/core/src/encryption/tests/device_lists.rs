//! Device lists.

use super::*;

fn users(list: &[&Device]) -> Vec<OwnedUserId> {
    list.iter().map(|device| device.user.clone()).collect()
}

async fn alice_and_bob() -> (World, Device, Device) {
    let world = World::new();
    let alice = world.device("@alice:x", "A").await;
    let bob = world.device("@bob:x", "B").await;
    for user in [&alice, &bob] {
        world.member(&user.user, 1, Membership::Join).await;
    }
    (world, alice, bob)
}

#[tokio::test]
async fn new_keys_are_told_to_those_who_share_a_room_and_to_oneself() {
    let (mut world, alice, bob) = alice_and_bob().await;
    let stranger = world.device("@stranger:x", "S").await;
    world.member(&stranger.user, 2, Membership::Join).await;
    let since = world.store.position();
    world.upload(&bob, bob.keys()).await.unwrap();
    world.restart();
    assert_eq!(world.updates(&alice, since).await.changed, users(&[&bob]));
    assert_eq!(world.updates(&bob, since).await.changed, users(&[&bob]));
    assert!(world.updates(&stranger, since).await.is_empty());
    // The same keys again change nothing.
    let since = world.store.position();
    world.upload(&bob, bob.keys()).await.unwrap();
    world.upload(&bob, bob.one_time_keys(&["a"])).await.unwrap();
    assert!(world.updates(&alice, since).await.is_empty());
}

#[tokio::test]
async fn a_removed_device_is_told_if_it_had_keys() {
    let (world, alice, bob) = alice_and_bob().await;
    world.upload(&bob, bob.keys()).await.unwrap();
    let since = world.store.position();
    let (user, id) = (&bob.user, &bob.id);
    for _ in 0..2 {
        let remove = |tx| async move { remove_device(&tx, user, id).await };
        world.store.write(remove).await.unwrap();
    }
    assert_eq!(world.updates(&alice, since).await.changed, users(&[&bob]));
    let since = world.store.position();
    world.store.write(|tx| async move { remove_device(&tx, user, id).await }).await.unwrap();
    assert!(world.updates(&alice, since).await.is_empty());
}

#[tokio::test]
async fn who_newly_shares_a_room_is_changed_and_who_shares_none_has_left() {
    let (mut world, alice, bob) = alice_and_bob().await;
    let carol = world.device("@carol:x", "C").await;
    let since = world.store.position();
    world.member(&carol.user, 1, Membership::Join).await;
    // Bob shares a second room, which is no news.
    world.member(&alice.user, 2, Membership::Join).await;
    world.member(&bob.user, 2, Membership::Join).await;
    world.restart();
    let seen = world.updates(&alice, since).await;
    assert_eq!((seen.changed, seen.left), (users(&[&carol]), vec![]));
    assert_eq!(world.updates(&carol, since).await.changed, users(&[&alice, &bob]));

    let since = world.store.position();
    world.member(&bob.user, 1, Membership::Leave).await;
    assert!(world.updates(&alice, since).await.is_empty());
    world.member(&bob.user, 2, Membership::Ban).await;
    let seen = world.updates(&alice, since).await;
    assert_eq!((seen.changed, seen.left), (vec![], users(&[&bob])));
    assert_eq!(world.updates(&bob, since).await.left, users(&[&alice, &carol]));
}

#[tokio::test]
async fn leaving_and_coming_back_between_two_syncs_asks_for_the_keys_again() {
    let (world, alice, bob) = alice_and_bob().await;
    let since = world.store.position();
    world.member(&bob.user, 1, Membership::Leave).await;
    world.upload(&bob, bob.keys()).await.unwrap();
    world.member(&bob.user, 1, Membership::Join).await;
    let seen = world.updates(&alice, since).await;
    assert_eq!((seen.changed, seen.left), (users(&[&bob]), vec![]));
}

#[tokio::test]
async fn both_leaving_the_last_room_is_told_to_both() {
    let (world, alice, bob) = alice_and_bob().await;
    let since = world.store.position();
    world.member(&alice.user, 1, Membership::Leave).await;
    world.member(&bob.user, 1, Membership::Leave).await;
    assert_eq!(world.updates(&alice, since).await.left, users(&[&bob]));
    assert_eq!(world.updates(&bob, since).await.left, users(&[&alice]));
}

#[tokio::test]
async fn the_stream_keeps_one_row_per_user() {
    use pli_schema::records::encryption::DeviceListChangeKey;
    let (world, alice, _) = alice_and_bob().await;
    let user = &alice.user;
    for _ in 0..5 {
        world.store.write(|tx| async move { device_list_changed(&tx, user).await }).await.unwrap();
    }
    let rows = world.store.scan(&pli_store::Scan::<DeviceListChangeKey>::prefix(())).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].position, world.store.position());
}
