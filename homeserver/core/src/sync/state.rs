//! The state that one answer tells of a room.

use std::collections::BTreeSet;

use pli_schema::{EventNumber, RoomNumber, records::rooms::RoomHeadRecord};

use super::{
    StateAfter, Sync, entries,
    render::Renderer,
    timeline::{Shown, passes},
    turn::Turn,
    view::StateView,
};
use crate::{Result, filters, json::Object, token::Boundary};

/// Between which states.
#[derive(Clone, Copy, Debug)]
pub(super) struct Between {
    /// What the client knows; `None`: nothing.
    pub(super) known: Option<StateView>,
    /// The state at the end of the timeline.
    pub(super) end: StateView,
}

impl Turn<'_> {
    /// The head of a room, and its state at the position of the answer.
    pub(super) async fn present(&self, room: RoomNumber) -> Result<(RoomHeadRecord, StateView)> {
        let head = self.parts().rooms.head_stored(room).await?;
        let view = match head.position <= self.now {
            true => StateView::of(head.record.state),
            false => self.state_at(room, Boundary::after_commit(self.now)).await?,
        };
        Ok((head.record, view))
    }

    /// The state of a room at a place of its timeline.
    pub(super) async fn state_at(&self, room: RoomNumber, place: Boundary) -> Result<StateView> {
        let entry = entries::newest_before(&self.parts().rooms, room, place).await?;
        Ok(entry.map_or(StateView::EMPTY, |entry| StateView::after(&entry.event)))
    }

    /// The state events to tell, with those of members that lazy loading needs.
    pub(super) async fn state_events(
        &self,
        renderer: &Renderer<'_>,
        between: Between,
        shown: &Shown,
        heroes: &[EventNumber],
    ) -> Result<Vec<String>> {
        let rooms = &self.parts().rooms;
        let target = match self.request.state_after {
            StateAfter::No => shown.state_before().unwrap_or(between.end),
            StateAfter::Stable | StateAfter::Unstable => between.end,
        };
        let filter = &self.filter.room.state;
        if !filters::allows_room_events(filter, &renderer.reader.room().id) {
            return Ok(Vec::new());
        }
        let lazy = !filter.lazy_load_options.is_disabled();
        let members = rooms.state_type_number("m.room.member").await?;
        let entries = match &between.known {
            None => target.entries(rooms).await?,
            Some(known) => target.changed_since(rooms, known).await?,
        };
        let mut numbers: BTreeSet<EventNumber> = BTreeSet::new();
        for (key, number) in entries {
            let is_member = Some(key.type_number()) == members;
            // Changes of members are told although lazy loading may know them: the client must not miss
            // what happened in a gap.
            if !is_member || !lazy || between.known.is_some() {
                numbers.insert(number);
                if is_member && lazy {
                    self.note_sent(number);
                }
            }
        }
        if lazy {
            let needed = self.needed_members(&target, between, shown, heroes).await?;
            numbers.extend(needed);
        }
        let mut out = Vec::with_capacity(numbers.len());
        for number in numbers {
            let event = rooms.existing_event(number).await?;
            if passes(filter, &event)? {
                out.push(renderer.state_event(&event).await?);
            }
        }
        Ok(out)
    }

    /// The member events of the timeline's senders, of the user (with a whole room) and of the heroes,
    /// without those that the device has.
    async fn needed_members(
        &self,
        target: &StateView,
        between: Between,
        shown: &Shown,
        heroes: &[EventNumber],
    ) -> Result<BTreeSet<EventNumber>> {
        let rooms = &self.parts().rooms;
        let mut users = BTreeSet::new();
        for entry in &shown.entries {
            users.insert(entry.event.pdu()?.sender.clone());
        }
        if between.known.is_none() {
            users.insert(self.request.user_id.clone());
        }
        let mut needed: BTreeSet<EventNumber> = heroes.iter().copied().collect();
        for user in users {
            needed.extend(target.get(rooms, "m.room.member", user.as_str()).await?);
        }
        let options = &self.filter.room.state.lazy_load_options;
        let redundant = matches!(
            options,
            ruma::api::client::filter::LazyLoadOptions::Enabled { include_redundant_members: true }
        );
        // A whole room is told from the start: whatever the device had, it has left behind.
        needed.retain(|number| !self.note_sent(*number) || redundant || between.known.is_none());
        Ok(needed)
    }

    /// Notes that a member event is sent; whether the device had it.
    fn note_sent(&self, number: EventNumber) -> bool {
        let device = Sync::device(self.request);
        let since = self.since.map(|since| since.position);
        self.sync.sent_members.knows(device, number, (since, self.now))
    }

    /// Writes the section of the answer.
    pub(super) fn write_state(&self, out: &mut Object, events: &[String]) {
        let name = match self.request.state_after {
            StateAfter::No => "state",
            StateAfter::Stable => "state_after",
            StateAfter::Unstable => "org.matrix.msc4222.state_after",
        };
        // `state_after` is told even when it is empty: that is how clients know that it is supported.
        if !events.is_empty() || self.request.state_after != StateAfter::No {
            out.raw(name, &crate::json::event_list(events));
        }
    }

    /// Writes the section of a room that the user is not in: it is told even when it is empty, since
    /// matrix-nio refuses the whole answer if it is absent there.
    pub(super) fn write_state_of_left(&self, out: &mut Object, events: &[String]) {
        self.write_state(out, events);
        if events.is_empty() && self.request.state_after == StateAfter::No {
            out.raw("state", &crate::json::event_list(events));
        }
    }
}
