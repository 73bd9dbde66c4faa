//! A room in which the user is joined, in one answer.

use std::{collections::BTreeSet, sync::Arc};

use pli_schema::{
    EventNumber, Position, RoomNumber,
    records::rooms::{MemberKey, Membership, UserRoomRecord},
};
use pli_store::{Scan, Stored};
use ruma::events::TimelineEventType;

use super::{
    entries,
    render::{Renderer, is_ignored},
    state::Between,
    timeline::{Range, Shown},
    turn::{Private, Turn},
    view::StateView,
};
use crate::{
    Result, filters, json::Object, push::NotificationCounts, rooms::Room, token::Boundary,
};

/// Memberships followed back to the token.
const HOPS_MAX: usize = 1_000;
/// Members of a room that the user has joined, whose presence is told.
const NEWCOMERS_MAX: usize = 500;

impl Turn<'_> {
    /// The room's part of the answer; `None` if there is nothing to tell.
    pub(super) async fn joined(
        &self,
        room: Arc<Room>,
        stored: &Stored<UserRoomRecord>,
        private: Private,
    ) -> Result<Option<String>> {
        let stayed = match self.since {
            None => false,
            Some(since) if stored.position <= since.position => true,
            Some(since) => self.was_joined(stored.record.event, since.position).await?,
        };
        let whole = !stayed || self.request.full_state;
        let reader = self.parts().history.reader(room, &self.request.user_id).await?;
        let number = reader.room().number;
        let low = if stayed { Boundary::after_commit(self.since()) } else { Boundary::START };
        let high = Boundary::after_commit(self.now);
        let mut shown = self.shown(&reader, Range { low, high, all_visible: stayed }).await?;
        // Whoever comes back has a gap, whatever is shown.
        shown.limited |= self.since.is_some() && !stayed;
        let (head, end) = self.present(number).await?;
        let known = if whole { None } else { Some(self.state_at(number, low).await?) };
        let members_changed = match &known {
            None => true,
            Some(known) => shown.has_member_events()? || self.members_differ(known, &end).await?,
        };
        let summary = match members_changed {
            true => Some(self.summary(number, &head, &end).await?),
            false => None,
        };
        self.note_newcomers(number, stayed, &shown).await?;
        let renderer = self.renderer(&reader);
        let heroes = summary.as_ref().map(|summary| &*summary.heroes).unwrap_or_default();
        let state = self.state_events(&renderer, Between { known, end }, &shown, heroes).await?;
        let ephemeral = self.ephemeral(reader.room(), private.receipts, whole).await?;
        let account_data =
            self.room_account_data(reader.room(), &private.account_data, stayed).await?;
        let sticky = self.sticky(&renderer, stayed, &shown).await?;
        let nothing =
            shown.entries.is_empty() && !shown.limited && state.is_empty() && sticky.is_empty();
        if nothing && !whole && ephemeral.is_empty() && account_data.is_empty() {
            return Ok(None);
        }
        let mut out = Object::new();
        if let Some(summary) = summary {
            out.raw("summary", &summary.json);
        }
        out.raw("timeline", &shown.to_json(&renderer).await?);
        self.write_state(&mut out, &state);
        out.events("ephemeral", &ephemeral).events("account_data", &account_data);
        if !sticky.is_empty() {
            out.events("msc4354_sticky", &sticky);
        }
        self.write_unread(&mut out, number).await?;
        Ok(Some(out.finish()))
    }

    /// The events that stick and that the timeline does not show: those that are new, or all for a room
    /// that is new to the client (MSC4354). No filter holds for them.
    async fn sticky(
        &self,
        renderer: &Renderer<'_>,
        stayed: bool,
        shown: &Shown,
    ) -> Result<Vec<String>> {
        let rooms = &self.parts().rooms;
        let since = if stayed { self.since() } else { Position::ZERO };
        let room = renderer.reader.room().number;
        let mut events = Vec::new();
        for sticky in rooms.sticky_events(room, since, self.now).await? {
            let in_timeline =
                shown.entries.iter().any(|entry| entry.event.number == sticky.event.number);
            if !in_timeline && !is_ignored(&self.ignored, &sticky.event)? {
                events.push(renderer.event(&sticky.event).await?);
            }
        }
        Ok(events)
    }

    /// Notes who shares a room with the user since the token: all members of a room that the user has
    /// joined, and those who have joined one in which the user is.
    async fn note_newcomers(&self, room: RoomNumber, stayed: bool, shown: &Shown) -> Result<()> {
        if self.since.is_none() || !self.parts().presence.is_enabled() {
            return Ok(());
        }
        let rooms = &self.parts().rooms;
        let mut newcomers = BTreeSet::new();
        if stayed {
            for entry in shown.entries.iter().filter(|e| e.event.record.state_key.is_some()) {
                let joins = rooms.membership_set_by(entry.event.number).await?;
                let pdu = entry.event.pdu()?;
                if joins == Some(Membership::Join)
                    && pdu.event_type == TimelineEventType::RoomMember
                {
                    newcomers.insert(pdu.sender.clone());
                }
            }
        } else {
            let scan = Scan::<MemberKey>::prefix((room,)).limit(NEWCOMERS_MAX);
            let rows = rooms.store().scan(&scan).await?;
            let joined = rows.into_iter().filter(|row| row.record.membership == Membership::Join);
            newcomers.extend(joined.map(|row| row.key.user_id));
        }
        self.newcomers.lock().extend(newcomers);
        Ok(())
    }

    /// The numbers of notifications; those of threads apart if the client asks for that.
    async fn write_unread(&self, out: &mut Object, room: RoomNumber) -> Result<()> {
        let unread = self.parts().push.unread(&self.request.user_id, room).await?;
        let json = |counts: NotificationCounts| {
            let NotificationCounts { notifications, highlights } = counts;
            format!(r#"{{"highlight_count":{highlights},"notification_count":{notifications}}}"#)
        };
        if !self.filter.room.timeline.unread_thread_notifications {
            out.raw("unread_notifications", &json(unread.total()));
            return Ok(());
        }
        out.raw("unread_notifications", &json(unread.main));
        let mut threads = Object::new();
        for (root, counts) in unread.threads {
            threads.raw(root.as_str(), &json(counts));
        }
        if !threads.is_empty() {
            out.raw("unread_thread_notifications", &threads.finish());
        }
        Ok(())
    }

    /// Whether the user was joined at a position and stayed joined until the given member event.
    pub(super) async fn was_joined(&self, event: EventNumber, at: Position) -> Result<bool> {
        let rooms = &self.parts().rooms;
        let mut number = event;
        for _ in 0..HOPS_MAX {
            if rooms.membership_set_by(number).await? != Some(Membership::Join) {
                return Ok(false);
            }
            let Some(entry) = entries::of_event(rooms, number).await? else {
                return Ok(false);
            };
            if entry.position <= at {
                return Ok(true);
            }
            match entry.event.record.replaces {
                Some(before) => number = before,
                None => return Ok(false),
            }
        }
        Ok(false)
    }

    async fn members_differ(&self, known: &StateView, end: &StateView) -> Result<bool> {
        if known == end {
            return Ok(false);
        }
        let rooms = &self.parts().rooms;
        let members = rooms.state_type_number("m.room.member").await?;
        let changed = end.changed_since(rooms, known).await?;
        Ok(changed.iter().any(|(key, _)| Some(key.type_number()) == members))
    }

    /// The account data of a room: what changed, or all of it for a room that is new to the client.
    pub(super) async fn room_account_data(
        &self,
        room: &Room,
        changed: &[crate::account_data::AccountDataEvent],
        known: bool,
    ) -> Result<Vec<String>> {
        let filter = &self.filter.room.account_data;
        if !filters::allows_room_events(filter, &room.id) {
            return Ok(Vec::new());
        }
        let all;
        let events = if known || self.since.is_none() {
            changed
        } else {
            all = self.parts().account_data.of_room(&self.request.user_id, &room.id).await?;
            &all
        };
        let allowed = events.iter().filter(|event| filters::allows_type(filter, &event.data_type));
        Ok(allowed.map(crate::account_data::AccountDataEvent::to_json).collect())
    }
}
