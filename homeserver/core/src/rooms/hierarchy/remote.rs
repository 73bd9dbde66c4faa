//! The walk through a space, with the rooms that this server does not take part in.

use std::sync::Arc;

use futures_util::{StreamExt, future::BoxFuture, stream};
use ruma::{OwnedRoomId, OwnedServerName, RoomId};
use serde_json::value::RawValue;

use super::{Child, HierarchyQuery, HierarchyRoom, child_of, stripped};
use crate::{
    Result,
    rooms::{Room, RoomSummary, Rooms},
};

/// Rooms that one walk asks other servers for.
const ASKED_MAX: usize = 200;
/// Of these, rooms that are asked for at the same time.
const ASKED_AT_ONCE: usize = 8;

/// A room of a space on another server.
#[derive(Clone, Debug)]
pub struct RemoteChild {
    /// What the space says of it.
    pub child: Child,
    /// The space suggests it.
    pub suggested: bool,
}

impl RemoteChild {
    /// The child that an event names, as other servers tell it; `None` if it names none.
    #[must_use]
    pub fn read(event: &RawValue) -> Option<Self> {
        let event: serde_json::Value = serde_json::from_str(event.get()).ok()?;
        let sent = event.get("origin_server_ts").and_then(serde_json::Value::as_u64);
        let state_key = event.get("state_key").and_then(serde_json::Value::as_str);
        let (child, suggested) = child_of(state_key, event.get("content")?, sent.unwrap_or(0))?;
        Some(Self { child, suggested })
    }
}

/// What another server says of a space.
#[derive(Clone, Debug)]
pub struct RemoteSpace {
    /// The space, or a room that is none.
    pub room: RoomSummary,
    /// Its children in their order.
    pub children: Vec<RemoteChild>,
    /// The events that name them.
    pub children_state: Vec<Box<RawValue>>,
    /// Those of the children of which it tells.
    pub known: Vec<RoomSummary>,
    /// Children that this server may not know of.
    pub inaccessible: Vec<OwnedRoomId>,
}

/// Tells of rooms that this server does not take part in.
pub trait Elsewhere: Send + Sync {
    /// What other servers say of a space or a room; `None` if they say nothing. Answers are kept, so
    /// that asking again costs nothing.
    fn space<'a>(
        &'a self,
        room_id: &'a RoomId,
        via: &'a [OwnedServerName],
        suggested_only: bool,
    ) -> BoxFuture<'a, Option<Arc<RemoteSpace>>>;
}

/// A room that is still to be looked at.
pub(super) struct Next {
    pub(super) room_id: OwnedRoomId,
    pub(super) depth: u64,
    via: Vec<OwnedServerName>,
    /// What the server that told of the space says of it.
    told: Option<RoomSummary>,
}

/// The children of a room that was looked at, in their order.
type Children = Vec<(Child, Option<RoomSummary>)>;

/// A room and its children.
type Seen = (HierarchyRoom, Children);

/// A walk.
pub(super) struct Walk<'a> {
    rooms: &'a Rooms,
    elsewhere: &'a dyn Elsewhere,
    query: &'a HierarchyQuery,
    /// What is still to be looked at, the next on top.
    pub(super) waiting: Vec<Next>,
    asked: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        rooms: &'a Rooms,
        elsewhere: &'a dyn Elsewhere,
        query: &'a HierarchyQuery,
    ) -> Self {
        let root = Next { room_id: query.room_id.clone(), depth: 0, via: Vec::new(), told: None };
        Self { rooms, elsewhere, query, waiting: vec![root], asked: 0 }
    }

    /// A room and its children, if the user may find it. What this server knows of a room in which it is
    /// no more is used where nobody else tells.
    pub(super) async fn look(&mut self, next: &Next) -> Result<Option<Seen>> {
        if let Some(room) = self.rooms.resident_room(&next.room_id).await? {
            return self.look_here(&room).await;
        }
        // A room that is no space has no children to ask for.
        if let Some(told) = next.told.as_ref().filter(|told| !told.description.is_space()) {
            let room = HierarchyRoom { summary: told.clone(), children_state: Vec::new() };
            return Ok(self.may_see(told).await?.then(|| (room, Vec::new())));
        }
        let Some(space) = self.ask(next).await else {
            return match self.rooms.room_by_id(&next.room_id).await? {
                Some(room) => self.look_here(&room).await,
                None => Ok(None),
            };
        };
        if !self.may_see(&space.room).await? {
            return Ok(None);
        }
        let suggested = |child: &&RemoteChild| child.suggested || !self.query.suggested_only;
        let open = |child: &&RemoteChild| !space.inaccessible.contains(&child.child.room_id);
        let children = space.children.iter().filter(suggested).filter(open).map(|child| {
            let told = space.known.iter().find(|known| known.room_id == child.child.room_id);
            (child.child.clone(), told.cloned())
        });
        let (children, children_state) = (children.collect(), space.children_state.clone());
        Ok(Some((HierarchyRoom { summary: space.room.clone(), children_state }, children)))
    }

    async fn look_here(&self, room: &Room) -> Result<Option<Seen>> {
        let user_id = &self.query.user_id;
        let Some(summary) = self.rooms.visible_summary(room, Some(user_id)).await? else {
            return Ok(None);
        };
        let children = match summary.description.is_space() {
            true => self.rooms.children(room, self.query.suggested_only).await?,
            false => Vec::new(),
        };
        let children_state = stripped(&children)?;
        let children = children.into_iter().map(|(child, _)| (child, None)).collect();
        Ok(Some((HierarchyRoom { summary, children_state }, children)))
    }

    async fn may_see(&self, told: &RoomSummary) -> Result<bool> {
        self.rooms.may_find_elsewhere(told, Some(&self.query.user_id)).await
    }

    async fn ask(&mut self, next: &Next) -> Option<Arc<RemoteSpace>> {
        if self.asked >= ASKED_MAX {
            return None;
        }
        self.asked += 1;
        self.elsewhere.space(&next.room_id, &next.via, self.query.suggested_only).await
    }

    /// Puts children on the stack, the first on top. Those that others must be asked for are asked for
    /// together, as many as a page can show.
    pub(super) async fn wait_for(&mut self, children: Children, depth: u64) -> Result<()> {
        let mut wanted = Vec::new();
        for (child, told) in &children {
            let is_told = told.as_ref().is_some_and(|told| !told.description.is_space());
            let more = wanted.len() < super::PAGE_MAX.min(ASKED_MAX.saturating_sub(self.asked));
            if more && !is_told && self.rooms.room_number(&child.room_id).await?.is_none() {
                wanted.push((&child.room_id, &child.via));
            }
        }
        let (elsewhere, suggested_only) = (self.elsewhere, self.query.suggested_only);
        let asked: Vec<_> = wanted
            .into_iter()
            .map(|(room_id, via)| elsewhere.space(room_id, via, suggested_only))
            .collect();
        stream::iter(asked).buffer_unordered(ASKED_AT_ONCE).for_each(|_| async {}).await;
        let depth = depth.saturating_add(1);
        self.waiting.extend(children.into_iter().rev().map(|(child, told)| Next {
            room_id: child.room_id,
            depth,
            via: child.via,
            told,
        }));
        Ok(())
    }
}
