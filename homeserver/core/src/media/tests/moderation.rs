//! Quotas, quarantine, deletion.

use pli_schema::records::media::MediaUsageRecord;

use super::*;

fn admin() -> &'static UserId {
    user_id!("@admin:x")
}

fn id(uri: &OwnedMxcUri) -> String {
    uri.parts().unwrap().1.to_owned()
}

async fn kept(world: &World) -> usize {
    world.media.store.scan(&Scan::<MediaBytesKey>::prefix(())).await.unwrap().len()
}

#[tokio::test]
async fn a_quota_holds_for_bytes_and_files_and_is_given_back() {
    let settings =
        MediaSettings { user_quota_bytes: 100, user_quota_files: 3, ..MediaSettings::default() };
    let world = world_with(settings, MediaFiles::in_memory());
    let first = world.upload("a/b", &[1; 60]).await.unwrap();
    assert!(matches!(world.upload("a/b", &[2; 41]).await, Err(Error::Forbidden(_))));
    assert_eq!(kept(&world).await, 1, "what was refused left bytes");
    world.upload("a/b", &[2; 40]).await.unwrap();
    world.media.delete(admin(), &id(&first)).await.unwrap();
    let usage = world.media.usage(alice()).await.unwrap();
    assert_eq!(usage, MediaUsageRecord { files: 1, bytes: 40 });
    world.upload("a/b", &[3]).await.unwrap();
    let (later, _) = world.media.create(alice()).await.unwrap();
    world.put(alice(), &later, &[4]).await.unwrap();
    assert!(matches!(world.upload("a/b", &[5]).await, Err(Error::Forbidden(_))));
    assert!(matches!(world.media.create(alice()).await, Err(Error::Forbidden(_))));
    let bob = user_id!("@bob:x");
    world.media.create(bob).await.unwrap();
}

#[tokio::test]
async fn content_out_of_circulation_is_served_under_no_name() {
    let world = world();
    let first = world.upload("image/png", b"bad").await.unwrap();
    let second = world.upload("image/png", b"bad").await.unwrap();
    world.media.quarantine(admin(), &id(&first), true).await.unwrap();
    let third = world.upload("image/png", b"bad").await.unwrap();
    for uri in [&first, &second, &third] {
        assert!(matches!(world.file(uri).await, Err(Error::NotFound(_))));
        let thumbnail = world.thumbnail(uri, (32, 32), Method::Crop).await;
        assert!(matches!(thumbnail, Err(Error::NotFound(_))));
        let entry = world.media.known(&id(uri)).await.unwrap();
        assert_eq!(entry.quarantine.unwrap().by, admin());
    }
    world.media.quarantine(admin(), &id(&second), false).await.unwrap();
    world.file(&first).await.unwrap();
    let unknown = world.media.quarantine(admin(), "unknown", true).await;
    assert!(matches!(unknown, Err(Error::NotFound(_))));
    let log = crate::audit::Audit::new(world.media.store.clone());
    let actions: Vec<_> =
        log.newest(None, 10).await.unwrap().into_iter().map(|(_, entry)| entry.action).collect();
    assert_eq!(actions, ["media.release", "media.quarantine"]);
}

#[tokio::test]
async fn bytes_go_with_the_last_file_that_names_them_and_its_thumbnails() {
    let world = world();
    let bytes = encoded(&photo(400, 300), ImageFormat::Png);
    let first = world.upload("image/png", &bytes).await.unwrap();
    let second = world.upload("image/png", &bytes).await.unwrap();
    let file = world.file(&first).await.unwrap();
    let small = world.thumbnail(&first, (32, 32), Method::Crop).await.unwrap();
    let same = world.thumbnail(&first, (600, 400), Method::Scale).await.unwrap();
    assert_eq!(same.hash, file.hash);
    world.media.delete(admin(), &id(&first)).await.unwrap();
    assert!(matches!(world.file(&first).await, Err(Error::NotFound(_))));
    assert_eq!(world.bytes(&world.file(&second).await.unwrap(), None).await.unwrap(), bytes);
    assert_eq!(kept(&world).await, 2);
    world.media.delete(admin(), &id(&second)).await.unwrap();
    assert_eq!(kept(&world).await, 0);
    for file in [file, small] {
        assert!(world.bytes(&file, None).await.is_err(), "the bytes are on the disk still");
    }
    let kept = world.media.store.scan(&Scan::<ThumbnailKey>::prefix(())).await.unwrap();
    assert!(kept.is_empty());
    // The same once more, as if it had never been.
    let again = world.upload("image/png", &bytes).await.unwrap();
    assert_eq!(world.bytes(&world.file(&again).await.unwrap(), None).await.unwrap(), bytes);
}

#[tokio::test]
async fn files_are_listed_in_pages_by_user_and_all() {
    let world = world();
    let bob = user_id!("@bob:x");
    for n in 0..5_u8 {
        world.clock.advance_ms(1);
        world.upload("a/b", &[n]).await.unwrap();
    }
    let (uri, _) = world.media.create(bob).await.unwrap();
    world.put(bob, &uri, b"of bob").await.unwrap();
    for user in [Some(alice()), None] {
        let (mut from, mut seen) = (None, Vec::new());
        loop {
            let page = world.media.list(user, from.as_deref(), 2).await.unwrap();
            assert!(page.entries.len() <= 2);
            seen.extend(page.entries);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), if user.is_some() { 5 } else { 6 });
        if user.is_some() {
            assert!(seen.is_sorted_by_key(|entry| std::cmp::Reverse(entry.record.created_ms)));
        }
    }
    let nonsense = world.media.list(Some(alice()), Some("x"), 2).await;
    assert!(matches!(nonsense, Err(Error::InvalidParam(_))));
    assert_eq!(world.media.delete_of(admin(), alice()).await.unwrap(), 5);
    assert_eq!(world.media.list(None, None, 10).await.unwrap().entries.len(), 1);
}

#[tokio::test]
async fn the_sweep_removes_what_waits_for_no_upload_and_bytes_without_a_file() {
    let world = world();
    world.media.create(alice()).await.unwrap();
    let uri = world.upload("a/b", b"x").await.unwrap();
    let file = world.file(&uri).await.unwrap();
    let sweep = async || world.media.sweep(NOW).await.unwrap();
    assert_eq!(sweep().await, 0);
    world.clock.advance_ms(PENDING_LIFETIME_MS + 1);
    assert_eq!(sweep().await, 1);
    // As if the server had stopped between the two steps of a deletion.
    let key = &MediaBytesKey { hash: file.hash };
    let mut record = world.media.store.get(key).await.unwrap().unwrap();
    record.uses = 0;
    let write = world.media.store.write(|tx| async move {
        tx.put(key, &record)?;
        Ok::<_, Error>(())
    });
    write.await.unwrap();
    assert_eq!(sweep().await, 1);
    assert!(world.bytes(&file, None).await.is_err());
}
