//! Coming into rooms and going out of them across servers: both as a server that lets in, and as one whose
//! user wants in.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#joining-rooms> and the sections after it.

mod aliases;
mod candidates;
mod invite;
mod invited;
mod join;
mod offered;
mod outside;
mod resident;
mod send_join;
mod third_party;

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use ruma::OwnedRoomId;

pub use self::{
    aliases::ResolvedAlias,
    invited::Invited,
    join::Join,
    resident::{Given, Handing},
    third_party::Bound,
};
use super::Signed;
use crate::rooms::Rooms;

/// Rooms that are shared with other servers. Clones share everything.
#[derive(Clone, Debug)]
pub struct RemoteRooms {
    rooms: Rooms,
    signed: Signed,
    turns: Turns,
}

impl RemoteRooms {
    /// The rooms of this server, and who other servers are.
    #[must_use]
    pub fn new(rooms: Rooms, signed: Signed) -> Self {
        Self { rooms, signed, turns: Turns::default() }
    }

    /// The rooms of this server.
    #[must_use]
    pub const fn rooms(&self) -> &Rooms {
        &self.rooms
    }
}

/// One join of a room through other servers at a time. It is waited for by those who join the same room
/// only, and nothing else waits for it.
#[derive(Clone, Debug, Default)]
struct Turns(Arc<Mutex<HashMap<OwnedRoomId, Arc<tokio::sync::Mutex<()>>>>>);

/// The turn of someone who joins a room.
struct Turn {
    turns: Turns,
    room_id: OwnedRoomId,
    guard: Option<tokio::sync::OwnedMutexGuard<()>>,
}

impl Turns {
    async fn wait(&self, room_id: &OwnedRoomId) -> Turn {
        let turn = Arc::clone(self.0.lock().entry(room_id.clone()).or_default());
        let guard = Some(turn.lock_owned().await);
        Turn { turns: self.clone(), room_id: room_id.clone(), guard }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.guard = None;
        let mut turns = self.turns.0.lock();
        let unused = |turn: &Arc<tokio::sync::Mutex<()>>| Arc::strong_count(turn) == 1;
        if turns.get(&self.room_id).is_some_and(unused) {
            turns.remove(&self.room_id);
        }
    }
}
