//! What is written by the crash tests, and what must be found afterwards.

use std::{collections::BTreeMap, path::Path};

use pli_schema::{EventNumber, Position, RoomNumber, Stamp, table};
use pli_store::{Durability, OpenOptions, Scan, Store, StoreError};

/// Writers at once.
pub const WRITERS: u64 = 8;

table! {
    /// The text of an event.
    Event: pub struct TextKey { event: EventNumber } => String;
    /// The timeline of a writer.
    Timeline: pub struct EntryKey { room: RoomNumber, at: Stamp, index: u32 } => EventNumber;
    /// Transaction ids.
    StateType: pub struct SentKey { name: String } => u64;
    /// How many events a writer has written.
    NumberBlock: pub struct HeadKey { writer: u8 } => u64;
}

/// An acknowledged event: the writer, its number, the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    pub writer: u64,
    pub n: u64,
    pub position: u64,
}

impl Ack {
    /// From a line of the child's output.
    pub fn parse(line: &str) -> Option<Self> {
        let mut parts = line.strip_prefix("ACK ")?.split(' ').map(|part| part.parse().ok());
        Some(Self { writer: parts.next()??, n: parts.next()??, position: parts.next()?? })
    }
}

pub fn options(dir: &Path) -> OpenOptions {
    OpenOptions {
        dir: dir.to_owned(),
        server_name: "pli.example".to_owned(),
        durability: Durability::Sync,
        cache_bytes: 16 * 1_024 * 1_024,
    }
}

fn number(writer: u64, n: u64) -> EventNumber {
    EventNumber(writer << 32 | n)
}

/// The text of an event: 700 bytes that no other event has.
fn text(event: EventNumber) -> String {
    let mut text = String::with_capacity(720);
    let mut state = event.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    while text.len() < 700 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push_str(&format!("{state:016x}"));
    }
    text
}

fn sent(event: EventNumber) -> SentKey {
    SentKey { name: format!("txn-{}", event.0) }
}

/// One transaction as a sent message makes it: event, timeline entry, transaction id, head.
pub async fn send(store: &Store, writer: u64) -> Result<Ack, StoreError> {
    let written = store.write_at::<_, StoreError, _, _>(|tx| async move {
        let head = HeadKey { writer: writer as u8 };
        let n = tx.get(&head).await?.unwrap_or(0);
        let event = number(writer, n);
        tx.put(&TextKey { event }, &text(event))?;
        tx.put(&EntryKey { room: RoomNumber(writer), at: Stamp::Commit, index: 0 }, &event)?;
        tx.put(&sent(event), &n)?;
        tx.put(&head, &(n + 1))?;
        Ok(n)
    });
    let (n, position) = written.await?;
    Ok(Ack { writer, n, position: position.0 })
}

/// What a look at the store says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Acknowledged events that are not there, or not at their place.
    pub lost: Vec<Ack>,
    /// Transactions of which only a part is there.
    pub torn: Vec<String>,
}

/// Looks at everything in the store.
pub async fn look(store: &Store, acks: &[Ack]) -> Result<Verdict, StoreError> {
    let mut verdict = Verdict::default();
    let mut places = BTreeMap::new();
    for writer in 0..WRITERS {
        let head = store.get_stored(&HeadKey { writer: writer as u8 }).await?;
        let count = head.as_ref().map_or(0, |stored| stored.record);
        let entries = store.scan(&Scan::<EntryKey>::prefix((RoomNumber(writer),))).await?;
        if entries.len() as u64 != count {
            verdict.torn.push(format!("writer {writer}: {count} counted, {} found", entries.len()));
        }
        for (n, entry) in (0..).zip(&entries) {
            let event = number(writer, n);
            let found = store.get_stored(&TextKey { event }).await?;
            let whole = entry.record == event
                && found.as_ref().is_some_and(|found| {
                    found.position == entry.position && found.record == text(event)
                })
                && store.get(&sent(event)).await? == Some(n);
            if !whole {
                verdict.torn.push(format!("writer {writer}, event {n}"));
            }
            places.insert((writer, n), entry.position);
        }
    }
    let there = |ack: &&Ack| places.get(&(ack.writer, ack.n)) == Some(&Position(ack.position));
    verdict.lost = acks.iter().filter(|ack| !there(ack)).copied().collect();
    Ok(verdict)
}

/// Opens a store and looks at it: nothing may be lost or torn, and it must go on working.
pub async fn assert_sound(dir: &Path, acks: &[Ack], what: &str) {
    let opened = Store::open(options(dir)).await;
    let (store, _) = opened.unwrap_or_else(|error| panic!("{what}: it does not open: {error}"));
    let verdict = look(&store, acks).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(verdict, Verdict::default(), "{what}");
    let newest = acks.iter().map(|ack| ack.position).max().unwrap_or(0);
    assert!(store.position() >= Position(newest), "{what}");
    let ack = send(&store, 0).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(ack.position > newest, "{what}");
    store.close().await.unwrap();
}

/// A runtime for the tests, which are not async themselves because they wait for processes.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
