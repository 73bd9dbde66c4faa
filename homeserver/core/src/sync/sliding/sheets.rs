//! What lists need to know of rooms, kept in memory: when a room was last active, and the little by
//! which lists are filtered.

use std::{num::NonZeroUsize, sync::Arc};

use lru::LruCache;
use parking_lot::Mutex;
use pli_schema::{EventNumber, Position, RoomNumber, StateRoot, records::rooms::UserRoomRecord};
use pli_store::Stored;

use crate::{
    Notifier, Result,
    rooms::{Rooms, StoredEvent},
    sync::{entries, view::StateView},
    token::Boundary,
};

/// Rooms in memory (about 250 bytes each).
const ROOMS_MAX: NonZeroUsize = match NonZeroUsize::new(100_000) {
    Some(max) => max,
    None => NonZeroUsize::MIN,
};
/// Membership events in memory.
const MEMBERSHIPS_MAX: NonZeroUsize = match NonZeroUsize::new(100_000) {
    Some(max) => max,
    None => NonZeroUsize::MIN,
};
/// Events looked at in one step to find the one that counts as activity, and all in all.
const STEP: usize = 20;
const LOOKED_AT_MAX: usize = 1_000;

/// The events that count as activity (MSC4186, `bump_stamp`).
const BUMPS: [&str; 11] = [
    "m.room.create",
    "m.room.message",
    "m.room.encrypted",
    "m.sticker",
    "m.call.invite",
    "m.poll.start",
    "org.matrix.msc3381.poll.start",
    "m.beacon_info",
    "org.matrix.msc3672.beacon_info",
    "m.rtc.notification",
    "org.matrix.msc4075.rtc.notification",
];

/// What the state says of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// `type` of `m.room.create`.
    pub(super) room_type: Option<String>,
    /// It has `m.room.encryption`.
    pub(super) encrypted: bool,
    /// `m.room.name`.
    pub(super) name: Option<String>,
}

impl Facts {
    /// What a state says.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn of(rooms: &Rooms, view: &StateView) -> Result<Self> {
        #[derive(serde::Deserialize)]
        struct Create {
            #[serde(rename = "type")]
            room_type: Option<String>,
        }
        #[derive(serde::Deserialize)]
        struct Name {
            name: Option<String>,
        }
        let create = content::<Create>(rooms, view, "m.room.create").await?;
        let name = content::<Name>(rooms, view, "m.room.name").await?;
        Ok(Self {
            room_type: create.and_then(|create| create.room_type),
            encrypted: view.get(rooms, "m.room.encryption", "").await?.is_some(),
            name: name.and_then(|name| name.name).filter(|name| !name.is_empty()),
        })
    }
}

/// The content of a state event with an empty state key, if it has this shape.
pub(super) async fn content<T: serde::de::DeserializeOwned>(
    rooms: &Rooms,
    view: &StateView,
    event_type: &str,
) -> Result<Option<T>> {
    match view.get(rooms, event_type, "").await? {
        Some(number) => rooms.existing_event(number).await?.content(),
        None => Ok(None),
    }
}

/// A room in which someone is joined, now.
#[derive(Clone, Debug)]
pub(super) struct Sheet {
    /// Nothing here has changed up to this position.
    as_of: Position,
    root: StateRoot,
    /// The commit that brought the newest event.
    pub(super) active: Position,
    /// The commit that brought the newest event that counts as activity.
    pub(super) bump: Position,
    /// What the state says.
    pub(super) facts: Arc<Facts>,
}

/// What a membership that is no join means to lists. Never changes for one member event.
#[derive(Clone, Debug)]
pub(super) struct Outside {
    /// What the state at that moment says.
    pub(super) facts: Arc<Facts>,
    /// Someone else set it, and it ended a stay: the user was kicked or banned.
    pub(super) was_put_out: bool,
}

/// Sheets of rooms. Clones share them.
#[derive(Clone, Debug)]
pub(in crate::sync) struct Sheets {
    rooms: Rooms,
    notifier: Notifier,
    sheets: Arc<Mutex<LruCache<RoomNumber, Sheet>>>,
    outside: Arc<Mutex<LruCache<EventNumber, Outside>>>,
}

impl Sheets {
    /// Sheets of these rooms.
    pub(in crate::sync) fn new(rooms: Rooms, notifier: Notifier) -> Self {
        let sheets = Arc::new(Mutex::new(LruCache::new(ROOMS_MAX)));
        let outside = Arc::new(Mutex::new(LruCache::new(MEMBERSHIPS_MAX)));
        Self { rooms, notifier, sheets, outside }
    }

    /// The sheet of a room, not older than `now`.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn room(&self, room: RoomNumber, now: Position) -> Result<Sheet> {
        let known = self.sheets.lock().get(&room).cloned();
        if let Some(known) = &known
            && !self.notifier.may_have_changed(room, known.as_of)
        {
            return Ok(known.clone());
        }
        let head = self.rooms.head_stored(room).await?;
        let root = head.record.state;
        let facts = match &known {
            Some(known) if known.root == root => Arc::clone(&known.facts),
            _ => Arc::new(Facts::of(&self.rooms, &StateView::of(root)).await?),
        };
        let floor = known.as_ref().map(|known| (known.active, known.bump));
        let bump = match floor {
            Some((active, bump)) if active == head.position => bump,
            _ => self.bump(room, floor).await?,
        };
        let sheet = Sheet { as_of: now, root, active: head.position, bump, facts };
        self.sheets.lock().put(room, sheet.clone());
        Ok(sheet)
    }

    /// The newest event that counts as activity: above `floor`, or what was known there.
    async fn bump(
        &self,
        room: RoomNumber,
        floor: Option<(Position, Position)>,
    ) -> Result<Position> {
        let low = floor.map_or(Boundary::START, |(active, _)| Boundary::after_commit(active));
        let mut high = Boundary::after_commit(Position::MAX);
        let mut oldest = Position::ZERO;
        for _ in 0..LOOKED_AT_MAX.div_ceil(STEP) {
            let scan = entries::backward(room, low, high, STEP);
            let found = entries::read(&self.rooms, &scan).await?;
            for entry in &found {
                (oldest, high) = (entry.position, entry.place());
                if is_bump(&entry.event)? {
                    return Ok(entry.position);
                }
            }
            if found.len() < STEP {
                return Ok(floor.map_or(oldest, |(_, bump)| bump));
            }
        }
        Ok(oldest)
    }

    /// What a membership that is no join means.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn outside(&self, stored: &Stored<UserRoomRecord>) -> Result<Outside> {
        let number = stored.record.event;
        if let Some(known) = self.outside.lock().get(&number) {
            return Ok(known.clone());
        }
        let event = self.rooms.existing_event(number).await?;
        let pdu = event.pdu()?;
        let by_other = pdu.state_key.as_deref() != Some(pdu.sender.as_str());
        let facts = Facts::of(&self.rooms, &StateView::before(&event)).await?;
        let was_put_out = by_other && self.had_joined(&event).await?;
        let outside = Outside { facts: Arc::new(facts), was_put_out };
        self.outside.lock().put(number, outside.clone());
        Ok(outside)
    }

    /// Whether a member event was preceded by a join.
    async fn had_joined(&self, event: &StoredEvent) -> Result<bool> {
        use pli_schema::records::rooms::Membership;
        let mut before = event.record.replaces;
        for _ in 0..LOOKED_AT_MAX {
            let Some(number) = before else { return Ok(false) };
            if self.rooms.membership_set_by(number).await? == Some(Membership::Join) {
                return Ok(true);
            }
            before = self.rooms.existing_event(number).await?.record.replaces;
        }
        Ok(false)
    }
}

fn is_bump(event: &StoredEvent) -> Result<bool> {
    let hidden = event.record.rejected || event.record.soft_failed;
    let event_type = event.pdu()?.event_type.to_string();
    let state_ok = event.record.state_key.is_none() || event_type != "m.room.message";
    Ok(!hidden && state_ok && BUMPS.contains(&event_type.as_str()))
}
