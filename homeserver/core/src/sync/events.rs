//! The stream of events as older clients listen to it, in one room also without being in it
//! (<https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3events>,
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3events-1>).

use std::{pin::pin, time::Duration};

use pli_schema::{Position, RoomNumber, Topic, records::rooms::TimelineKey};
use pli_store::{Committed, Scan};
use ruma::OwnedRoomId;
use serde_json::value::RawValue;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{Sync, entries, entries::Entry, render::is_ignored};
use crate::{
    Error, Result,
    history::{Reader, RenderOptions, Viewer},
    token::Boundary,
};

/// Longest time for which a client waits.
const TIMEOUT_MAX: Duration = Duration::from_secs(120);
/// Events of one answer, apart from those of its last commit.
const EVENTS_MAX: usize = 100;
/// Rooms that changed and are looked at one by one; beyond, all joined ones are.
const CHANGED_MAX: usize = 1_000;

/// What is listened to.
#[derive(Clone, Debug)]
pub struct EventsRequest {
    /// Where to begin: the present if it is not said.
    pub from: Option<Boundary>,
    /// How long to wait for something.
    pub timeout: Duration,
    /// One room, which may be peeked into; else all rooms in which the user is joined.
    pub room_id: Option<OwnedRoomId>,
}

/// What was heard.
#[derive(Debug)]
pub struct EventsPage {
    /// Where it began.
    pub start: Boundary,
    /// The events, oldest first.
    pub chunk: Vec<Box<RawValue>>,
    /// Where to go on.
    pub end: Boundary,
}

impl Sync {
    /// The events after a place, at once or as soon as there is one.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if a room is named that the user may not read.
    pub async fn events(&self, viewer: Viewer<'_>, request: &EventsRequest) -> Result<EventsPage> {
        let store = self.parts.rooms.store();
        let mut feed = store.subscribe();
        let start = request.from.unwrap_or_else(|| Boundary::after_commit(store.position()));
        let mut over = pin!(tokio::time::sleep(request.timeout.min(TIMEOUT_MAX)));
        loop {
            let (page, rooms) = self.heard(viewer, request, start).await?;
            if !page.chunk.is_empty() || over.is_elapsed() || self.parts.stopping.is_cancelled() {
                return Ok(page);
            }
            let of_interest = |commit: &Committed| {
                commit.topics.iter().any(|topic| match topic {
                    Topic::Room(room) => rooms.contains(room),
                    Topic::User(user_id) => *user_id == viewer.user_id,
                    _ => false,
                })
            };
            tokio::select! {
                () = until(&mut feed, of_interest) => {}
                () = over.as_mut() => {}
                () = self.parts.stopping.cancelled() => {}
            }
        }
    }

    /// What there is now, and the rooms in which something new may come.
    async fn heard(
        &self,
        viewer: Viewer<'_>,
        request: &EventsRequest,
        start: Boundary,
    ) -> Result<(EventsPage, Vec<RoomNumber>)> {
        let now = self.parts.rooms.store().position();
        let (rooms, listened) = match &request.room_id {
            Some(room_id) => {
                let reader = self.parts.history.open(room_id, viewer.user_id).await?;
                let number = reader.room().number;
                (vec![reader], vec![number])
            }
            None => {
                // Which rooms changed is known up to there only once the feed has been followed so far:
                // what comes between would be told neither now nor later.
                self.parts.notifier.reached(now).await?;
                self.joined_readers(viewer, start).await?
            }
        };
        let end = Boundary::after_commit(now);
        let mut found: Vec<(Entry, usize)> = Vec::new();
        for (index, reader) in rooms.iter().enumerate() {
            let entries = self.entries_after(reader, viewer, (start, end)).await?;
            found.extend(entries.into_iter().map(|entry| (entry, index)));
        }
        found.sort_by_key(|(entry, index)| (entry.position, *index, entry.index));
        let end = match found.get(EVENTS_MAX.saturating_sub(1)) {
            Some((last, _)) => Boundary::after_commit(last.position),
            None => end,
        };
        let mut chunk = Vec::new();
        for (entry, index) in found.iter().filter(|(entry, _)| entry.place() < end) {
            let reader = rooms.get(*index);
            let options = RenderOptions::FULL;
            chunk.push(self.parts.history.render(&entry.event, viewer, reader, options).await?);
        }
        Ok((EventsPage { start, chunk, end }, listened))
    }

    /// Readers of the joined rooms that may have something new, and all joined rooms.
    async fn joined_readers(
        &self,
        viewer: Viewer<'_>,
        start: Boundary,
    ) -> Result<(Vec<Reader>, Vec<RoomNumber>)> {
        let joined = self.parts.rooms.joined_rooms(viewer.user_id).await?;
        let since = Position(start.position.0.saturating_sub(1));
        let changed = self.parts.notifier.changed_rooms(since, CHANGED_MAX);
        let mut readers = Vec::new();
        for number in &joined {
            if changed.as_ref().is_none_or(|changed| changed.contains(number)) {
                let room = self.parts.rooms.room(*number).await?;
                readers.push(self.parts.history.reader(room, viewer.user_id).await?);
            }
        }
        Ok((readers, joined))
    }

    /// The entries of a room in a range that the reader may see, oldest first: those of all commits of
    /// which one of the first is.
    async fn entries_after(
        &self,
        reader: &Reader,
        viewer: Viewer<'_>,
        (from, to): (Boundary, Boundary),
    ) -> Result<Vec<Entry>> {
        let ignored = self.parts.account_data.ignored_users(viewer.user_id).await?;
        let number = reader.room().number;
        let mut entries: Vec<Entry> = Vec::new();
        let mut at = from;
        loop {
            let scan = Scan::<TimelineKey>::prefix((number,))
                .from((number, at.position, at.index))
                .before((number, to.position, to.index))
                .limit(EVENTS_MAX);
            let batch = entries::read(&self.parts.rooms, &scan).await?;
            let more = batch.len() == EVENTS_MAX;
            for entry in batch {
                let full = entries.len() >= EVENTS_MAX;
                if full && entries.last().is_some_and(|last| last.position != entry.position) {
                    return Ok(entries);
                }
                at = Boundary::after(entry.position, entry.index);
                if !is_ignored(&ignored, &entry.event)? && reader.may_see(&entry.event).await? {
                    entries.push(entry);
                }
            }
            if !more {
                return Ok(entries);
            }
        }
    }
}

/// Waits for a commit of interest. Whoever has lagged behind looks again.
async fn until(feed: &mut Receiver<Committed>, of_interest: impl Fn(&Committed) -> bool) {
    loop {
        match feed.recv().await {
            Ok(commit) if !of_interest(&commit) => {}
            Ok(_) | Err(RecvError::Lagged(_)) => return,
            // The store is closed: the other ends of the wait come soon.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Sync {
    /// One event of any room that the user may read.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such event or the user may not see it.
    pub async fn one_event(
        &self,
        viewer: Viewer<'_>,
        event_id: &ruma::EventId,
    ) -> Result<Box<RawValue>> {
        let hidden = || Error::not_found("Event not found");
        let event = self.parts.rooms.event_by_id(event_id).await?.ok_or_else(hidden)?;
        let room = self.parts.rooms.room(event.record.room).await?;
        let reader = match self.parts.history.open_timeline(&room.id, viewer.user_id).await {
            Err(Error::Forbidden(_)) => Err(hidden()),
            other => other,
        }?;
        let event = self.parts.history.event(&reader, event_id).await?;
        self.parts.history.render(&event, viewer, Some(&reader), RenderOptions::FULL).await
    }
}
