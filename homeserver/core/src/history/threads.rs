//! The threads of a room
//! (<https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidthreads>).

use std::collections::HashSet;

use pli_schema::{
    Position,
    records::rooms::{RelationKey, TimelineKey},
};
use pli_store::{Row, Scan};
use ruma::EventId;
use serde_json::value::RawValue;

use super::{History, Reader, RenderOptions, Viewer};
use crate::{
    Result,
    rooms::{Rooms, StoredEvent},
    token::Boundary,
};

/// Threads on one page at most.
const LIMIT_MAX: usize = 100;
/// Events looked at for one page at most.
const LOOKED_AT_MAX: usize = 10_000;
/// Replies of one thread that are looked at.
const REPLIES_MAX: usize = 2_000;
/// Rows read at once.
const CHUNK: usize = 200;

/// Which threads of a room.
#[derive(Clone, Debug)]
pub struct ThreadsQuery {
    /// Where to begin: by default with the thread that was active last.
    pub from: Option<Boundary>,
    /// Only threads in which the reader has taken part.
    pub participated: bool,
    /// At most so many threads.
    pub limit: usize,
}

/// The roots of threads, those active last first.
#[derive(Debug)]
pub struct ThreadsPage {
    /// The roots.
    pub chunk: Vec<Box<RawValue>>,
    /// Where the next page begins; `None` if there is nothing more.
    pub next: Option<Boundary>,
}

impl History {
    /// The threads of a room, found by going back through its timeline: each thread stands where its
    /// newest reply is.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn threads(
        &self,
        reader: &Reader,
        viewer: Viewer<'_>,
        query: &ThreadsQuery,
    ) -> Result<ThreadsPage> {
        let newest = Boundary::after_commit(self.rooms().store().position());
        let mut at = query.from.unwrap_or(newest).min(newest);
        let limit = query.limit.clamp(1, LIMIT_MAX);
        let mut page = ThreadsPage { chunk: Vec::new(), next: None };
        let mut seen = HashSet::new();
        let mut looked_at: usize = 0;
        while looked_at < LOOKED_AT_MAX {
            let rows = self.older(reader, at).await?;
            if rows.is_empty() {
                return Ok(page);
            }
            looked_at = looked_at.saturating_add(rows.len());
            for row in rows {
                at = place(&row);
                let reply = self.rooms().existing_event(row.record.event).await?;
                let Some(root) = Rooms::thread_relation(&reply)? else {
                    continue;
                };
                if !seen.insert(root.clone()) || !reader.may_see(&reply).await? {
                    continue;
                }
                if let Some(root) = self.listed_root(reader, &root, at, query).await? {
                    let options = RenderOptions::FULL;
                    page.chunk.push(self.render(&root, viewer, Some(reader), options).await?);
                }
                if page.chunk.len() >= limit {
                    page.next = Some(at);
                    return Ok(page);
                }
            }
        }
        page.next = Some(at);
        Ok(page)
    }

    async fn older(&self, reader: &Reader, at: Boundary) -> Result<Vec<Row<TimelineKey>>> {
        let room = reader.room().number;
        let scan = Scan::<TimelineKey>::prefix((room,))
            .before((room, at.position, at.index))
            .backward()
            .limit(CHUNK);
        Ok(self.rooms().store().scan(&scan).await?)
    }

    /// The root of a thread with a reply at a place, if the thread is to be listed there: nothing newer
    /// is in it (an earlier page has listed it else), and the reader may see it.
    async fn listed_root(
        &self,
        reader: &Reader,
        root: &EventId,
        reply: Boundary,
        query: &ThreadsQuery,
    ) -> Result<Option<std::sync::Arc<StoredEvent>>> {
        let replies = Scan::<RelationKey>::prefix((root.to_owned(),)).backward().limit(REPLIES_MAX);
        let mut replies = self.rooms().store().scan(&replies).await?;
        replies.retain(|row| row.record.rel_type == "m.thread");
        let newest = replies.first().map(|row| Boundary {
            position: row.key.at.position().unwrap_or(Position::ZERO),
            index: row.key.index,
        });
        let event = self.rooms().event_of_room(reader.room().number, root).await?;
        let Some(event) = event.filter(|_| newest == Some(reply)) else {
            return Ok(None);
        };
        let took_part = event.pdu()?.sender == reader.user_id()
            || replies.iter().any(|row| row.record.sender == reader.user_id());
        let listed = (took_part || !query.participated) && reader.may_see(&event).await?;
        Ok(listed.then_some(event))
    }
}

fn place(row: &Row<TimelineKey>) -> Boundary {
    Boundary { position: row.key.at.position().unwrap_or(Position::ZERO), index: row.key.index }
}
