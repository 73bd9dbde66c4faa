//! From the log to the words.

use std::{collections::BTreeSet, time::Duration};

use pli_schema::{
    Position, RoomNumber, Stamp, Topic,
    records::{
        rooms::{EventKey, RoomActivityKey, TimelineKey},
        search::{SearchWatermarkKey, SearchWordKey},
    },
};
use pli_store::{Committed, Scan, Tx};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::Search;
use crate::{
    Error, Result,
    rooms::StoredEvent,
    words::{texts, words},
};

/// Commits looked at in one step.
const COMMITS_PER_STEP: usize = 200;
/// Commits without words after which the watermark is written all the same.
const WATERMARK_EVERY: u64 = 10_000;
/// How long commits are gathered.
const GATHER: Duration = Duration::from_millis(500);
/// The pause after an error of the store.
const STORE_PAUSE: Duration = Duration::from_secs(10);

/// An event with words, and its place.
struct Candidate {
    room: RoomNumber,
    at: Position,
    index: u32,
    event: std::sync::Arc<StoredEvent>,
}

impl Search {
    /// Follows the log until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let store = self.rooms().store().clone();
        let mut feed = store.subscribe();
        let in_a_room =
            |commit: &Committed| commit.topics.iter().any(|topic| matches!(topic, Topic::Room(_)));
        loop {
            let pause = match self.catch_up(store.position()).await {
                Ok(()) => GATHER,
                Err(error) => {
                    tracing::error!(%error, "words could not be written down");
                    STORE_PAUSE
                }
            };
            let news = async {
                loop {
                    match feed.recv().await {
                        Ok(commit) if !in_a_room(&commit) => {}
                        Ok(_) | Err(RecvError::Lagged(_)) => break,
                        Err(RecvError::Closed) => std::future::pending().await,
                    }
                }
                tokio::time::sleep(pause).await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = news => {}
            }
        }
    }

    /// Writes down the words of all events up to a position.
    pub(super) async fn catch_up(&self, until: Position) -> Result<()> {
        let mut followed = self.followed.lock().await;
        let store = self.rooms().store();
        let mut at = match *followed {
            Some(at) => at,
            None => store.get(&SearchWatermarkKey {}).await?.unwrap_or_default(),
        };
        while at < until {
            at = self.step(at, until).await?;
            *followed = Some(at);
        }
        Ok(())
    }

    /// Looks at some commits after `from`; returns how far it came.
    async fn step(&self, from: Position, until: Position) -> Result<Position> {
        let store = self.rooms().store();
        let range = Scan::<RoomActivityKey>::prefix(()).after((from,)).up_to((until,));
        let commits = store.scan(&range.limit(COMMITS_PER_STEP)).await?;
        // A commit may be about several rooms: the last one, perhaps cut off, comes with the next step.
        let full = commits.len() == COMMITS_PER_STEP;
        let cut = commits.last().and_then(|row| row.key.at.position()).filter(|_| full);
        let mut candidates = Vec::new();
        for row in &commits {
            let at = row.key.at.position().unwrap_or_default();
            if Some(at) != cut {
                self.candidates(row.key.room, at, &mut candidates).await?;
            }
        }
        let to = cut.map_or(until, |cut| Position(cut.0.saturating_sub(1)));
        // Creating a room with a full page of others in one commit cannot happen: a commit is about
        // two rooms at most. Should it, it is passed over rather than looked at for ever.
        let to = if to > from { to } else { cut.unwrap_or(until) };
        let far = to.0.checked_div(WATERMARK_EVERY) != from.0.checked_div(WATERMARK_EVERY);
        if !candidates.is_empty() || far {
            self.write_down(&candidates, to).await?;
        }
        Ok(to)
    }

    /// The events of a commit in one room that have words.
    async fn candidates(
        &self,
        room: RoomNumber,
        at: Position,
        out: &mut Vec<Candidate>,
    ) -> Result<()> {
        if self.rooms().is_encrypted(room).await? {
            return Ok(());
        }
        let scan = Scan::<TimelineKey>::prefix((room, Stamp::At(at)));
        for row in self.rooms().store().scan(&scan).await? {
            let event = self.rooms().existing_event(row.record.event).await?;
            let hidden = event.record.rejected || event.record.soft_failed;
            let pdu = event.pdu()?;
            if !hidden && !texts(&pdu.event_type.to_string(), pdu.content.get()).is_empty() {
                out.push(Candidate { room, at, index: row.key.index, event });
            }
        }
        Ok(())
    }

    async fn write_down(&self, candidates: &[Candidate], to: Position) -> Result<()> {
        self.rooms()
            .store()
            .write(|tx| async move {
                for candidate in candidates {
                    put_words(&tx, candidate).await?;
                }
                tx.put(&SearchWatermarkKey {}, &to)?;
                Ok::<_, Error>(())
            })
            .await
    }
}

/// Writes the words of an event, unless it was redacted meanwhile.
async fn put_words(tx: &Tx, candidate: &Candidate) -> Result<()> {
    let Candidate { room, at, index, event } = candidate;
    let record = tx.get(&EventKey { event: event.number }).await?;
    if record.is_none_or(|record| record.redacted_because.is_some()) {
        return Ok(());
    }
    let pdu = event.pdu()?;
    let texts = texts(&pdu.event_type.to_string(), pdu.content.get());
    let folded: BTreeSet<String> =
        texts.iter().flat_map(|(_, text)| words(text)).map(|word| word.folded).collect();
    for word in folded {
        let key = SearchWordKey { room: *room, word, at: *at, index: *index };
        tx.put(&key, &event.number)?;
    }
    Ok(())
}
