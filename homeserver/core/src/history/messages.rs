//! Pages of a timeline.

use std::{collections::BTreeSet, sync::Arc};

use pli_schema::{Position, RoomNumber, records::rooms::TimelineKey};
use pli_store::{Row, Scan};
use ruma::{OwnedUserId, api::client::filter::RoomEventFilter};
use serde_json::value::RawValue;

use super::{History, Reader, RenderOptions, Viewer};
use crate::{
    Result,
    filters::{allows_event, allows_room_events},
    rooms::{Rooms, StoredEvent},
    token::Boundary,
};

/// Most events of a page.
pub const PAGE_MAX: usize = 1_000;
/// Events looked at for one page; hidden ones do not end the pagination, they shorten the page.
const LOOKED_AT_MAX: usize = 5_000;
/// Rows read at once.
const CHUNK: usize = 100;

/// Which way a page goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From older to newer events.
    Forward,
    /// From newer to older events.
    Backward,
}

/// What page is asked for.
#[derive(Clone, Debug)]
pub struct MessagesQuery {
    /// Where to begin; `None`: at the newest (backward) or oldest (forward) event.
    pub from: Option<Boundary>,
    /// Where to stop.
    pub to: Option<Boundary>,
    /// Which way.
    pub direction: Direction,
    /// At most so many events.
    pub limit: usize,
    /// Which events, and whether members are loaded lazily.
    pub filter: RoomEventFilter,
}

/// By which relations events are filtered (MSC3874, which the type of a filter does not know).
#[derive(Clone, Debug, Default)]
pub struct RelTypes {
    /// Only events with one of these relations.
    pub wanted: Option<Vec<String>>,
    /// No events with one of these.
    pub unwanted: Vec<String>,
}

impl RelTypes {
    fn allow(&self, event: &StoredEvent) -> Result<bool> {
        if self.wanted.is_none() && self.unwanted.is_empty() {
            return Ok(true);
        }
        let of_event = Rooms::relation_type(event)?;
        let is_in = |list: &Vec<String>| of_event.as_ref().is_some_and(|of| list.contains(of));
        Ok(self.wanted.as_ref().is_none_or(is_in) && !is_in(&self.unwanted))
    }
}

/// A page.
#[derive(Debug)]
pub struct MessagesPage {
    /// Where it begins.
    pub start: Boundary,
    /// Where the next page begins; `None` if there is nothing more.
    pub end: Option<Boundary>,
    /// The events, in the direction asked for.
    pub chunk: Vec<Box<RawValue>>,
    /// The members who sent them, when members are loaded lazily.
    pub state: Vec<Box<RawValue>>,
}

/// Events that a reader may see, with where the walk has come to.
pub(super) struct Walk {
    pub(super) events: Vec<Arc<StoredEvent>>,
    /// Where to go on; `None` at the end of the timeline.
    pub(super) next: Option<Boundary>,
}

impl History {
    /// A page of a room's timeline.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn messages(
        &self,
        reader: &Reader,
        viewer: Viewer<'_>,
        query: &MessagesQuery,
    ) -> Result<MessagesPage> {
        self.messages_related(reader, viewer, query, &RelTypes::default()).await
    }

    /// As [`Self::messages`], only of events with certain relations.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn messages_related(
        &self,
        reader: &Reader,
        viewer: Viewer<'_>,
        query: &MessagesQuery,
        rel_types: &RelTypes,
    ) -> Result<MessagesPage> {
        let newest = Boundary::after_commit(self.rooms().store().position());
        let start = query.from.unwrap_or(match query.direction {
            Direction::Forward => Boundary::START,
            Direction::Backward => newest,
        });
        let walk = self.walk_related(reader, start, query, rel_types).await?;
        let mut chunk = Vec::with_capacity(walk.events.len());
        for event in &walk.events {
            chunk.push(self.render(event, viewer, Some(reader), RenderOptions::FULL).await?);
        }
        let lazy = !query.filter.lazy_load_options.is_disabled();
        let state =
            if lazy { self.senders(reader, viewer, &walk.events).await? } else { Vec::new() };
        Ok(MessagesPage { start, end: walk.next, chunk, state })
    }

    /// Collects the events that the reader may see and the filter lets through.
    pub(super) async fn walk(
        &self,
        reader: &Reader,
        start: Boundary,
        query: &MessagesQuery,
    ) -> Result<Walk> {
        self.walk_related(reader, start, query, &RelTypes::default()).await
    }

    async fn walk_related(
        &self,
        reader: &Reader,
        start: Boundary,
        query: &MessagesQuery,
        rel_types: &RelTypes,
    ) -> Result<Walk> {
        let room = reader.room().number;
        let limit = query.limit.min(PAGE_MAX);
        let mut events = Vec::new();
        let mut at = start;
        if !allows_room_events(&query.filter, &reader.room().id) {
            return Ok(Walk { events, next: None });
        }
        let mut looked_at = 0;
        while events.len() < limit && looked_at < LOOKED_AT_MAX {
            let rows = self.rows(room, at, query).await?;
            let more = rows.len() == CHUNK;
            for row in rows {
                looked_at += 1;
                at = passed(&row.key, query.direction);
                let event = self.rooms().existing_event(row.record.event).await?;
                let passes = wanted(&query.filter, &event)? && rel_types.allow(&event)?;
                if passes && reader.may_see(&event).await? {
                    events.push(event);
                    if events.len() == limit {
                        return Ok(Walk { events, next: Some(at) });
                    }
                }
            }
            if !more {
                return Ok(Walk { events, next: None });
            }
        }
        Ok(Walk { events, next: Some(at) })
    }

    async fn rows(
        &self,
        room: RoomNumber,
        at: Boundary,
        query: &MessagesQuery,
    ) -> Result<Vec<Row<TimelineKey>>> {
        let scan = Scan::<TimelineKey>::prefix((room,)).limit(CHUNK);
        let durable = self.rooms().store().position();
        let place = |boundary: Boundary| (room, boundary.position, boundary.index);
        let scan = match query.direction {
            Direction::Forward => {
                let end = Boundary::after_commit(durable);
                let end = query.to.map_or(end, |to| to.min(end));
                scan.from(place(at)).before(place(end))
            }
            Direction::Backward => {
                let at = at.min(Boundary::after_commit(durable));
                let scan = scan.before(place(at)).backward();
                match query.to {
                    Some(to) => scan.from(place(to)),
                    None => scan,
                }
            }
        };
        Ok(self.rooms().store().scan(&scan).await?)
    }

    /// The membership events of the senders of some events.
    async fn senders(
        &self,
        reader: &Reader,
        viewer: Viewer<'_>,
        events: &[Arc<StoredEvent>],
    ) -> Result<Vec<Box<RawValue>>> {
        let mut senders: BTreeSet<OwnedUserId> = BTreeSet::new();
        for event in events {
            senders.insert(event.pdu()?.sender.clone());
        }
        let mut out = Vec::with_capacity(senders.len());
        for sender in senders {
            if let Some(member) = reader.state_event("m.room.member", sender.as_str()).await? {
                out.push(self.render(&member, viewer, None, RenderOptions::STATE).await?);
            }
        }
        Ok(out)
    }
}

/// The place behind an entry, seen in the direction of the walk.
fn passed(key: &TimelineKey, direction: Direction) -> Boundary {
    let position = key.at.position().unwrap_or(Position::ZERO);
    match direction {
        Direction::Forward => Boundary::after(position, key.index),
        Direction::Backward => Boundary { position, index: key.index },
    }
}

/// Whether a filter lets an event through.
pub(crate) fn wanted(filter: &RoomEventFilter, event: &StoredEvent) -> Result<bool> {
    let pdu = event.pdu()?;
    let has_url = || {
        serde_json::from_str::<serde_json::Map<_, serde_json::Value>>(pdu.content.get())
            .is_ok_and(|content| content.contains_key("url"))
    };
    Ok(allows_event(filter, &pdu.event_type.to_string(), &pdu.sender, has_url))
}
