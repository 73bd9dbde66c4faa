//! What every backend must do. `store_conformance!(name, open)` runs all of it on the stores that
//! `open` makes.

use std::{collections::BTreeSet, sync::Arc};

use pli_schema::{EventNumber, Position, RoomNumber, Stamp, Topic, table};
use pli_store::{Scan, Store, StoreError};

table! {
    /// A counter.
    NumberBlock: pub struct CounterKey { name: String } => u64;
    /// A stream.
    Timeline: pub struct StreamKey { room: RoomNumber, at: Stamp, index: u32 } => EventNumber;
    /// Names.
    StateType: pub struct NameKey { n: u64 } => String;
}

fn counter(name: &str) -> CounterKey {
    CounterKey { name: name.to_owned() }
}

async fn put_name(store: &Store, n: u64, name: &str) -> Position {
    let name = &name.to_owned();
    let written =
        store.write_at::<_, StoreError, _, _>(|tx| async move { tx.put(&NameKey { n }, name) });
    written.await.unwrap().1
}

async fn increment(store: &Store, name: &str) -> u64 {
    let key = &counter(name);
    store
        .write::<_, StoreError, _, _>(|tx| async move {
            let next = tx.get(key).await?.unwrap_or(0) + 1;
            tx.put(key, &next)?;
            Ok(next)
        })
        .await
        .unwrap()
}

pub async fn what_was_written_is_read(store: Store) {
    assert_eq!(store.get(&NameKey { n: 1 }).await.unwrap(), None);
    let first = put_name(&store, 1, "one").await;
    let second = put_name(&store, 2, "two").await;
    assert!(second > first);
    assert_eq!(store.position(), second);
    let stored = store.get_stored(&NameKey { n: 1 }).await.unwrap().unwrap();
    assert_eq!((stored.position, stored.record.as_str()), (first, "one"));
    let many = [NameKey { n: 2 }, NameKey { n: 3 }, NameKey { n: 1 }];
    let found = store.get_many(&many).await.unwrap();
    assert_eq!(found, [Some("two".to_owned()), None, Some("one".to_owned())]);
    let again = put_name(&store, 1, "uno").await;
    assert_eq!(store.get_stored(&NameKey { n: 1 }).await.unwrap().unwrap().position, again);
}

pub async fn what_was_deleted_is_gone(store: Store) {
    put_name(&store, 1, "one").await;
    let delete = store.write::<_, StoreError, _, _>(|tx| async move {
        tx.delete(&NameKey { n: 1 });
        tx.delete(&NameKey { n: 7 });
        assert_eq!(tx.get(&NameKey { n: 1 }).await?, None);
        Ok(())
    });
    delete.await.unwrap();
    assert_eq!(store.get(&NameKey { n: 1 }).await.unwrap(), None);
}

pub async fn scans_keep_bounds_order_and_limit(store: Store) {
    let shared = &store;
    let fill = shared.write::<_, StoreError, _, _>(|tx| async move {
        for n in [5, 1, 3, 2, 4] {
            tx.put(&NameKey { n }, &n.to_string())?;
        }
        // A neighbor table must never be met.
        tx.put(&counter("x"), &1)
    });
    fill.await.unwrap();
    let names = |scan: Scan<NameKey>| async move {
        let rows = shared.scan(&scan).await.unwrap();
        rows.into_iter().map(|row| row.key.n).collect::<Vec<_>>()
    };
    assert_eq!(names(Scan::prefix(())).await, [1, 2, 3, 4, 5]);
    assert_eq!(names(Scan::prefix(()).backward()).await, [5, 4, 3, 2, 1]);
    assert_eq!(names(Scan::prefix(()).limit(2)).await, [1, 2]);
    assert_eq!(names(Scan::prefix(()).backward().limit(2)).await, [5, 4]);
    assert!(names(Scan::prefix(()).limit(0)).await.is_empty());
    assert_eq!(names(Scan::prefix(()).from((2_u64,)).before((4_u64,))).await, [2, 3]);
    assert_eq!(names(Scan::prefix(()).after((2_u64,)).up_to((4_u64,))).await, [3, 4]);
    assert!(names(Scan::prefix(()).after((4_u64,)).before((2_u64,))).await.is_empty());
    assert_eq!(names(Scan::prefix((3_u64,))).await, [3]);
    assert_eq!(names(Scan::prefix(()).from((4_u64,)).backward()).await, [5, 4]);
}

pub async fn a_transaction_sees_its_own_writes_and_nobody_else_does(store: Store) {
    let shared = &store;
    let written = shared.write::<_, StoreError, _, _>(|tx| async move {
        tx.put(&NameKey { n: 1 }, &"first".to_owned())?;
        assert_eq!(tx.get(&NameKey { n: 1 }).await?.as_deref(), Some("first"));
        tx.put(&NameKey { n: 1 }, &"second".to_owned())?;
        assert_eq!(tx.get(&NameKey { n: 1 }).await?.as_deref(), Some("second"));
        assert_eq!(shared.get(&NameKey { n: 1 }).await?, None);
        Ok(())
    });
    written.await.unwrap();
    assert_eq!(store.get(&NameKey { n: 1 }).await.unwrap().as_deref(), Some("second"));
}

pub async fn a_failed_transaction_writes_nothing(store: Store) {
    let before = store.position();
    let failed = store.write::<(), StoreError, _, _>(|tx| async move {
        tx.put(&NameKey { n: 1 }, &"lost".to_owned())?;
        Err(StoreError::Closed)
    });
    assert!(failed.await.is_err());
    assert_eq!(store.get(&NameKey { n: 1 }).await.unwrap(), None);
    assert_eq!(store.position(), before);
}

pub async fn what_was_overtaken_runs_again(store: Store) {
    let tries = &std::sync::atomic::AtomicU32::new(0);
    let shared = &store;
    let value = shared
        .write::<_, StoreError, _, _>(|tx| async move {
            let seen = tx.get(&NameKey { n: 1 }).await?;
            if tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                put_name(shared, 1, "overtaking").await;
            }
            tx.put(&NameKey { n: 2 }, &seen.clone().unwrap_or_default())?;
            Ok(seen)
        })
        .await
        .unwrap();
    assert_eq!(value.as_deref(), Some("overtaking"));
    assert_eq!(store.get(&NameKey { n: 2 }).await.unwrap().as_deref(), Some("overtaking"));
    assert_eq!(tries.load(std::sync::atomic::Ordering::SeqCst), 2);
}

pub async fn a_row_seen_by_a_scan_is_checked(store: Store) {
    put_name(&store, 1, "one").await;
    let tries = &std::sync::atomic::AtomicU32::new(0);
    let shared = &store;
    let scanned = shared.write::<_, StoreError, _, _>(|tx| async move {
        let rows = tx.scan::<NameKey>(&Scan::prefix(())).await?;
        if tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            put_name(shared, 1, "uno").await;
        }
        tx.put(&NameKey { n: 2 }, &rows[0].record)
    });
    scanned.await.unwrap();
    assert_eq!(store.get(&NameKey { n: 2 }).await.unwrap().as_deref(), Some("uno"));
}

pub async fn stamped_keys_carry_the_position_of_their_commit(store: Store) {
    let room = RoomNumber(1);
    let mut positions = Vec::new();
    for event in 0..5_u64 {
        let written = store.write_at::<_, StoreError, _, _>(|tx| async move {
            for index in 0..2 {
                let key = StreamKey { room, at: Stamp::Commit, index };
                tx.put(&key, &EventNumber(event * 2 + u64::from(index)))?;
            }
            Ok(())
        });
        positions.push(written.await.unwrap().1);
    }
    let rows = store.scan::<StreamKey>(&Scan::prefix((room,))).await.unwrap();
    let events: Vec<u64> = rows.iter().map(|row| row.record.0).collect();
    assert_eq!(events, (0..10).collect::<Vec<_>>());
    for (row, expected) in rows.iter().zip(positions.iter().flat_map(|p| [p, p])) {
        assert_eq!(row.key.at, Stamp::At(*expected));
        assert_eq!(row.position, *expected);
    }
}

pub async fn positions_grow_and_the_feed_is_in_order(store: Store) {
    let mut feed = store.subscribe();
    let begin = store.position();
    let mut tasks = Vec::new();
    for n in 0..50_u64 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let written = store.write_at::<_, StoreError, _, _>(|tx| async move {
                tx.wake(Topic::Room(RoomNumber(n)));
                tx.put(&NameKey { n }, &"x".to_owned())
            });
            (n, written.await.unwrap().1)
        }));
    }
    let mut answered = BTreeSet::new();
    for task in tasks {
        let (n, position) = task.await.unwrap();
        assert!(store.position() >= position);
        answered.insert((position, n));
    }
    let mut last = begin;
    for (position, n) in answered {
        let committed = feed.recv().await.unwrap();
        assert!(committed.position > last);
        last = committed.position;
        assert_eq!(committed.position, position);
        assert_eq!(&*committed.topics, [Topic::Room(RoomNumber(n))]);
    }
    assert_eq!(store.position(), last);
}

pub async fn concurrent_increments_lose_nothing(store: Store) {
    let tasks = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..25 {
                increment(&store, "shared").await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(store.get(&counter("shared")).await.unwrap(), Some(200));
}

pub async fn concurrent_get_or_create_makes_one_number(store: Store) {
    let tasks = (0..16).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            store
                .write::<_, StoreError, _, _>(|tx| async move {
                    let name = counter("identity");
                    if let Some(number) = tx.get(&name).await? {
                        return Ok(number);
                    }
                    let next = tx.get(&counter("next")).await?.unwrap_or(0) + 1;
                    tx.put(&counter("next"), &next)?;
                    tx.put(&name, &next)?;
                    Ok(next)
                })
                .await
                .unwrap()
        })
    });
    let mut numbers = BTreeSet::new();
    for task in tasks.collect::<Vec<_>>() {
        numbers.insert(task.await.unwrap());
    }
    assert_eq!(numbers.into_iter().collect::<Vec<_>>(), [1]);
}

/// Readers of a transaction's keys see all of it or nothing of it once the position says it is there.
pub async fn a_transaction_is_all_or_nothing(store: Store) {
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (writer, ended) = (store.clone(), Arc::clone(&done));
    let writing = tokio::spawn(async move {
        for value in 1..=100_u64 {
            let write = writer.write::<_, StoreError, _, _>(|tx| async move {
                tx.put(&NameKey { n: 1 }, &value.to_string())?;
                tx.put(&NameKey { n: 2 }, &value.to_string())
            });
            write.await.unwrap();
        }
        ended.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    while !done.load(std::sync::atomic::Ordering::SeqCst) {
        let both = store.write::<_, StoreError, _, _>(|tx| async move {
            let both = (tx.get(&NameKey { n: 1 }).await?, tx.get(&NameKey { n: 2 }).await?);
            tx.put(&counter("seen"), &1)?;
            Ok(both)
        });
        let (one, two) = both.await.unwrap();
        assert_eq!(one, two);
        tokio::task::yield_now().await;
    }
    writing.await.unwrap();
}

pub async fn what_is_too_large_is_refused(store: Store) {
    use pli_store::limits::{BATCH_OPS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
    // Version byte and a length of three bytes come with the text.
    let fits = "x".repeat(VALUE_BYTES_MAX - 4);
    put_name(&store, 1, &fits).await;
    assert_eq!(store.get(&NameKey { n: 1 }).await.unwrap().as_ref(), Some(&fits));
    let above = &format!("{fits}x");
    let refused = store
        .write::<_, StoreError, _, _>(|tx| async move { tx.put(&NameKey { n: 2 }, above) })
        .await;
    assert!(matches!(refused, Err(StoreError::TooLarge { what: "value", .. })), "{refused:?}");
    // The table's byte and the two bytes of the end come with the text.
    for (length, fits) in [(KEY_BYTES_MAX - 3, true), (KEY_BYTES_MAX - 2, false)] {
        let key = &counter(&"k".repeat(length));
        let written = store.write::<_, StoreError, _, _>(|tx| async move { tx.put(key, &1) }).await;
        assert_eq!(written.is_ok(), fits);
    }
    let refused = store
        .write::<_, StoreError, _, _>(|tx| async move {
            for n in 0..=BATCH_OPS_MAX as u64 {
                tx.put(&NameKey { n }, &String::new())?;
            }
            Ok(())
        })
        .await;
    assert!(matches!(refused, Err(StoreError::TooLarge { what: "batch", .. })), "{refused:?}");
    assert_eq!(store.get(&NameKey { n: 2 }).await.unwrap(), None);
}

/// Runs the suite on the stores that `$open` makes; `$open` gives a store and what must outlive it.
#[macro_export]
macro_rules! store_conformance {
    ($name:ident, $open:path) => {
        mod $name {
            $crate::store_conformance!(@tests $open,
                what_was_written_is_read,
                what_was_deleted_is_gone,
                scans_keep_bounds_order_and_limit,
                a_transaction_sees_its_own_writes_and_nobody_else_does,
                a_failed_transaction_writes_nothing,
                what_was_overtaken_runs_again,
                a_row_seen_by_a_scan_is_checked,
                stamped_keys_carry_the_position_of_their_commit,
                positions_grow_and_the_feed_is_in_order,
                concurrent_increments_lose_nothing,
                concurrent_get_or_create_makes_one_number,
                a_transaction_is_all_or_nothing,
                what_is_too_large_is_refused,
            );
        }
    };
    (@tests $open:path, $($test:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let (store, _kept) = $open().await;
            $crate::conformance::$test(store).await;
        }
    )+};
}
