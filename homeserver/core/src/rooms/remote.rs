//! Rooms that are shared with other servers, as far as this server can decide alone: who may be told what,
//! what is offered to users of other servers and what is taken from them. Who asks whom is in
//! [`crate::federation`].

mod admit;
mod auth_chain;
mod elsewhere;
mod hand_over;
mod template;

use std::{collections::BTreeSet, sync::Arc};

use pli_schema::{
    RoomNumber,
    records::rooms::{MemberKey, Membership},
};
use pli_store::Scan;
use ruma::{
    OwnedServerName, RoomId, ServerName, events::room::server_acl::RoomServerAclEventContent,
};

pub use self::{hand_over::HandOver, template::Template};
use super::{Room, Rooms};
use crate::{Error, Result};

/// Members that are read at a time while one of this server is looked for.
const PAGE: usize = 500;

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
    /// Whether a user of this server is joined. Only then does this server know the room as it is now;
    /// what it knows of a room that its users have left grows old.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn is_resident(&self, room: RoomNumber) -> Result<bool> {
        let mut scan = Scan::<MemberKey>::prefix((room,)).limit(PAGE);
        loop {
            let rows = self.store().scan(&scan).await?;
            let is_ours = |member: &pli_store::Row<MemberKey>| {
                member.record.membership == Membership::Join && self.is_local(&member.key.user_id)
            };
            if rows.iter().any(is_ours) {
                return Ok(true);
            }
            let Some(last) = rows.last().filter(|_| rows.len() == PAGE) else { return Ok(false) };
            let after = (room, last.key.user_id.clone());
            scan = Scan::<MemberKey>::prefix((room,)).after(after).limit(PAGE);
        }
    }

    /// The room of an id if this server knows it as it is now.
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
        let joined = self.members(room, Some(Membership::Join)).await?;
        Ok(joined.into_iter().map(|(user_id, _)| user_id.server_name().to_owned()).collect())
    }

    /// Whether the room's `m.room.server_acl` lets a server take part
    /// (<https://spec.matrix.org/v1.19/server-server-api/#server-access-control-lists-acls>). A content
    /// that cannot be read lets everybody.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn acl_admits(&self, room: RoomNumber, server: &ServerName) -> Result<bool> {
        let acl: Option<RoomServerAclEventContent> =
            self.current_content(room, "m.room.server_acl").await?;
        Ok(acl.is_none_or(|acl| acl.is_allowed(server)))
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
