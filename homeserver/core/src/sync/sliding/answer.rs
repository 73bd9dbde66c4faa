//! One answer to one sliding sync.

use std::collections::{HashMap, HashSet};

use pli_schema::{Position, RoomNumber, records::rooms::Membership};
use ruma::OwnedEventId;

use super::{
    connection::{Connection, Mark, Sent},
    lists::{Listed, Lists, Windows, Wish},
    request::SlidingRequest,
};
use crate::{Error, Result, json::Object, push::NotificationCounts, sync::turn::Turn};

/// Rooms in one answer; the rest comes with the next, at once.
const ROOMS_MAX: usize = 500;

/// What an answer tells of a room.
pub(super) struct Told {
    /// `None`: nothing that the client does not have.
    pub(super) json: Option<String>,
    /// What the client has then.
    pub(super) sent: Sent,
    /// The room is told from the start.
    pub(super) whole: bool,
    /// The events of its timeline.
    pub(super) events: HashSet<OwnedEventId>,
}

/// A room of which more is known than its number.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) listed: &'a Listed,
    pub(super) wish: &'a Wish,
    /// What the client has of it.
    pub(super) sent: Option<&'a Sent>,
    /// The room is one of `m.direct`.
    pub(super) is_dm: bool,
}

/// An answer in the making.
pub(super) struct Answer<'a> {
    pub(super) turn: &'a Turn<'a>,
    pub(super) request: &'a SlidingRequest,
    pub(super) connection: &'a Connection,
    pub(super) direct: &'a HashSet<String>,
    /// What the client has confirmed of its inbox.
    pub(super) inbox: Position,
    pub(super) windows: Windows,
    /// The rooms that this answer tells.
    pub(super) told: HashMap<RoomNumber, Sent>,
    /// Those that it tells from the start, with the events of their timelines.
    pub(super) whole: HashMap<RoomNumber, HashSet<OwnedEventId>>,
    pub(super) mark: Mark,
}

/// An answer that is ready but for its token.
pub(super) struct Finished {
    pub(super) body: Object,
    pub(super) mark: Mark,
    pub(super) rooms: HashMap<RoomNumber, Sent>,
    /// There is something in it.
    pub(super) has_news: bool,
}

impl<'a> Answer<'a> {
    pub(super) fn new(
        turn: &'a Turn<'a>,
        request: &'a SlidingRequest,
        connection: &'a Connection,
        direct: &'a HashSet<String>,
        inbox: Position,
    ) -> Self {
        let mark = Mark { at: turn.now, typing: turn.typing, ..Mark::default() };
        Self {
            turn,
            request,
            connection,
            direct,
            inbox,
            windows: Windows::default(),
            told: HashMap::new(),
            whole: HashMap::new(),
            mark,
        }
    }

    /// The whole answer.
    pub(super) async fn finish(mut self) -> Result<Finished> {
        let sheets = &self.turn.sync.sheets;
        let (turn, request, direct) = (self.turn, self.request, self.direct);
        let lists = Lists { turn, sheets, request, direct };
        self.windows = lists.look_up(self.connection).await?;
        let mut body = Object::new();
        if let Some(txn_id) = &request.body.txn_id {
            body.string("txn_id", txn_id);
        }
        let mut has_news = self.lists(&mut body);
        let rooms = self.rooms().await?;
        has_news |= !rooms.is_empty();
        body.raw("rooms", &rooms.finish());
        let (extensions, news) = self.extensions().await?;
        has_news |= news;
        body.raw("extensions", &extensions);
        Ok(Finished { body, mark: self.mark, rooms: self.told, has_news })
    }

    /// Writes the sizes of the lists; whether the client does not have them.
    fn lists(&mut self, body: &mut Object) -> bool {
        let mut lists = Object::new();
        for (name, count) in &self.windows.counts {
            lists.raw(name, &format!(r#"{{"count":{count}}}"#));
        }
        body.raw("lists", &lists.finish());
        self.mark.counts.clone_from(&self.windows.counts);
        self.mark.counts != self.connection.mark.counts
    }

    /// The rooms of which there is something to tell.
    async fn rooms(&mut self) -> Result<Object> {
        let mut out = Object::new();
        let wishes = std::mem::take(&mut self.windows.wishes);
        let read = self.newly_read().await?;
        for (listed, wish) in &wishes {
            if self.told.len() >= ROOMS_MAX {
                break;
            }
            let room = self.turn.parts().rooms.room(listed.room).await?;
            let is_dm = self.direct.contains(room.id.as_str());
            let sent = self.connection.rooms.get(&listed.room);
            let wanted = Wanted { listed, wish, sent, is_dm };
            if !is_due(wanted) && !read.contains(&listed.room) {
                continue;
            }
            match self.room(wanted).await {
                Ok(told) => {
                    if let Some(json) = &told.json {
                        out.raw(room.id.as_str(), json);
                    }
                    if told.whole {
                        self.whole.insert(listed.room, told.events);
                    }
                    self.told.insert(listed.room, told.sent);
                }
                // One room that cannot be read must not hold up all others. It is not marked as told:
                // the next answer tries again.
                Err(Error::Bug(text)) => tracing::error!(text, "a room could not be told"),
                Err(error) => return Err(error),
            }
        }
        Ok(out)
    }

    /// The rooms in which the user has read something since the token.
    async fn newly_read(&self) -> Result<HashSet<RoomNumber>> {
        let Some(since) = self.turn.since else {
            return Ok(HashSet::new());
        };
        let (receipts, user_id) = (&self.turn.parts().receipts, &self.request.user_id);
        let mut rooms = HashSet::new();
        for (room, _) in receipts.private_changes(user_id, since.position, self.turn.now).await? {
            rooms.insert(room);
        }
        for room in self.turn.changed_joined_rooms().await? {
            let known = self.connection.rooms.contains_key(&room);
            if known && receipts.has_own_change(room, user_id, since.position).await? {
                rooms.insert(room);
            }
        }
        Ok(rooms)
    }

    async fn room(&self, wanted: Wanted<'_>) -> Result<Told> {
        let rooms = &self.turn.rooms;
        let stored = rooms.get(wanted.listed.room);
        let stored = stored.ok_or_else(|| Error::bug("a listed room is not the user's"))?;
        match stored.record.membership {
            Membership::Join => self.joined(stored, wanted).await,
            Membership::Invite | Membership::Knock => self.invited(stored, wanted).await,
            Membership::Leave | Membership::Ban => self.gone(stored, wanted).await,
        }
    }

    /// What the client has of a room after it was told.
    pub(super) fn sent(
        &self,
        wanted: Wanted<'_>,
        limit: usize,
        counts: NotificationCounts,
    ) -> Sent {
        Sent {
            up_to: self.turn.now,
            limit,
            required: std::sync::Arc::clone(&wanted.wish.required),
            membership: wanted.listed.membership,
            is_dm: wanted.is_dm,
            counts,
        }
    }
}

/// Whether something may be to tell of a room.
fn is_due(wanted: Wanted<'_>) -> bool {
    let Some(sent) = wanted.sent else {
        return true;
    };
    let Wish { limit, required } = wanted.wish;
    let joined = wanted.listed.membership == Membership::Join;
    wanted.listed.active > sent.up_to
        || sent.is_dm != wanted.is_dm
        || (joined && *limit > sent.limit)
        || (joined && required != &sent.required && !required.beyond(&sent.required).is_empty())
}
