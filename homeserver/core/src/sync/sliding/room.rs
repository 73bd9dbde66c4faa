//! A room in which the user is joined, in one answer.

use std::{collections::BTreeSet, sync::Arc};

use pli_federation::canonical_json::quote;
use pli_schema::{
    EventNumber, Position,
    records::rooms::{MemberRecord, Membership, RoomHeadRecord, UserRoomRecord},
};
use pli_store::Stored;
use ruma::OwnedUserId;

use super::{
    answer::{Answer, Told, Wanted},
    connection::Sent,
};
use crate::{
    Result,
    history::Reader,
    json::{self, Object},
    push::NotificationCounts,
    rooms::StoredEvent,
    sync::{
        render::Renderer,
        timeline::{Range, Shown},
        view::StateView,
    },
    token::Boundary,
};

const MEMBER: &str = "m.room.member";

/// The state of a room now, and what of it is new to the client.
struct News {
    end: StateView,
    /// `None`: everything.
    changed: Option<Vec<Arc<StoredEvent>>>,
}

impl News {
    fn touches(&self, event_type: &str) -> Result<bool> {
        let Some(changed) = &self.changed else {
            return Ok(true);
        };
        for event in changed {
            if event.pdu()?.event_type.to_string() == event_type {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Answer<'_> {
    /// What is told of a room in which the user is joined.
    pub(super) async fn joined(
        &self,
        stored: &Stored<UserRoomRecord>,
        wanted: Wanted<'_>,
    ) -> Result<Told> {
        let parts = self.turn.parts();
        let known = self.stayed(stored, wanted).await?;
        let room = parts.rooms.room(wanted.listed.room).await?;
        let reader = parts.history.reader(room, &self.request.user_id).await?;
        let shown = self.timeline(&reader, known, wanted.wish.limit).await?;
        let (head, end) = self.turn.present(wanted.listed.room).await?;
        let changed = match known {
            Some(sent) => Some(self.changed(wanted, sent, &end).await?),
            None => None,
        };
        let news = News { end, changed };
        let renderer = self.turn.renderer(&reader);
        let state = self.required_state(&renderer, wanted, known, (&news, &shown)).await?;
        let counts = parts.push.unread(&self.request.user_id, wanted.listed.room).await?.total();
        let told = known.map(|sent| (sent.counts, sent.is_dm));
        let mut out = Object::new();
        if !shown.entries.is_empty() || shown.limited {
            self.write_timeline(&mut out, &renderer, &shown, known).await?;
        }
        if !state.is_empty() {
            out.raw("required_state", &json::array(&state));
        }
        self.write_summary(&mut out, wanted, &news, &head).await?;
        let nothing = out.is_empty() && told == Some((counts, wanted.is_dm));
        self.write_rest(&mut out, wanted, known, counts);
        let limit = match (shown.limited, known) {
            (true, _) => wanted.wish.limit,
            (false, Some(sent)) if sent.limit >= wanted.wish.limit => sent.limit,
            (false, _) => usize::MAX,
        };
        Ok(Told {
            json: (!nothing).then(|| out.finish()),
            sent: self.sent(wanted, limit, counts),
            whole: known.is_none(),
            events: shown.entries.iter().map(|e| e.event.record.event_id.clone()).collect(),
        })
    }

    /// What the client has, if the user has been joined ever since.
    async fn stayed<'s>(
        &self,
        stored: &Stored<UserRoomRecord>,
        wanted: Wanted<'s>,
    ) -> Result<Option<&'s Sent>> {
        let Some(sent) = wanted.sent.filter(|sent| sent.membership == Membership::Join) else {
            return Ok(None);
        };
        let stayed = stored.position <= sent.up_to
            || self.turn.was_joined(stored.record.event, sent.up_to).await?;
        Ok(stayed.then_some(sent))
    }

    /// The newest events: those that are new, or as many as are wanted if the client wants more than
    /// it wanted before.
    async fn timeline(&self, reader: &Reader, known: Option<&Sent>, limit: usize) -> Result<Shown> {
        let high = Boundary::after_commit(self.turn.now);
        let range = match known {
            Some(sent) if limit <= sent.limit => {
                Range { low: Boundary::after_commit(sent.up_to), high, all_visible: true }
            }
            _ => Range { low: Boundary::START, high, all_visible: false },
        };
        self.turn.newest(reader, range, limit).await
    }

    async fn changed(
        &self,
        wanted: Wanted<'_>,
        sent: &Sent,
        end: &StateView,
    ) -> Result<Vec<Arc<StoredEvent>>> {
        let rooms = &self.turn.parts().rooms;
        let place = Boundary::after_commit(sent.up_to);
        let before = self.turn.state_at(wanted.listed.room, place).await?;
        if before == *end {
            return Ok(Vec::new());
        }
        let mut changed = Vec::new();
        for (_, number) in end.changed_since(rooms, &before).await? {
            changed.push(rooms.existing_event(number).await?);
        }
        Ok(changed)
    }

    /// The state events that are wanted and that the client does not have.
    async fn required_state(
        &self,
        renderer: &Renderer<'_>,
        wanted: Wanted<'_>,
        known: Option<&Sent>,
        (news, shown): (&News, &Shown),
    ) -> Result<Vec<String>> {
        let rooms = &self.turn.parts().rooms;
        let required = &wanted.wish.required;
        let mut numbers = match known {
            None => required.select(rooms, &news.end).await?,
            Some(sent) => required.beyond(&sent.required).select(rooms, &news.end).await?,
        };
        let lazy = required.is_lazy();
        for event in news.changed.iter().flatten() {
            let is_member = event.pdu()?.event_type.to_string() == MEMBER;
            let told_lazily = lazy && is_member && !shown.limited;
            if told_lazily || required.wants_event(event)? {
                numbers.insert(event.number);
            }
        }
        if lazy {
            self.lazy_members(&mut numbers, known.is_none(), (news, shown)).await?;
        }
        let mut out = Vec::with_capacity(numbers.len());
        for number in numbers {
            out.push(renderer.state_event(&*rooms.existing_event(number).await?).await?);
        }
        Ok(out)
    }

    /// Adds the memberships of those who send, and are named by, the events of the timeline, without
    /// those that the client has.
    async fn lazy_members(
        &self,
        numbers: &mut BTreeSet<EventNumber>,
        whole: bool,
        (news, shown): (&News, &Shown),
    ) -> Result<()> {
        let rooms = &self.turn.parts().rooms;
        let mut users: BTreeSet<String> = BTreeSet::new();
        for entry in &shown.entries {
            let pdu = entry.event.pdu()?;
            users.insert(pdu.sender.to_string());
            if entry.event.record.state_key.is_some() && pdu.event_type.to_string() == MEMBER {
                users.extend(pdu.state_key.clone());
            }
        }
        let session = self.connection.session();
        let serials = (
            self.connection.goes_on().then_some(Position(self.connection.serial)),
            Position(self.connection.next_serial()),
        );
        for user in users {
            let Some(number) = news.end.get(rooms, MEMBER, &user).await? else { continue };
            let device = (&self.request.user_id, &self.request.device_id, session);
            let has_it = self.turn.sync.sent_members.knows(device, number, serials);
            if whole || !has_it {
                numbers.insert(number);
            }
        }
        Ok(())
    }

    async fn write_timeline(
        &self,
        out: &mut Object,
        renderer: &Renderer<'_>,
        shown: &Shown,
        known: Option<&Sent>,
    ) -> Result<()> {
        let mut events = Vec::with_capacity(shown.entries.len());
        for entry in &shown.entries {
            events.push(renderer.event(&entry.event).await?);
        }
        let since = self.turn.since.map(|since| since.position);
        let live = |position: Position| since.is_some_and(|since| position > since);
        let live = shown.entries.iter().filter(|entry| live(entry.position)).count();
        out.raw("timeline", &json::array(&events))
            .string("prev_batch", &shown.start.to_string())
            .raw("num_live", &live.to_string())
            .raw("limited", if shown.limited { "true" } else { "false" });
        let first = shown.entries.first().map(|entry| entry.position);
        if known.is_some_and(|sent| first.is_some_and(|first| first <= sent.up_to)) {
            out.raw("unstable_expanded_timeline", "true");
        }
        Ok(())
    }

    /// What the room is called and who is in it, as far as that is new.
    async fn write_summary(
        &self,
        out: &mut Object,
        wanted: Wanted<'_>,
        news: &News,
        head: &RoomHeadRecord,
    ) -> Result<()> {
        let whole = news.changed.is_none();
        let name = self.text_of(&news.end, "m.room.name", "name").await?;
        for (event_type, key, field) in
            [("m.room.name", "name", "name"), ("m.room.avatar", "url", "avatar")]
        {
            if news.touches(event_type)? {
                match self.text_of(&news.end, event_type, key).await? {
                    Some(text) => out.string(field, &text),
                    // Tells that it is gone (MSC4186).
                    None if !whole => out.raw(field, "null"),
                    None => out,
                };
            }
        }
        let members = news.touches(MEMBER)?;
        if members {
            out.raw("joined_count", &head.joined_members.to_string())
                .raw("invited_count", &head.invited_members.to_string());
        }
        if name.is_none() && (members || news.touches("m.room.name")?) {
            let heroes = self.turn.heroes(wanted.listed.room).await?;
            let heroes: Vec<String> = heroes.iter().map(hero).collect();
            out.raw("heroes", &json::array(&heroes));
        }
        Ok(())
    }

    /// A text in the content of a state event; `None` if it is absent or empty.
    async fn text_of(
        &self,
        view: &StateView,
        event_type: &str,
        key: &str,
    ) -> Result<Option<String>> {
        let rooms = &self.turn.parts().rooms;
        let content = super::sheets::content::<serde_json::Value>(rooms, view, event_type).await?;
        let text = content.as_ref().and_then(|content| content.get(key)?.as_str());
        Ok(text.filter(|text| !text.is_empty()).map(str::to_owned))
    }

    fn write_rest(
        &self,
        out: &mut Object,
        wanted: Wanted<'_>,
        known: Option<&Sent>,
        counts: NotificationCounts,
    ) {
        if known.is_none() {
            out.raw("initial", "true");
        }
        let was_dm = known.is_some_and(|sent| sent.is_dm);
        if wanted.is_dm != was_dm {
            out.raw("is_dm", if wanted.is_dm { "true" } else { "false" });
        }
        out.raw("bump_stamp", &wanted.listed.bump.to_string())
            .raw("notification_count", &counts.notifications.to_string())
            .raw("highlight_count", &counts.highlights.to_string());
    }
}

fn hero((user_id, member): &(OwnedUserId, MemberRecord)) -> String {
    let mut out = Object::new();
    out.raw("user_id", &quote(user_id.as_str()));
    if let Some(name) = &member.display_name {
        out.string("displayname", name);
    }
    if let Some(url) = &member.avatar_url {
        out.string("avatar_url", url);
    }
    out.finish()
}
