//! The part of a room's timeline that one answer shows.

use super::{
    entries::{self, Entry},
    render::{Renderer, is_ignored},
    turn::Turn,
    view::StateView,
};
use crate::{
    Result, filters,
    history::Reader,
    json::{self, Object},
    rooms::StoredEvent,
    token::Boundary,
};

/// Events where the filter does not say.
const LIMIT_DEFAULT: usize = 10;
/// Events of one room in one answer at most.
const LIMIT_MAX: usize = 500;
/// Events looked at for one room at most, where a filter leaves many out.
const SCANNED_MAX: usize = 2_000;

/// The newest events of a room in a range.
#[derive(Debug)]
pub(super) struct Shown {
    /// The events, oldest first.
    pub(super) entries: Vec<Entry>,
    /// Older events of the range are left out.
    pub(super) limited: bool,
    /// The place before the first event.
    pub(super) start: Boundary,
}

/// Which part of a timeline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    /// Not older than this.
    pub(super) low: Boundary,
    /// Older than this.
    pub(super) high: Boundary,
    /// The user was joined all the time and may see everything in it.
    pub(super) all_visible: bool,
}

impl Shown {
    /// The state before the first event; `None` if there is no event.
    pub(super) fn state_before(&self) -> Option<StateView> {
        self.entries.first().map(|entry| StateView::before(&entry.event))
    }

    /// Whether someone's membership or profile changes in it.
    pub(super) fn has_member_events(&self) -> Result<bool> {
        for entry in &self.entries {
            if entry.event.record.state_key.is_some()
                && entry.event.pdu()?.event_type == ruma::events::TimelineEventType::RoomMember
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The section of the answer.
    pub(super) async fn to_json(&self, renderer: &Renderer<'_>) -> Result<String> {
        let mut events = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            events.push(renderer.event(&entry.event).await?);
        }
        let mut out = Object::new();
        out.raw("events", &json::array(&events))
            .raw("limited", if self.limited { "true" } else { "false" })
            .string("prev_batch", &self.start.to_string());
        Ok(out.finish())
    }
}

impl Turn<'_> {
    /// The newest events of a range that the user may and wants to see.
    pub(super) async fn shown(&self, reader: &Reader, range: Range) -> Result<Shown> {
        let filter = &self.filter.room.timeline;
        let limit = filter
            .limit
            .map_or(LIMIT_DEFAULT, |limit| usize::try_from(u64::from(limit)).unwrap_or(LIMIT_MAX));
        self.newest(reader, range, limit.min(LIMIT_MAX)).await
    }

    /// The newest events of a range that the user may and wants to see, so many at most.
    pub(super) async fn newest(
        &self,
        reader: &Reader,
        range: Range,
        limit: usize,
    ) -> Result<Shown> {
        let filter = &self.filter.room.timeline;
        let batch_max = limit.saturating_add(1);
        let low = self.unbroken(reader, range).await?;
        let mut high = range.high;
        let mut entries: Vec<Entry> = Vec::new();
        let mut limited = false;
        let mut scanned: usize = 0;
        'scan: while filters::allows_room_events(filter, &reader.room().id) {
            let scan = entries::backward(reader.room().number, low, high, batch_max);
            let batch = entries::read(&self.parts().rooms, &scan).await?;
            let last = batch.len() < batch_max;
            scanned = scanned.saturating_add(batch.len());
            for entry in batch {
                high = entry.place();
                if self.wants(reader, range, &entry).await? {
                    if entries.len() == limit {
                        limited = true;
                        break 'scan;
                    }
                    entries.push(entry);
                }
            }
            if last {
                limited = low > range.low;
                break;
            }
            if scanned > SCANNED_MAX {
                limited = true;
                break;
            }
        }
        entries.reverse();
        let start = entries.first().map_or(range.high, Entry::place);
        Ok(Shown { entries, limited, start })
    }

    /// Where the newest part of a range begins that has no gap in it: what is older stands in another
    /// state, and what happened in between would be told neither as an event nor as state.
    async fn unbroken(&self, reader: &Reader, range: Range) -> Result<Boundary> {
        let places = (range.low, range.high);
        let gaps = self.parts().rooms.gaps(reader.room().number, places, 2).await?;
        let gap = gaps.into_iter().find(|gap| gap.place < range.high);
        Ok(gap.map_or(range.low, |gap| gap.place.max(range.low)))
    }

    async fn wants(&self, reader: &Reader, range: Range, entry: &Entry) -> Result<bool> {
        let hidden = entry.event.record.rejected || entry.event.record.soft_failed;
        Ok(!hidden
            && passes(&self.filter.room.timeline, &entry.event)?
            && !is_ignored(&self.ignored, &entry.event)?
            && (range.all_visible || reader.may_see(&entry.event).await?))
    }
}

/// Whether a filter lets an event through, except for its room.
pub(super) fn passes(
    filter: &ruma::api::client::filter::RoomEventFilter,
    event: &StoredEvent,
) -> Result<bool> {
    if filters::allows_all(filter) {
        return Ok(true);
    }
    let pdu = event.pdu()?;
    let has_url = || {
        #[derive(serde::Deserialize)]
        struct Content<'a> {
            #[serde(borrow)]
            url: Option<&'a serde_json::value::RawValue>,
        }
        serde_json::from_str::<Content<'_>>(pdu.content.get()).is_ok_and(|c| c.url.is_some())
    };
    Ok(filters::allows_event(filter, &pdu.event_type.to_string(), &pdu.sender, has_url))
}
