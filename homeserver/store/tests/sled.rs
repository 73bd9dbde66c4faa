//! What holds for stores on disk only: opening, refusing, repairing.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails loudly"
)]

mod common;

use std::path::Path;

use common::options;
use pli_schema::records::meta::{FormatKey, FormatRecord, NumberBlockKey};
use pli_store::{Durability, OpenOptions, Opened, Store, StoreError};

async fn open(dir: &Path) -> Result<(Store, Opened), StoreError> {
    Store::open(options(dir, Durability::Sync)).await
}

async fn put(store: &Store, kind: u8, value: u64) {
    let written = store
        .write::<_, StoreError, _, _>(|tx| async move { tx.put(&NumberBlockKey { kind }, &value) });
    written.await.unwrap();
}

/// A store with 200 rows, closed.
async fn filled(dir: &Path) {
    let (store, opened) = open(dir).await.unwrap();
    assert!(opened.is_new);
    for n in 0..200 {
        put(&store, n, u64::from(n)).await;
    }
    store.close().await.unwrap();
}

async fn assert_all_there(dir: &Path) {
    let (store, opened) = open(dir).await.unwrap();
    assert!(!opened.is_new);
    for n in 0..200 {
        assert_eq!(store.get(&NumberBlockKey { kind: n }).await.unwrap(), Some(u64::from(n)));
    }
    assert_eq!(store.position(), opened.position);
    store.close().await.unwrap();
}

#[tokio::test]
async fn everything_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    assert_all_there(dir.path()).await;
    let (store, opened) = open(dir.path()).await.unwrap();
    let before = opened.position;
    put(&store, 1, 7).await;
    assert_eq!(store.position(), before.next());
}

#[tokio::test]
async fn dropping_the_last_handle_closes_the_store() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..5_u64 {
        let (store, _) = open(dir.path()).await.unwrap();
        assert_eq!(store.get(&NumberBlockKey { kind: 0 }).await.unwrap().unwrap_or(0), n);
        put(&store, 0, n + 1).await;
    }
}

#[tokio::test]
async fn a_second_process_gets_a_clear_message() {
    let dir = tempfile::tempdir().unwrap();
    let (_first, _) = open(dir.path()).await.unwrap();
    let Err(StoreError::Unusable(text)) = open(dir.path()).await else { panic!("opened twice") };
    assert!(text.contains("in use by another process"), "{text}");
    assert!(text.contains(&std::process::id().to_string()), "{text}");
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path()).await.unwrap();
    store.close().await.unwrap();
    let read = store.get(&NumberBlockKey { kind: 0 }).await;
    assert!(matches!(read, Err(StoreError::Closed)), "{read:?}");
    let written = store
        .write::<_, StoreError, _, _>(|tx| async move { tx.put(&NumberBlockKey { kind: 0 }, &1) })
        .await;
    assert!(matches!(written, Err(StoreError::Closed)), "{written:?}");
}

#[tokio::test]
async fn another_servers_data_and_a_newer_format_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let other = OpenOptions {
        server_name: "other.example".to_owned(),
        ..options(dir.path(), Durability::Sync)
    };
    let Err(StoreError::Unusable(text)) = Store::open(other).await else { panic!("opened") };
    assert!(text.contains("pli.example") && text.contains("other.example"), "{text}");

    let (store, _) = open(dir.path()).await.unwrap();
    let record = &FormatRecord {
        product: "pli".to_owned(),
        format: 99,
        server_name: "pli.example".to_owned(),
    };
    let newer =
        store.write::<_, StoreError, _, _>(|tx| async move { tx.put(&FormatKey {}, record) });
    newer.await.unwrap();
    store.close().await.unwrap();
    let Err(StoreError::Unusable(text)) = open(dir.path()).await else { panic!("opened") };
    assert!(text.contains("format 99"), "{text}");
}

#[tokio::test]
async fn a_damaged_snapshot_or_conf_is_done_without() {
    for (file, keep) in [
        ("snap.", 0.0),
        ("snap.", 0.5),
        ("snap.", 0.99),
        ("conf", 0.0),
        ("conf", 0.5),
        ("conf", 0.9),
    ] {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path()).await;
        // The snapshot is written by an opening.
        assert_all_there(dir.path()).await;
        let mut found = 0;
        for entry in std::fs::read_dir(dir.path().join("sled")).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name().to_string_lossy().starts_with(file) {
                let bytes = std::fs::read(entry.path()).unwrap();
                let length = (bytes.len() as f64 * keep) as usize;
                std::fs::write(entry.path(), &bytes[..length]).unwrap();
                found += 1;
            }
        }
        assert_eq!(found, 1, "{file}");
        assert_all_there(dir.path()).await;
    }
}

#[tokio::test]
async fn a_snapshot_that_a_crash_left_half_made_is_done_without() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let half_made = dir.path().join("sled/snap.00000000000FFFFF.generating");
    std::fs::write(&half_made, b"").unwrap();
    assert_all_there(dir.path()).await;
    assert!(!half_made.exists());
}

#[tokio::test]
async fn a_store_whose_end_is_missing_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let copy = tempfile::tempdir().unwrap();
    let copy_of_engine = copy.path().join("sled");
    std::fs::create_dir_all(copy_of_engine.join("blobs")).unwrap();
    for file in ["db", "conf"] {
        std::fs::copy(dir.path().join("sled").join(file), copy_of_engine.join(file)).unwrap();
    }
    let (store, _) = open(dir.path()).await.unwrap();
    put(&store, 0, 1_000).await;
    store.close().await.unwrap();
    std::fs::copy(dir.path().join("position"), copy.path().join("position")).unwrap();
    let Err(StoreError::Corrupt(text)) = open(copy.path()).await else { panic!("opened") };
    assert!(text.contains("restore"), "{text}");
}
