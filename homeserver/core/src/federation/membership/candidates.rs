//! Which servers are asked to let a user in or out, and what the user is told if none does.

use pli_schema::records::rooms::Membership;
use ruma::{OwnedRoomId, OwnedServerName, RoomId, RoomOrAliasId, UserId};

use super::{RemoteRooms, aliases::SERVERS_MAX};
use crate::{Error, Result, federation::RemoteError};

/// The servers that may be asked, the most promising first, each once, without this one.
#[derive(Clone, Debug)]
pub(super) struct Candidates(pub(super) Vec<OwnedServerName>);

impl RemoteRooms {
    /// The id of a room, and the servers that were named with it.
    pub(super) async fn find(
        &self,
        room: &RoomOrAliasId,
        via: &[OwnedServerName],
    ) -> Result<(OwnedRoomId, Vec<OwnedServerName>)> {
        let mut servers = via.to_vec();
        match OwnedRoomId::try_from(room.to_owned()) {
            Ok(room_id) => Ok((room_id, servers)),
            Err(alias) => {
                let resolved = self.alias(&alias).await?;
                servers.extend(resolved.servers);
                Ok((resolved.room_id, servers))
            }
        }
    }

    /// The servers to ask about a room: those that were named, that of whoever invited the user, those
    /// that are in the room as far as is known, and the one that the room's id names (ids of rooms from
    /// version 12 on name none).
    pub(super) async fn candidates(
        &self,
        room_id: &RoomId,
        user_id: &UserId,
        named: Vec<OwnedServerName>,
    ) -> Result<Candidates> {
        let mut all = named;
        if let Some(outside) = self.rooms.outside(user_id, room_id).await?
            && matches!(outside.member.membership, Membership::Invite | Membership::Knock)
        {
            all.extend(outside.servers);
        }
        if let Some(room) = self.rooms.room_number(room_id).await? {
            all.extend(self.rooms.servers_in(room).await?);
        }
        all.extend(room_id.server_name().map(ToOwned::to_owned));
        let own = self.rooms.server_name();
        let mut candidates: Vec<OwnedServerName> = Vec::new();
        for server in all {
            if server != own && !candidates.contains(&server) {
                candidates.push(server);
            }
        }
        candidates.truncate(SERVERS_MAX);
        Ok(Candidates(candidates))
    }
}

/// What a user is told of the answer of another server: never its own words.
pub(super) fn told(error: RemoteError) -> Error {
    match error.errcode() {
        "M_INCOMPATIBLE_ROOM_VERSION" | "M_UNSUPPORTED_ROOM_VERSION" => {
            Error::UnsupportedRoomVersion(
                "This server does not speak the room's version".to_owned(),
            )
        }
        "M_UNABLE_TO_AUTHORISE_JOIN" => {
            let text = "The servers that were asked cannot tell whether you may join";
            Error::UnableToAuthorizeJoin(text.to_owned())
        }
        "M_UNABLE_TO_GRANT_JOIN" => {
            let text = "The servers that were asked cannot let you in";
            Error::UnableToGrantJoin(text.to_owned())
        }
        _ => error.into(),
    }
}

/// Of the errors of several servers, the one that tells most.
pub(super) fn most_telling(errors: Vec<Error>) -> Option<Error> {
    errors.into_iter().min_by_key(|error| match error {
        Error::Forbidden(_) => 0,
        Error::UnableToGrantJoin(_) => 1,
        Error::UnableToAuthorizeJoin(_) => 2,
        Error::UnsupportedRoomVersion(_) => 3,
        Error::RemoteUnavailable(_) => 5,
        Error::NotFound(_) => 6,
        _ => 4,
    })
}
