//! Key backups.

use super::{
    backup::{BackedUpKey, BackedUpKeys, BackupDescription},
    *,
};

fn description(algorithm: &str) -> BackupDescription {
    serde_json::from_value(json!({ "algorithm": algorithm, "auth_data": { "a": 1 } })).unwrap()
}

fn key(first: u64, forwarded: u64, verified: bool, data: &str) -> BackedUpKey {
    serde_json::from_value(json!({
        "first_message_index": first, "forwarded_count": forwarded, "is_verified": verified,
        "session_data": { "d": data },
    }))
    .unwrap()
}

fn keys(room: &str, session: &str, key: BackedUpKey) -> BackedUpKeys {
    let room = ruma::RoomId::parse(room).unwrap();
    BTreeMap::from([(room, BTreeMap::from([(session.to_owned(), key)]))])
}

fn alice() -> OwnedUserId {
    UserId::parse("@alice:x").unwrap()
}

#[tokio::test]
async fn versions_are_made_replaced_and_deleted() {
    let world = World::new();
    let encryption = &world.encryption;
    let user = alice();
    assert!(matches!(encryption.backup(&user, None).await, Err(Error::NotFound(_))));
    let first = encryption.create_backup(&user, &description("a")).await.unwrap();
    let second = encryption.create_backup(&user, &description("b")).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(encryption.backup(&user, None).await.unwrap().version, second);
    assert_eq!(encryption.backup(&user, Some(&first)).await.unwrap().algorithm, "a");
    let wrong = encryption.update_backup(&user, &first, &description("b")).await;
    assert!(matches!(wrong, Err(Error::InvalidParam(_))));
    encryption.update_backup(&user, &first, &description("a")).await.unwrap();
    let put = encryption.put_backup_keys(&user, &first, &BackedUpKeys::new()).await.unwrap_err();
    assert!(
        matches!(put, Error::WrongRoomKeysVersion { current_version } if current_version == second)
    );
    for _ in 0..2 {
        encryption.delete_backup(&user, &second).await.unwrap();
    }
    assert!(matches!(encryption.delete_backup(&user, "77").await, Err(Error::NotFound(_))));
    assert_eq!(encryption.backup(&user, None).await.unwrap().version, first);
    let third = encryption.create_backup(&user, &description("a")).await.unwrap();
    assert!(![first, second].contains(&third));
}

#[tokio::test]
async fn the_better_key_stays() {
    let world = World::new();
    let encryption = &world.encryption;
    let user = alice();
    let version = encryption.create_backup(&user, &description("a")).await.unwrap();
    let room: ruma::OwnedRoomId = ruma::RoomId::parse("!r:x").unwrap();
    let mut etag = None;
    for (new, expected) in [
        (key(5, 5, false, "first"), "first"),
        (key(6, 0, false, "later message"), "first"),
        (key(5, 6, false, "more forwards"), "first"),
        (key(5, 5, false, "equal"), "first"),
        (key(5, 4, false, "fewer forwards"), "fewer forwards"),
        (key(4, 9, false, "earlier message"), "earlier message"),
        (key(9, 9, true, "verified"), "verified"),
        (key(0, 0, false, "not verified"), "verified"),
    ] {
        let is_new = new.session_data.get().contains(&format!("\"{expected}\""));
        let upload = keys("!r:x", "s", new);
        let state = encryption.put_backup_keys(&user, &version, &upload).await.unwrap();
        assert_eq!(state.count, 1);
        assert_eq!(etag != Some(state.etag), is_new, "{expected}");
        etag = Some(state.etag);
        let got = encryption.backup_keys(&user, &version, Some(&room), Some("s")).await.unwrap();
        assert!(got[&room]["s"].session_data.get().contains(expected));
    }
}

#[tokio::test]
async fn large_uploads_are_kept_whole_and_deleted_in_part() {
    let world = World::new();
    let encryption = &world.encryption;
    let user = alice();
    let version = encryption.create_backup(&user, &description("a")).await.unwrap();
    let mut upload = BackedUpKeys::new();
    for n in 0..1_050 {
        let room = ruma::RoomId::parse(format!("!r{}:x", n % 3)).unwrap();
        let sessions = upload.entry(room).or_default();
        sessions.insert(format!("s{n}"), key(0, 0, true, "x"));
    }
    let state = encryption.put_backup_keys(&user, &version, &upload).await.unwrap();
    assert_eq!(state.count, 1_050);
    let got = encryption.backup_keys(&user, &version, None, None).await.unwrap();
    assert_eq!(got.values().map(BTreeMap::len).sum::<usize>(), 1_050);
    let room: ruma::OwnedRoomId = ruma::RoomId::parse("!r0:x").unwrap();
    let state =
        encryption.delete_backup_keys(&user, &version, Some(&room), Some("s0")).await.unwrap();
    assert_eq!(state.count, 1_049);
    let state = encryption.delete_backup_keys(&user, &version, Some(&room), None).await.unwrap();
    assert_eq!(state.count, 700);
    let missing = encryption.backup_keys(&user, &version, Some(&room), Some("s0")).await;
    assert!(matches!(missing, Err(Error::NotFound(_))));
    assert_eq!(encryption.delete_backup_keys(&user, &version, None, None).await.unwrap().count, 0);
}
