//! Rooms that are shared with other servers, as far as this server can decide alone: who may be told what,
//! what is offered to users of other servers and what is taken from them. Who asks whom is in
//! [`crate::federation`].

mod admit;
mod auth_chain;
mod elsewhere;
mod hand_over;
mod outside;
mod strangers;
mod template;

use std::{collections::BTreeSet, sync::Arc};

use pli_schema::{RoomNumber, records::rooms::Membership};
use ruma::{OwnedServerName, RoomId, ServerName, UserId};

pub use self::{
    hand_over::HandOver,
    outside::{Outside, Told},
    strangers::TOLD_TO_STRANGERS,
    template::Template,
};
use super::{Room, Rooms};
use crate::{Error, Result};

/// How a user comes into or goes out of a room with the help of a server that is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Joining.
    Join,
    /// Asking to be let in.
    Knock,
    /// Leaving, turning an invite down, taking a knock back.
    Leave,
}

impl Step {
    /// The membership that the user has afterwards.
    #[must_use]
    pub const fn membership(self) -> Membership {
        match self {
            Self::Join => Membership::Join,
            Self::Knock => Membership::Knock,
            Self::Leave => Membership::Leave,
        }
    }
}

impl Rooms {
    /// Whether this server may know the room as it is now: a user of it is joined, or the last user of
    /// all was one of it. What it knows of another room that its users have left grows old.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn is_current(&self, room: RoomNumber) -> Result<bool> {
        if self.is_resident(room).await? {
            return Ok(true);
        }
        let head = self.head(room).await?;
        Ok(head.joined_members == 0 && !head.extremities.is_empty())
    }

    /// Whether a user may try to come into a room without any other server: this one may know it as it
    /// is now, and nobody else has told of it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn is_own_affair(&self, user_id: &UserId, room_id: &RoomId) -> Result<bool> {
        match self.room_number(room_id).await? {
            Some(room) => {
                Ok(self.is_current(room).await? && self.outside(user_id, room_id).await?.is_none())
            }
            None => Ok(false),
        }
    }

    /// The room of an id if a user of this server is joined.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn resident_room(&self, room_id: &RoomId) -> Result<Option<Arc<Room>>> {
        match self.room_by_id(room_id).await? {
            Some(room) if self.is_resident(room.number).await? => Ok(Some(room)),
            _ => Ok(None),
        }
    }

    /// The servers with joined members, as this server knows it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn servers_in(&self, room: RoomNumber) -> Result<BTreeSet<OwnedServerName>> {
        Ok(self.residents(room).await?.servers().cloned().collect())
    }

    /// The room for another server that wants something of it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if this server does not know the room as it is now; [`Error::Forbidden`] if
    /// the room's access list keeps the server out.
    pub async fn room_for_server(
        &self,
        room_id: &RoomId,
        server: &ServerName,
    ) -> Result<Arc<Room>> {
        let room = self.resident_room(room_id).await?;
        let room = room.ok_or_else(|| Error::not_found("This server is not in the room"))?;
        if !self.acl_admits(room.number, server).await? {
            return Err(Error::forbidden("The room's access list keeps this server out"));
        }
        Ok(room)
    }
}
