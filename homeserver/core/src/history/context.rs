//! One event, and what was said around it.

use std::sync::Arc;

use ruma::{EventId, api::client::filter::RoomEventFilter};
use serde_json::value::RawValue;

use super::{Direction, History, MessagesQuery, Reader, RenderOptions, Viewer};
use crate::{Error, Result, rooms::StoredEvent, token::Boundary};

/// An event with its neighbors.
#[derive(Debug)]
pub struct Context {
    /// The event.
    pub event: Box<RawValue>,
    /// The events before it, newest first.
    pub before: Vec<Box<RawValue>>,
    /// The events after it, oldest first.
    pub after: Vec<Box<RawValue>>,
    /// The state at the last event of `after` (of the event itself if there is none); lazily loaded
    /// members are left out.
    pub state: Vec<Box<RawValue>>,
    /// Where the event is.
    pub place: Boundary,
    /// Where `before` can be continued.
    pub start: Boundary,
    /// Where `after` can be continued.
    pub end: Boundary,
}

/// The events around one.
#[derive(Debug)]
pub struct Neighbors {
    /// Those before it, newest first.
    pub before: Vec<Arc<StoredEvent>>,
    /// Those after it, oldest first.
    pub after: Vec<Arc<StoredEvent>>,
    /// Where the event is.
    pub place: Boundary,
    /// Where `before` can be continued.
    pub start: Boundary,
    /// Where `after` can be continued.
    pub end: Boundary,
}

impl History {
    /// An event that the reader may see.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such event in the room or the reader may not see it.
    pub async fn event(&self, reader: &Reader, event_id: &EventId) -> Result<Arc<StoredEvent>> {
        let event = self.rooms().event_of_room(reader.room().number, event_id).await?;
        match event {
            Some(event) if reader.may_see(&event).await? => Ok(event),
            _ => Err(Error::not_found("Event not found")),
        }
    }

    /// An event with at most `limit` neighbors in all.
    ///
    /// # Errors
    /// As [`Self::event`].
    pub async fn context(
        &self,
        reader: &Reader,
        viewer: Viewer<'_>,
        event_id: &EventId,
        limit: usize,
        filter: RoomEventFilter,
    ) -> Result<Context> {
        let event = self.event(reader, event_id).await?;
        let lazy = !filter.lazy_load_options.is_disabled();
        let half = limit / 2;
        let limits = (half, limit.saturating_sub(half));
        let around = self.neighbors(reader, &event, limits, &filter).await?;
        let last = around.after.last().unwrap_or(&event);
        let all = around.before.iter().chain([&event]).chain(&around.after);
        let state = self.state_around(last, lazy.then(|| all.cloned().collect()), viewer).await?;
        let full = RenderOptions::FULL;
        let mut context = Context {
            event: self.render(&event, viewer, Some(reader), full).await?,
            before: Vec::new(),
            after: Vec::new(),
            state,
            place: around.place,
            start: around.start,
            end: around.end,
        };
        for event in &around.before {
            context.before.push(self.render(event, viewer, Some(reader), full).await?);
        }
        for event in &around.after {
            context.after.push(self.render(event, viewer, Some(reader), full).await?);
        }
        Ok(context)
    }

    /// The events around one that the reader may see: at most so many before and after it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn neighbors(
        &self,
        reader: &Reader,
        event: &StoredEvent,
        (before, after): (usize, usize),
        filter: &RoomEventFilter,
    ) -> Result<Neighbors> {
        let pointer = self.rooms().pointer(&event.record.event_id).await?;
        let pointer = pointer.ok_or_else(|| Error::not_found("Event not found"))?;
        let here = Boundary { position: pointer.position, index: pointer.record.index };
        let there = Boundary::after(pointer.position, pointer.record.index);
        let page = |direction, limit| MessagesQuery {
            from: None,
            to: None,
            direction,
            limit,
            filter: filter.clone(),
        };
        let before = self.walk(reader, here, &page(Direction::Backward, before)).await?;
        let after = self.walk(reader, there, &page(Direction::Forward, after)).await?;
        let newest = || Boundary::after_commit(self.rooms().store().position());
        Ok(Neighbors {
            before: before.events,
            after: after.events,
            place: here,
            start: before.next.unwrap_or(Boundary::START),
            end: after.next.unwrap_or_else(newest),
        })
    }

    /// The state at an event; of the members only the senders of `lazy` if that is given.
    async fn state_around(
        &self,
        at: &StoredEvent,
        lazy: Option<Vec<Arc<StoredEvent>>>,
        viewer: Viewer<'_>,
    ) -> Result<Vec<Box<RawValue>>> {
        let mut senders = Vec::new();
        for event in lazy.iter().flatten() {
            senders.push(event.pdu()?.sender.clone());
        }
        let mut out = Vec::new();
        for event in self.rooms().full_state(at.record.state_before).await? {
            let pdu = event.pdu()?;
            let member = pdu.event_type == ruma::events::TimelineEventType::RoomMember;
            let of_sender =
                senders.iter().any(|sender| pdu.state_key.as_deref() == Some(sender.as_str()));
            if lazy.is_none() || !member || of_sender {
                out.push(self.render(&event, viewer, None, RenderOptions::STATE).await?);
            }
        }
        Ok(out)
    }
}
