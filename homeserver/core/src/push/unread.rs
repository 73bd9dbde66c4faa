//! How many notifications wait in a room: the events after the read receipts for which the user's rules
//! say `notify`, counted when somebody asks and then kept in memory and advanced.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#receiving-notifications>

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use pli_schema::{
    Position, RoomNumber,
    records::{
        rooms::{Membership, UserRoomKey},
        sync::ReceiptKey,
    },
};
use pli_store::Scan;
use ruma::{EventId, OwnedEventId, UserId, push::Action};
use serde::Deserialize;

use super::{
    Push,
    evaluate::{Eye, Placed},
};
use crate::{Result, rooms::StoredEvent};

/// Events looked at, at most, when nothing is in memory; older ones are not counted.
const EVENTS_MAX: usize = 5_000;

/// Numbers of notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotificationCounts {
    /// All.
    pub notifications: u64,
    /// Those with a highlight.
    pub highlights: u64,
}

/// The notifications that wait in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Those outside of threads.
    pub main: NotificationCounts,
    /// Those in threads, by root; threads without any are left out.
    pub threads: BTreeMap<OwnedEventId, NotificationCounts>,
}

impl Unread {
    /// All together, for clients that know no threads.
    #[must_use]
    pub fn total(&self) -> NotificationCounts {
        self.threads.values().fold(self.main, |sum, counts| NotificationCounts {
            notifications: sum.notifications.saturating_add(counts.notifications),
            highlights: sum.highlights.saturating_add(counts.highlights),
        })
    }
}

/// A place in a timeline.
type Place = (Position, u32);

#[derive(Clone, Debug)]
struct Waiting {
    place: Place,
    thread: Option<OwnedEventId>,
    highlight: bool,
}

/// What was counted up to a commit. Own messages are read marks of their thread.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    to: Position,
    joined_at: Position,
    waiting: Vec<Waiting>,
}

/// How far the user has read: outside of threads (`None`), in each thread, and everywhere.
#[derive(Debug, Default)]
struct Read {
    everywhere: Option<Place>,
    by_thread: HashMap<Option<OwnedEventId>, Place>,
}

impl Read {
    fn has(&self, waiting: &Waiting) -> bool {
        let place = Some(waiting.place);
        place <= self.everywhere || place <= self.by_thread.get(&waiting.thread).copied()
    }

    fn mark(&mut self, thread: &str, place: Place) {
        let thread = match thread {
            "" => {
                self.everywhere = self.everywhere.max(Some(place));
                return;
            }
            "main" => None,
            root => match EventId::parse(root) {
                Ok(root) => Some(root),
                Err(_) => return,
            },
        };
        let mark = self.by_thread.entry(thread).or_insert(place);
        *mark = (*mark).max(place);
    }
}

/// The root of the thread an event is in.
pub(super) fn thread_of(event: &StoredEvent) -> Result<Option<OwnedEventId>> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.relates_to")]
        relates_to: Option<Relation>,
    }
    #[derive(Deserialize)]
    struct Relation {
        rel_type: Option<String>,
        event_id: Option<OwnedEventId>,
    }
    let relation = event.content::<Content>()?.and_then(|content| content.relates_to);
    let relation = relation.filter(|it| it.rel_type.as_deref() == Some("m.thread"));
    Ok(relation.and_then(|relation| relation.event_id))
}

impl Push {
    /// The notifications that wait for a user in a room where the user is joined; none elsewhere.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn unread(&self, user_id: &UserId, room: RoomNumber) -> Result<Unread> {
        let to = self.store().position();
        let key = UserRoomKey { user_id: user_id.to_owned(), room };
        let Some(own) = self.store().get_stored(&key).await? else {
            return Ok(Unread::default());
        };
        if own.record.membership != Membership::Join {
            return Ok(Unread::default());
        }
        let read = self.read_marks(user_id, room).await?;
        let joined_at = self.rooms.start_of_stay(own.record.event).await?;
        let mut counted = self.counted(user_id, room, joined_at, read.everywhere);
        if self.rooms.room_position(room).await? > counted.to {
            self.count(&mut counted, user_id, room, to).await?;
        } else {
            counted.to = counted.to.max(to);
        }
        counted.waiting.retain(|waiting| !read.has(waiting));
        let unread = sum(&counted.waiting);
        let place = (user_id.to_owned(), room);
        self.caches.unread.lock().put(place, Arc::new(counted));
        Ok(unread)
    }

    /// All notifications that wait for a user, in all rooms: what a client shows on its icon.
    pub(super) async fn badge(&self, user_id: &UserId) -> Result<u64> {
        let mut badge: u64 = 0;
        for room in self.rooms.joined_rooms(user_id).await? {
            let unread = self.unread(user_id, room).await?;
            badge = badge.saturating_add(unread.total().notifications);
        }
        Ok(badge)
    }

    /// Whether a read receipt of the user covers an event.
    pub(super) async fn has_read(
        &self,
        user_id: &UserId,
        room: RoomNumber,
        event: &StoredEvent,
        place: Place,
    ) -> Result<bool> {
        let read = self.read_marks(user_id, room).await?;
        Ok(read.has(&Waiting { place, thread: thread_of(event)?, highlight: false }))
    }

    /// What is in memory, or nothing counted since the user joined or read everything.
    fn counted(
        &self,
        user_id: &UserId,
        room: RoomNumber,
        joined_at: Position,
        read: Option<Place>,
    ) -> Counted {
        let place = (user_id.to_owned(), room);
        let kept = self.caches.unread.lock().get(&place).map(|counted| Counted::clone(counted));
        if let Some(kept) = kept.filter(|kept| kept.joined_at == joined_at) {
            return kept;
        }
        // The event that was read may not be the last of its commit.
        let read = read.map_or(Position::ZERO, |(at, _)| Position(at.0.saturating_sub(1)));
        Counted { to: joined_at.max(read), joined_at, waiting: Vec::new() }
    }

    async fn count(
        &self,
        counted: &mut Counted,
        user_id: &UserId,
        room: RoomNumber,
        to: Position,
    ) -> Result<()> {
        let events = self.events_between(room, counted.to, to, EVENTS_MAX).await?;
        let member = self.rooms.member(room, user_id).await?;
        let levels = self.levels_of_senders(room, &events).await?;
        let eye = self.eye(room, user_id, member.as_ref(), &levels).await?;
        for placed in &events {
            look_at(counted, &eye, placed, user_id).await?;
        }
        counted.to = to;
        Ok(())
    }

    async fn read_marks(&self, user_id: &UserId, room: RoomNumber) -> Result<Read> {
        let receipts = Scan::<ReceiptKey>::prefix((room, user_id.to_owned()));
        let mut read = Read::default();
        for row in self.store().scan(&receipts).await? {
            read.mark(&row.key.thread, (row.record.at, row.record.index));
        }
        Ok(read)
    }
}

/// Counts an event, or takes it for a read mark if it is the user's own message: who writes has read.
/// Own state events (a new display name in every room) say nothing about that.
async fn look_at(
    counted: &mut Counted,
    eye: &Eye,
    placed: &Placed,
    user_id: &UserId,
) -> Result<()> {
    let pdu = placed.event.pdu()?;
    if pdu.sender == user_id {
        if pdu.state_key.is_some() {
            return Ok(());
        }
        let thread = thread_of(&placed.event)?;
        counted.waiting.retain(|waiting| waiting.thread != thread);
        return Ok(());
    }
    let Some(actions) = eye.actions(&placed.event).await? else {
        return Ok(());
    };
    counted.waiting.push(Waiting {
        place: (placed.at, placed.index),
        thread: thread_of(&placed.event)?,
        highlight: actions.iter().any(Action::is_highlight),
    });
    Ok(())
}

fn sum(waiting: &[Waiting]) -> Unread {
    let mut unread = Unread::default();
    for event in waiting {
        let counts = match &event.thread {
            Some(root) => unread.threads.entry(root.clone()).or_default(),
            None => &mut unread.main,
        };
        counts.notifications = counts.notifications.saturating_add(1);
        counts.highlights = counts.highlights.saturating_add(u64::from(event.highlight));
    }
    unread
}
