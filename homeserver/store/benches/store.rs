//! Figures of the store: `cargo bench -p pli-store`.
//!
//! * durable commits per second with p50 and p99 at 1, 8 and 64 writers, of a transaction as a sent
//!   message makes it: an event of 700 bytes, a timeline entry, a transaction id, the room's head read
//!   and written. `--relaxed` leaves the syncs out.
//! * state tree: insert, get and diff at 10, 1,000 and 100,000 entries.
//! * `--million`: one million events: space per event and the time of opening.
//!
//! `--dir=PATH` is the directory to work in, for disks that the system's temporary directory is not on.
//! A plain program and not criterion, because it is the tail under contention that matters.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a benchmark that cannot run must say so"
)]

use std::{
    hint::black_box,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use pli_schema::{EventNumber, RoomNumber, Stamp, StateKeyNumber, StateRoot, table};
use pli_store::{Durability, OpenOptions, StateTree, Store, StoreError};

table! {
    /// The text of an event.
    Event: pub struct TextKey { event: EventNumber } => String;
    /// Timelines.
    Timeline: pub struct EntryKey { room: RoomNumber, at: Stamp, index: u32 } => EventNumber;
    /// Transaction ids.
    Transaction: pub struct SentKey { user_id: String, device_id: String, transaction_id: String } => u64;
    /// Heads of rooms.
    RoomHead: pub struct HeadKey { room: RoomNumber } => u64;
}

const RUN: Duration = Duration::from_secs(8);

fn options(dir: PathBuf, durability: Durability) -> OpenOptions {
    OpenOptions {
        dir,
        server_name: "pli.example".to_owned(),
        durability,
        cache_bytes: 256 * 1_024 * 1_024,
    }
}

/// 700 bytes that do not repeat.
fn text(seed: u64) -> String {
    let mut text = String::with_capacity(720);
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    while text.len() < 700 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push_str(&format!("{state:016x}"));
    }
    text
}

async fn send(store: &Store, writer: u64, n: u64) {
    let event = EventNumber(n << 8 | writer);
    let text = &text(event.0);
    let sent = &SentKey {
        user_id: format!("@agent{writer}:pli.example"),
        device_id: "ABCDEFGHIJ".to_owned(),
        transaction_id: format!("m{n}.{writer}"),
    };
    let written = store.write::<_, StoreError, _, _>(|tx| async move {
        let head = HeadKey { room: RoomNumber(writer) };
        let count = tx.get(&head).await?.unwrap_or(0);
        if tx.get(sent).await?.is_some() {
            return Ok(());
        }
        tx.put(&TextKey { event }, text)?;
        tx.put(&EntryKey { room: RoomNumber(writer), at: Stamp::Commit, index: 0 }, &event)?;
        tx.put(sent, &event.0)?;
        tx.put(&head, &(count + 1))
    });
    written.await.expect("a write of the benchmark");
}

fn at_percent(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(0.0, |took| took.as_secs_f64() * 1_000.0)
}

async fn commits(dir: &Path, writers: u64, durability: Durability) {
    let dir = dir.join(format!("commits-{writers}"));
    let (store, _) = Store::open(options(dir, durability)).await.expect("opening");
    let begin = Instant::now();
    let tasks = (0..writers).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut took = Vec::new();
            let mut n = 0;
            while begin.elapsed() < RUN {
                let sending = Instant::now();
                send(&store, writer, n).await;
                took.push(sending.elapsed());
                n += 1;
            }
            took
        })
    });
    let mut all = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        all.extend(task.await.expect("a writer"));
    }
    let per_second = all.len() as f64 / begin.elapsed().as_secs_f64();
    all.sort_unstable();
    println!(
        "commits ({durability:?}), {writers:2} writers: {per_second:7.0}/s  p50 {:6.2} ms  p99 {:6.2} ms  \
         longest {:6.1} ms",
        at_percent(&all, 50),
        at_percent(&all, 99),
        at_percent(&all, 100),
    );
    store.close().await.expect("closing");
}

async fn state_tree(dir: &Path, entries: u64) {
    let dir = dir.join(format!("state-{entries}"));
    let (store, _) = Store::open(options(dir, Durability::Relaxed)).await.expect("opening");
    let states = &StateTree::new(store.clone());
    let mut root = StateRoot::EMPTY;
    let key = |n: u64| StateKeyNumber::new(1 + n % 3, n);
    for first in (0..entries).step_by(10_000) {
        let chunk: Vec<_> =
            (first..entries.min(first + 10_000)).map(|n| (key(n), EventNumber(n))).collect();
        let chunk = &chunk;
        let inserted = store.write::<_, StoreError, _, _>(|tx| async move {
            states.insert(&tx, root, chunk).await
        });
        root = inserted.await.expect("inserting");
    }
    let rounds = 2_000_u64;
    let some = |n: u64| n.wrapping_mul(7_919) % entries;
    let begin = Instant::now();
    for n in 0..rounds {
        black_box(states.get(root, key(some(n))).await.expect("getting"));
    }
    let get = begin.elapsed() / rounds as u32;
    // One transaction that is given up: the cost of the change itself, without the commit.
    let begin = Instant::now();
    let given_up = store.write::<(), StoreError, _, _>(|tx| async move {
        for n in 0..rounds {
            let entry = [(key(some(n)), EventNumber(entries + n))];
            black_box(states.insert(&tx, root, &entry).await?);
        }
        Err(StoreError::Closed)
    });
    assert!(given_up.await.is_err());
    let insert = begin.elapsed() / rounds as u32;
    let changed = store.write::<_, StoreError, _, _>(|tx| async move {
        let mut other = root;
        for n in 0..10 {
            let entry = [(key(some(n)), EventNumber(entries + n))];
            other = states.insert(&tx, other, &entry).await?;
        }
        Ok(other)
    });
    let other = changed.await.expect("changing");
    let begin = Instant::now();
    for _ in 0..200 {
        black_box(states.diff(root, other).await.expect("comparing"));
    }
    let diff = begin.elapsed() / 200;
    println!(
        "state tree, {entries:6} entries: get {:.2} µs  insert {:.1} µs  diff of 10 changes {:.1} µs",
        get.as_secs_f64() * 1e6,
        insert.as_secs_f64() * 1e6,
        diff.as_secs_f64() * 1e6,
    );
    store.close().await.expect("closing");
}

async fn million(dir: &Path) {
    let path = dir.join("million");
    let (store, _) =
        Store::open(options(path.clone(), Durability::Relaxed)).await.expect("opening");
    let begin = Instant::now();
    let tasks = (0..64_u64).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..15_625 {
                send(&store, writer, n).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("a writer");
    }
    let loading = begin.elapsed();
    let size = store.size_on_disk_bytes().expect("measuring");
    println!(
        "one million events: {:.0} s, {:.0}/s, {} bytes on disk per event",
        loading.as_secs_f64(),
        1e6 / loading.as_secs_f64(),
        size / 1_000_000,
    );
    let begin = Instant::now();
    store.close().await.expect("closing");
    println!("closing: {:.2} s", begin.elapsed().as_secs_f64());
    drop(store);
    for what in ["first opening after the load", "opening again"] {
        let begin = Instant::now();
        let opened = Store::open(options(path.clone(), Durability::Sync)).await;
        println!("{what}: {:.2} s", begin.elapsed().as_secs_f64());
        opened.expect("opening").0.close().await.expect("closing");
    }
}

fn main() {
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    let given =
        std::env::args().find_map(|argument| argument.strip_prefix("--dir=").map(PathBuf::from));
    let dir = given.unwrap_or_else(std::env::temp_dir);
    let dir = dir.join(format!("pli-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory to work in");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        if has("--million") {
            return million(&dir).await;
        }
        for writers in [1, 8, 64] {
            commits(&dir, writers, Durability::Sync).await;
        }
        if has("--relaxed") {
            commits(&dir, 65, Durability::Relaxed).await;
        }
        for entries in [10, 1_000, 100_000] {
            state_tree(&dir, entries).await;
        }
    });
    std::fs::remove_dir_all(&dir).expect("cleaning up");
}
