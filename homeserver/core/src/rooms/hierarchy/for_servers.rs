//! A space for another server: what users of that server could find
//! (<https://spec.matrix.org/v1.19/server-server-api/#spaces>).

use ruma::{OwnedRoomId, RoomId, ServerName};

use super::{HierarchyRoom, stripped};
use crate::{
    Error, Result,
    rooms::{Room, RoomSummary, Rooms},
};

/// A space and its children.
#[derive(Clone, Debug)]
pub struct ServerHierarchy {
    /// The space, or a room that is none.
    pub room: HierarchyRoom,
    /// Those of its children that users of the other server could find.
    pub children: Vec<RoomSummary>,
    /// Those that they could not find.
    pub inaccessible: Vec<OwnedRoomId>,
}

impl Rooms {
    /// A space for another server. Children that this server does not know are left out.
    ///
    /// # Errors
    /// [`Error::NotFound`] if this server does not know it, or nobody of the other server could find it.
    pub async fn hierarchy_for_server(
        &self,
        room_id: &RoomId,
        server: &ServerName,
        suggested_only: bool,
    ) -> Result<ServerHierarchy> {
        let hidden = || Error::not_found("The room was not found");
        let room = self.resident_room(room_id).await?.ok_or_else(hidden)?;
        let summary = self.summary_for_server(&room, server).await?.ok_or_else(hidden)?;
        let found = match summary.description.is_space() {
            true => self.children(&room, suggested_only).await?,
            false => Vec::new(),
        };
        let (mut children, mut inaccessible) = (Vec::new(), Vec::new());
        for (child, _) in &found {
            if let Some(room) = self.resident_room(&child.room_id).await? {
                match self.summary_for_server(&room, server).await? {
                    Some(summary) => children.push(summary),
                    None => inaccessible.push(child.room_id.clone()),
                }
            }
        }
        let room = HierarchyRoom { summary, children_state: stripped(&found)? };
        Ok(ServerHierarchy { room, children, inaccessible })
    }

    /// The summary of a room, if users of a server could find it: because everyone may read it, join it
    /// or knock, because one of them is in it, or in a room whose members may join.
    async fn summary_for_server(
        &self,
        room: &Room,
        server: &ServerName,
    ) -> Result<Option<RoomSummary>> {
        if !self.acl_admits(room.number, server).await? {
            return Ok(None);
        }
        let head = self.head(room.number).await?;
        let description = self.description(head.state).await?;
        let rules = self.join_rules(head.state).await?;
        let ways = rules.ways(&room.version)?;
        let mut found = description.world_readable
            || ways.open
            || ways.knock
            || self.servers_in(room.number).await?.contains(server);
        if !found && ways.restricted {
            for room_id in rules.rooms() {
                if let Some(room) = self.resident_room(&room_id).await?
                    && self.servers_in(room.number).await?.contains(server)
                {
                    found = true;
                    break;
                }
            }
        }
        Ok(found.then(|| self.summary_of(room, &head, description)))
    }
}
