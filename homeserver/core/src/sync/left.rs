//! A room that the user has left, or was kicked or banned from, in one answer: everything up to that
//! moment and nothing after it.

use std::sync::Arc;

use pli_schema::{
    EventNumber,
    records::rooms::{Membership, UserRoomRecord},
};
use pli_store::Stored;

use super::{
    StateAfter,
    entries::{self, Entry},
    render::Renderer,
    state::Between,
    timeline::{Range, Shown},
    turn::{Private, Turn},
};
use crate::{Result, json::Object, rooms::Room, token::Boundary};

/// Memberships followed back to the last stay.
const HOPS_MAX: usize = 1_000;

/// The last time during which the user was joined.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stay {
    /// The newest member event of it.
    pub(super) joined: EventNumber,
    /// The place after the event that ended it.
    pub(super) end: Boundary,
}

impl Turn<'_> {
    /// The room's part of the answer; `None` if there is nothing to tell.
    pub(super) async fn left(
        &self,
        room: Arc<Room>,
        stored: &Stored<UserRoomRecord>,
        private: Private,
    ) -> Result<Option<String>> {
        let rooms = &self.parts().rooms;
        let news = self.since.is_some() && stored.position > self.since();
        if !news && !self.filter.room.include_leave {
            return Ok(None);
        }
        let stay = self.last_stay(stored.record.event).await?;
        let reader = self.parts().history.reader(room, &self.request.user_id).await?;
        let number = reader.room().number;
        let after_token = match self.since {
            Some(_) => Boundary::after_commit(self.since()),
            None => Boundary::START,
        };
        let renderer = self.renderer(&reader);
        let mut out = Object::new();
        match stay {
            Some(Stay { joined, end }) if end > after_token => {
                let stayed = match self.since {
                    Some(since) => self.was_joined(joined, since.position).await?,
                    None => false,
                };
                let low = if stayed { after_token } else { Boundary::START };
                let range = Range { low, high: end, all_visible: stayed };
                let shown = self.shown(&reader, range).await?;
                let known = match stayed && !self.request.full_state {
                    true => Some(self.state_at(number, low).await?),
                    false => None,
                };
                let between = Between { known, end: self.state_at(number, end).await? };
                let state = self.state_events(&renderer, between, &shown, &[]).await?;
                out.raw("timeline", &shown.to_json(&renderer).await?);
                self.write_state_of_left(&mut out, &state);
            }
            // An invite that was refused or taken back, a ban after a leave: nothing but that.
            _ => {
                let entry = entries::of_event(rooms, stored.record.event).await?;
                let start = entry.as_ref().map_or(after_token, Entry::place);
                let shown = Shown { entries: entry.into_iter().collect(), limited: false, start };
                out.raw("timeline", &shown.to_json(&renderer).await?);
                self.write_state_of_left(&mut out, &self.own_membership(&shown, &renderer).await?);
            }
        }
        let account_data =
            self.room_account_data(reader.room(), &private.account_data, true).await?;
        out.events("account_data", &account_data);
        Ok(Some(out.finish()))
    }

    /// The state after a timeline that holds nothing but the user's own membership: that event, for
    /// clients that take no state from timelines (MSC4222).
    async fn own_membership(&self, shown: &Shown, renderer: &Renderer<'_>) -> Result<Vec<String>> {
        let mut out = Vec::new();
        if self.request.state_after != StateAfter::No {
            for entry in &shown.entries {
                out.push(renderer.state_event(&entry.event).await?);
            }
        }
        Ok(out)
    }

    /// The last stay before a member event that is no join; `None` if there was none.
    pub(super) async fn last_stay(&self, event: EventNumber) -> Result<Option<Stay>> {
        let rooms = &self.parts().rooms;
        let mut number = event;
        for _ in 0..HOPS_MAX {
            let Some(entry) = entries::of_event(rooms, number).await? else {
                return Ok(None);
            };
            let Some(before) = entry.event.record.replaces else {
                return Ok(None);
            };
            if rooms.membership_set_by(before).await? == Some(Membership::Join) {
                let end = Boundary::after(entry.position, entry.index);
                return Ok(Some(Stay { joined: before, end }));
            }
            number = before;
        }
        Ok(None)
    }
}
