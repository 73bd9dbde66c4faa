//! `check`, `backup` and `restore`.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails loudly"
)]

mod common;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use common::options;
use pli_schema::{
    EventNumber, Key, Position, RoomNumber, Stamp, StateKeyNumber, StateRoot,
    records::{
        meta::{NumberBlockKey, StateNodeKey},
        rooms::{StateKeyKey, StateTypeKey, TimelineKey, TimelineRecord},
    },
};
use pli_store::{Durability, Scan, StateTree, Store, StoreError, encode_value, restore};

async fn open(dir: &Path) -> Store {
    Store::open(options(dir, Durability::Relaxed)).await.unwrap().0
}

async fn event(store: &Store, room: u64, n: u64) -> Position {
    // Three rows that belong together: a timeline entry, its mirror, and a counter; and one row that
    // every second transaction removes again.
    let (_, position) = store
        .write_at::<_, StoreError, _, _>(|tx| async move {
            let key = TimelineKey { room: RoomNumber(room), at: Stamp::Commit, index: 0 };
            tx.put(&key, &TimelineRecord { event: EventNumber(n) })?;
            tx.put(&StateTypeKey { event_type: format!("{room}/{n}") }, &n)?;
            let counter = NumberBlockKey { kind: room as u8 };
            let count = tx.get(&counter).await?.unwrap_or(0) + 1;
            tx.put(&counter, &count)?;
            let flag = StateKeyKey { type_number: room, state_key: "flag".to_owned() };
            if count % 2 == 0 {
                tx.delete(&flag)
            } else {
                tx.put(&flag, &count)?
            }
            Ok(())
        })
        .await
        .unwrap();
    position
}

/// Every transaction is there whole or not at all. The number of events.
async fn assert_consistent(store: &Store, rooms: u64) -> u64 {
    let mut total = 0;
    for room in 0..rooms {
        let scan = Scan::<TimelineKey>::prefix((RoomNumber(room),));
        let timeline = store.scan(&scan).await.unwrap();
        for row in &timeline {
            let mirror = StateTypeKey { event_type: format!("{room}/{}", row.record.event.0) };
            let mirror = store.get_stored(&mirror).await.unwrap().unwrap();
            assert_eq!(mirror.position, row.position);
        }
        let count = store.get(&NumberBlockKey { kind: room as u8 }).await.unwrap().unwrap_or(0);
        assert_eq!(count, timeline.len() as u64);
        let flag = StateKeyKey { type_number: room, state_key: "flag".to_owned() };
        let flag = store.get(&flag).await.unwrap();
        assert_eq!(flag, (count % 2 == 1).then_some(count));
        total += count;
    }
    let mirrors = store.scan::<StateTypeKey>(&Scan::prefix(())).await.unwrap();
    assert_eq!(mirrors.len() as u64, total);
    total
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_whole_and_has_all_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("store")).await;
    for n in 0..1_500 {
        event(&store, n % 8, n).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(AtomicU64::new(0));
    let writers = (0..8_u64).map(|room| {
        let (store, stop, acknowledged) = (store.clone(), stop.clone(), acknowledged.clone());
        tokio::spawn(async move {
            let mut n = 10_000;
            while !stop.load(Ordering::SeqCst) {
                event(&store, room, n).await;
                acknowledged.fetch_add(1, Ordering::SeqCst);
                n += 1;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let file = dir.path().join("backup");
    let mut reports = Vec::new();
    for round in 0..3 {
        let before = acknowledged.load(Ordering::SeqCst);
        while acknowledged.load(Ordering::SeqCst) < before + 50 {
            tokio::task::yield_now().await;
        }
        let file = file.with_extension(round.to_string());
        let known = store.position();
        let report = store.backup(file.clone(), |_| {}).await.unwrap();
        assert!(report.position >= known);
        reports.push((file, report));
    }
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    let events_at = |position: Position| {
        let store = store.clone();
        async move {
            let mut total = 0;
            for room in 0..8 {
                let scan = Scan::<TimelineKey>::prefix((RoomNumber(room),));
                let rows = store.scan(&scan).await.unwrap();
                total += rows.iter().filter(|row| row.position <= position).count() as u64;
            }
            total
        }
    };
    for (file, report) in reports {
        let to = file.with_extension("restored");
        let restored = restore(file, to.clone(), |_| {}).await.unwrap();
        assert_eq!(restored, report);
        let copy = open(&to).await;
        assert_eq!(copy.position(), report.position);
        assert_eq!(assert_consistent(&copy, 8).await, events_at(report.position).await);
        // It is a store like any other.
        assert_eq!(event(&copy, 1, 99_999).await, report.position.next());
        copy.close().await.unwrap();
        std::fs::remove_dir_all(to).unwrap();
    }
}

async fn small_backup(dir: &Path) -> PathBuf {
    let store = open(&dir.join("store")).await;
    for n in 0..50 {
        event(&store, 1, n).await;
    }
    let file = dir.join("backup");
    store.backup(file.clone(), |_| {}).await.unwrap();
    let again = store.backup(file.clone(), |_| {}).await;
    assert!(matches!(again, Err(StoreError::Unusable(_))), "{again:?}");
    store.close().await.unwrap();
    file
}

#[tokio::test]
async fn a_damaged_backup_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = small_backup(dir.path()).await;
    let whole = std::fs::read(&file).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        let cut = whole[..at].to_vec();
        for bytes in [flipped, cut] {
            let damaged = dir.path().join("damaged");
            std::fs::write(&damaged, bytes).unwrap();
            let to = dir.path().join("restored");
            let outcome = restore(damaged, to.clone(), |_| {}).await;
            assert!(outcome.is_err(), "at {at}");
            assert!(!to.exists());
        }
    }
    let missing = restore(dir.path().join("nothing"), dir.path().join("r"), |_| {}).await;
    assert!(missing.is_err());
    let occupied = restore(file, dir.path().join("store"), |_| {}).await;
    assert!(matches!(occupied, Err(StoreError::Unusable(_))), "{occupied:?}");
}

#[tokio::test]
async fn check_finds_nothing_in_a_sound_store_and_names_what_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open(&path).await;
    for n in 0..20 {
        event(&store, 1, n).await;
    }
    let states = &StateTree::new(store.clone());
    let root = store
        .write::<_, StoreError, _, _>(|tx| async move {
            let entries: Vec<_> = (0..100).map(|n| (StateKeyNumber(n), EventNumber(n))).collect();
            states.insert(&tx, StateRoot::EMPTY, &entries).await
        })
        .await
        .unwrap();
    let report = store.check(|_| {}).await.unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert!(report.rows > 40);
    store.close().await.unwrap();

    let bad_sum = NumberBlockKey { kind: 1 }.encode().bytes;
    let bad_record = StateTypeKey { event_type: "1/3".to_owned() }.encode().bytes;
    let lost_child = {
        let db = sled::open(path.join("sled")).unwrap();
        let mut value = db.get(&bad_sum).unwrap().unwrap().to_vec();
        *value.last_mut().unwrap() ^= 1;
        db.insert(&bad_sum, value).unwrap();
        db.insert(&bad_record, encode_value(&bad_record, Position(1), &[77])).unwrap();
        // A table that no version has.
        db.insert([0xFE, 1, 2], encode_value(&[0xFE, 1, 2], Position(1), &[1])).unwrap();
        let root = StateNodeKey { hash: root.0 }.encode().bytes;
        let mut nodes = db.scan_prefix([root[0]]).keys().map(|key| key.unwrap().to_vec());
        let lost = nodes.find(|key| *key != root).unwrap();
        db.remove(&lost).unwrap();
        db.flush().unwrap();
        lost
    };
    let store = open(&path).await;
    let report = store.check(|_| {}).await.unwrap();
    let hex = |key: &[u8]| key.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let found: Vec<_> = report.damages.iter().map(|d| (d.table, d.key.clone())).collect();
    let expected = [
        ("NumberBlock", hex(&bad_sum)),
        ("StateType", hex(&bad_record)),
        ("", "fe0102".to_owned()),
        ("StateNode", hex(&lost_child)),
    ];
    assert_eq!(found, expected);
    let read = store.get(&NumberBlockKey { kind: 1 }).await;
    let Err(StoreError::Corrupt(text)) = read else { panic!("{read:?}") };
    assert!(text.contains("NumberBlock") && text.contains("restore"), "{text}");
    let refused = store.backup(dir.path().join("backup"), |_| {}).await;
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");
}
