//! Events that relate to an event
//! (<https://spec.matrix.org/v1.19/client-server-api/#relationships-api>).

use std::collections::VecDeque;

use pli_schema::{
    Position,
    records::rooms::{RelationKey, RelationRecord},
};
use pli_store::Scan;
use ruma::{EventId, OwnedEventId};
use serde_json::value::RawValue;

use super::{Direction, History, Reader, RenderOptions, Viewer};
use crate::{Result, token::Boundary};

/// How deep `recurse` goes.
pub const RECURSION_DEPTH_MAX: u8 = 3;
/// Relations looked at for one page.
const LOOKED_AT_MAX: usize = 2_000;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct RelationsQuery {
    /// Only relations of this type.
    pub rel_type: Option<String>,
    /// Only events of this type.
    pub event_type: Option<String>,
    /// Where to begin.
    pub from: Option<Boundary>,
    /// Where to stop.
    pub to: Option<Boundary>,
    /// Which way.
    pub direction: Direction,
    /// At most so many events.
    pub limit: usize,
    /// Relations of the relations too.
    pub recurse: bool,
}

/// A page of relations.
#[derive(Debug)]
pub struct RelationsPage {
    /// The events, in the direction asked for.
    pub chunk: Vec<Box<RawValue>>,
    /// Where the next page begins; `None` if there is nothing more.
    pub next: Option<Boundary>,
}

impl History {
    /// The events that relate to an event and that the reader may see.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if the reader may not see the event itself.
    pub async fn relations(
        &self,
        reader: &Reader,
        viewer: Viewer<'_>,
        event_id: &EventId,
        query: &RelationsQuery,
    ) -> Result<RelationsPage> {
        self.event(reader, event_id).await?;
        let mut found = self.related(event_id, query).await?;
        found.sort_by_key(|(place, _)| *place);
        if query.direction == Direction::Backward {
            found.reverse();
        }
        let beyond = |place: &Boundary| match query.direction {
            Direction::Forward => {
                query.from.is_none_or(|from| *place >= from)
                    && query.to.is_none_or(|to| *place < to)
            }
            Direction::Backward => {
                query.from.is_none_or(|from| *place < from)
                    && query.to.is_none_or(|to| *place >= to)
            }
        };
        let mut page = RelationsPage { chunk: Vec::new(), next: None };
        for (place, record) in found.into_iter().filter(|(place, _)| beyond(place)) {
            if page.chunk.len() >= query.limit {
                return Ok(page);
            }
            let event = self.rooms().existing_event(record.event).await?;
            if reader.may_see(&event).await? {
                page.chunk
                    .push(self.render(&event, viewer, Some(reader), RenderOptions::FULL).await?);
                page.next = Some(match query.direction {
                    Direction::Forward => Boundary::after(place.position, place.index),
                    Direction::Backward => place,
                });
            }
        }
        page.next = None;
        Ok(page)
    }

    /// The relations of an event, and of those if asked for, with their places.
    async fn related(
        &self,
        event_id: &EventId,
        query: &RelationsQuery,
    ) -> Result<Vec<(Boundary, RelationRecord)>> {
        let depth = if query.recurse { RECURSION_DEPTH_MAX } else { 1 };
        let mut waiting: VecDeque<(OwnedEventId, u8)> = VecDeque::from([(event_id.to_owned(), 1)]);
        let mut found = Vec::new();
        while let Some((target, level)) = waiting.pop_front() {
            let left = LOOKED_AT_MAX.saturating_sub(found.len());
            let scan = Scan::<RelationKey>::prefix((target,)).backward().limit(left);
            for row in self.rooms().store().scan(&scan).await? {
                if level < depth {
                    let event = self.rooms().existing_event(row.record.event).await?;
                    waiting.push_back((event.record.event_id.clone(), level.saturating_add(1)));
                }
                let position = row.key.at.position().unwrap_or(Position::ZERO);
                found.push((Boundary { position, index: row.key.index }, row.record));
            }
        }
        found.retain(|(_, record)| {
            query.rel_type.as_ref().is_none_or(|wanted| *wanted == record.rel_type)
                && query.event_type.as_ref().is_none_or(|wanted| *wanted == record.event_type)
        });
        Ok(found)
    }
}
