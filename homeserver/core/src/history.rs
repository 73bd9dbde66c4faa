//! The past and the state of rooms, as one reader may see them.
//!
//! [`History::open`] decides whether somebody may read in a room at all; the [`Reader`] it gives decides
//! for each event (<https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility>), and all
//! that is handed out is rendered in one place ([`History::render`]).

mod by_time;
mod context;
mod members;
mod messages;
mod reader;
mod relations;
mod render;
mod state;
mod threads;

pub(crate) use self::messages::wanted;
pub use self::{
    context::{Context, Neighbors},
    members::MembersQuery,
    messages::{Direction, MessagesPage, MessagesQuery, RelTypes},
    reader::Reader,
    relations::{RECURSION_DEPTH_MAX, RelationsPage, RelationsQuery},
    render::{RenderOptions, Viewer},
    threads::{ThreadsPage, ThreadsQuery},
};
use crate::Rooms;

/// Reads rooms for people. Clones share everything.
#[derive(Clone, Debug)]
pub struct History {
    rooms: Rooms,
}

impl History {
    /// The history of these rooms.
    #[must_use]
    pub const fn new(rooms: Rooms) -> Self {
        Self { rooms }
    }

    /// The rooms.
    #[must_use]
    pub const fn rooms(&self) -> &Rooms {
        &self.rooms
    }
}

#[cfg(test)]
mod tests;
