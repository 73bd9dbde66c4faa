//! Rooms by alias, also by those of other servers
//! (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1querydirectory>).

use ruma::{
    OwnedRoomId, OwnedServerName, RoomAliasId, api::federation::query::get_room_information::v1,
};

use super::RemoteRooms;
use crate::{
    Error, Result,
    federation::{Bounds, Use},
};

/// Servers of a room that are named or tried at most.
pub(super) const SERVERS_MAX: usize = 20;

/// The room of an alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedAlias {
    /// The room's id.
    pub room_id: OwnedRoomId,
    /// Servers that are in the room.
    pub servers: Vec<OwnedServerName>,
}

impl RemoteRooms {
    /// The room of an alias of this server.
    ///
    /// # Errors
    /// [`Error::NotFound`] if no room has it.
    pub async fn own_alias(&self, alias: &RoomAliasId) -> Result<ResolvedAlias> {
        if alias.server_name() != self.rooms.server_name() {
            return Err(Error::not_found("The alias is not one of this server"));
        }
        let room_id = self.rooms.resolve_alias(alias).await?;
        let own = self.rooms.server_name();
        let mut servers = vec![own.to_owned()];
        if let Some(room) = self.rooms.room_number(&room_id).await? {
            let others = self.rooms.servers_in(room).await?;
            servers.extend(others.into_iter().filter(|server| server != own));
        }
        servers.truncate(SERVERS_MAX);
        Ok(ResolvedAlias { room_id, servers })
    }

    /// The room of an alias, asked of its server if that is another one.
    ///
    /// # Errors
    /// [`Error::NotFound`] if no room has it; [`Error::RemoteUnavailable`] if its server does not answer.
    pub async fn alias(&self, alias: &RoomAliasId) -> Result<ResolvedAlias> {
        let server = alias.server_name();
        if server == self.rooms.server_name() {
            return self.own_alias(alias).await;
        }
        if !self.signed.partners().is_enabled() {
            return Err(Error::not_found(format!("There is no room {alias}")));
        }
        self.signed.partners().require(server, Use::Directory).await?;
        let request = v1::Request::new(alias.to_owned());
        let answer = self.signed.remote().request(server, request, Bounds::SMALL).await?;
        let mut servers = answer.servers;
        if !servers.iter().any(|known| known == server) {
            servers.push(server.to_owned());
        }
        servers.truncate(SERVERS_MAX);
        Ok(ResolvedAlias { room_id: answer.room_id, servers })
    }
}
