//! A room in which the user is not joined, in one answer: an invite, a knock, or everything up to the
//! moment at which the user left and nothing after it.

use std::collections::{BTreeSet, HashSet};

use pli_schema::{
    EventNumber,
    records::rooms::{Membership, UserRoomRecord},
};
use pli_store::Stored;

use super::{
    answer::{Answer, Told, Wanted},
    connection::Sent,
};
use crate::{
    Result,
    json::{self, Object},
    push::NotificationCounts,
    sync::{
        entries::{self, Entry},
        timeline::{Range, Shown},
        view::StateView,
    },
    token::Boundary,
};

impl Answer<'_> {
    /// What is told of an invite or a knock.
    pub(super) async fn invited(
        &self,
        stored: &Stored<UserRoomRecord>,
        wanted: Wanted<'_>,
    ) -> Result<Told> {
        let mut out = Object::new();
        if wanted.sent.is_none_or(|sent| stored.position > sent.up_to) {
            // A knock has its state under this name, too: clients tell them apart by the membership.
            let events = self.turn.stripped_state(stored).await?;
            out.raw("invite_state", &json::array(&events)).raw("initial", "true");
        }
        let was_dm = wanted.sent.is_some_and(|sent| sent.is_dm);
        if wanted.is_dm != was_dm {
            out.raw("is_dm", if wanted.is_dm { "true" } else { "false" });
        }
        let nothing = out.is_empty();
        out.raw("bump_stamp", &wanted.listed.bump.to_string());
        Ok(Told {
            json: (!nothing).then(|| out.finish()),
            sent: self.sent(wanted, usize::MAX, NotificationCounts::default()),
            whole: false,
            events: HashSet::new(),
        })
    }

    /// What is told of a room that the user has left, or was put out of.
    pub(super) async fn gone(
        &self,
        stored: &Stored<UserRoomRecord>,
        wanted: Wanted<'_>,
    ) -> Result<Told> {
        let counts = NotificationCounts::default();
        let sent = self.sent(wanted, usize::MAX, counts);
        if wanted.sent.is_some_and(|sent| stored.position <= sent.up_to) {
            return Ok(Told { json: None, sent, whole: false, events: HashSet::new() });
        }
        let parts = self.turn.parts();
        let room = parts.rooms.room(wanted.listed.room).await?;
        let reader = parts.history.reader(room, &self.request.user_id).await?;
        let renderer = self.turn.renderer(&reader);
        let own = stored.record.event;
        let known = wanted.sent.filter(|sent| sent.membership == Membership::Join);
        let (shown, state) = match self.turn.last_stay(own).await? {
            Some(stay) => {
                let known = match known {
                    Some(sent) if self.turn.was_joined(stay.joined, sent.up_to).await? => known,
                    _ => None,
                };
                self.up_to(wanted, known, (stay.end, own), &reader).await?
            }
            // An invite that was refused or taken back: nothing but that.
            None => (self.nothing_but(own).await?, BTreeSet::from([own])),
        };
        let mut events = Vec::with_capacity(state.len());
        for number in state {
            events.push(renderer.state_event(&*parts.rooms.existing_event(number).await?).await?);
        }
        let mut timeline = Vec::with_capacity(shown.entries.len());
        for entry in &shown.entries {
            timeline.push(renderer.event(&entry.event).await?);
        }
        let mut out = Object::new();
        if known.is_none() {
            out.raw("initial", "true");
        }
        out.raw("required_state", &json::array(&events))
            .raw("timeline", &json::array(&timeline))
            .string("prev_batch", &shown.start.to_string())
            .raw("limited", if shown.limited { "true" } else { "false" })
            .raw("bump_stamp", &wanted.listed.bump.to_string());
        Ok(Told { json: Some(out.finish()), sent, whole: false, events: HashSet::new() })
    }

    /// The timeline up to the end of a stay, and the wanted state there with the user's own membership.
    async fn up_to(
        &self,
        wanted: Wanted<'_>,
        known: Option<&Sent>,
        (end, own): (Boundary, EventNumber),
        reader: &crate::history::Reader,
    ) -> Result<(Shown, BTreeSet<EventNumber>)> {
        let rooms = &self.turn.parts().rooms;
        let (room, required) = (wanted.listed.room, &wanted.wish.required);
        let low = known.map_or(Boundary::START, |sent| Boundary::after_commit(sent.up_to));
        let range = Range { low, high: end, all_visible: known.is_some() };
        let shown = self.turn.newest(reader, range, wanted.wish.limit).await?;
        let view: StateView = self.turn.state_at(room, end).await?;
        let mut state = match known {
            None => required.select(rooms, &view).await?,
            Some(_) => {
                let before = self.turn.state_at(room, low).await?;
                let mut changed = BTreeSet::new();
                for (_, number) in view.changed_since(rooms, &before).await? {
                    if required.wants_event(&*rooms.existing_event(number).await?)? {
                        changed.insert(number);
                    }
                }
                changed
            }
        };
        // By its own membership the client learns that it is gone.
        state.insert(own);
        Ok((shown, state))
    }

    async fn nothing_but(&self, own: EventNumber) -> Result<Shown> {
        let entry = entries::of_event(&self.turn.parts().rooms, own).await?;
        let start = entry.as_ref().map_or(Boundary::START, Entry::place);
        Ok(Shown { entries: entry.into_iter().collect(), limited: false, start })
    }
}
