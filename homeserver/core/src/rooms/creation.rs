//! Creating rooms (<https://spec.matrix.org/v1.19/client-server-api/#creation>).

mod events;
mod power_levels;
#[cfg(test)]
mod tests;

use pli_federation::room_version;
use pli_schema::records::rooms::{AliasKey, AliasRecord, PublicRoomKey, RoomAliasKey};
use pli_store::Tx;
use ruma::{OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomVersionId};
use serde_json::value::RawValue;

use super::{
    Draft, Room, Rooms,
    staging::{Staged, Staging},
};
use crate::{Error, Result, policy::externals::Action};

/// Users that may be invited while a room is created: all of it is one transaction.
pub const CREATE_INVITES_MAX: usize = 500;
/// State events that may be given while a room is created.
pub const CREATE_STATE_MAX: usize = 500;

/// `preset` of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// `private_chat`
    Private,
    /// `trusted_private_chat`
    TrustedPrivate,
    /// `public_chat`
    Public,
}

/// A state event of `initial_state`.
#[derive(Clone, Debug)]
pub struct InitialState {
    /// The type.
    pub event_type: String,
    /// The state key.
    pub state_key: String,
    /// The content.
    pub content: Box<RawValue>,
}

/// What a client says of the room that it wants.
#[derive(Clone, Debug)]
pub struct CreateRoom {
    /// Who creates it.
    pub creator: OwnedUserId,
    /// The version; the server's default if not given.
    pub version: Option<RoomVersionId>,
    /// The preset; by `public` if not given.
    pub preset: Option<Preset>,
    /// `visibility` is `public`: the room goes into the directory.
    pub public: bool,
    /// `creation_content`, an object.
    pub creation_content: Option<Box<RawValue>>,
    /// `initial_state`
    pub initial_state: Vec<InitialState>,
    /// `invite`
    pub invite: Vec<OwnedUserId>,
    /// Who is invited once the room is there, because another server has to sign the invite.
    pub invite_later: Vec<OwnedUserId>,
    /// `is_direct`
    pub is_direct: bool,
    /// `room_alias_name`, the local part.
    pub alias_name: Option<String>,
    /// `name`
    pub name: Option<String>,
    /// `topic`
    pub topic: Option<String>,
    /// `power_level_content_override`, an object.
    pub power_levels: Option<Box<RawValue>>,
}

impl CreateRoom {
    /// A room of which nothing but the creator is said.
    #[must_use]
    pub const fn by(creator: OwnedUserId) -> Self {
        Self {
            creator,
            version: None,
            preset: None,
            public: false,
            creation_content: None,
            initial_state: Vec::new(),
            invite: Vec::new(),
            invite_later: Vec::new(),
            is_direct: false,
            alias_name: None,
            name: None,
            topic: None,
            power_levels: None,
        }
    }

    /// The preset that applies.
    fn preset(&self) -> Preset {
        let by_visibility = if self.public { Preset::Public } else { Preset::Private };
        self.preset.unwrap_or(by_visibility)
    }
}

/// A room that is about to be made: its first events, and what is written with them.
pub(super) struct NewRoom {
    pub(super) version: RoomVersionId,
    pub(super) creator: OwnedUserId,
    pub(super) events: Vec<Draft>,
    pub(super) alias: Option<OwnedRoomAliasId>,
    pub(super) public: bool,
}

impl Rooms {
    /// Creates a room with everything that the request implies, or nothing of it.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the server lets only admins create rooms;
    /// [`Error::UnsupportedRoomVersion`]; [`Error::RoomInUse`] if the alias is taken;
    /// [`Error::InvalidRoomState`] if the rules refuse one of the events; [`Error::InvalidParam`],
    /// [`Error::BadJson`], [`Error::TooLarge`] for malformed wishes.
    pub async fn create(&self, request: CreateRoom) -> Result<OwnedRoomId> {
        if !self.settings().creation_open && !self.is_server_admin(&request.creator).await? {
            return Err(Error::forbidden("Only admins of this server create rooms"));
        }
        self.require_allowed(&request.creator, Action::CreateRoom).await?;
        self.create_for_server(request).await
    }

    /// As [`Self::create`], also where only admins create rooms: for rooms that the server itself makes.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn create_for_server(&self, request: CreateRoom) -> Result<OwnedRoomId> {
        let new = &self.new_room(request).await?;
        let (room, staged) =
            self.store().write(|tx| async move { self.stage_new_room(&tx, new).await }).await?;
        self.keep_staged(staged);
        Ok(room.id)
    }

    /// The version of a new room.
    ///
    /// # Errors
    /// [`Error::UnsupportedRoomVersion`].
    pub(super) fn version_or_default(
        &self,
        wanted: Option<RoomVersionId>,
    ) -> Result<RoomVersionId> {
        let version = wanted.unwrap_or_else(|| self.settings().default_version.clone());
        if room_version::is_supported(&version) {
            return Ok(version);
        }
        let text = format!("This server does not support room version {version}");
        Err(Error::UnsupportedRoomVersion(text))
    }

    async fn new_room(&self, request: CreateRoom) -> Result<NewRoom> {
        let invited = request.invite.len().saturating_add(request.invite_later.len());
        if invited > CREATE_INVITES_MAX {
            return Err(Error::invalid_param("Too many users are invited at once"));
        }
        if request.initial_state.len() > CREATE_STATE_MAX {
            return Err(Error::invalid_param("`initial_state` has too many events"));
        }
        for target in &request.invite {
            self.check_invitee(&request.creator, target).await?;
        }
        let version = self.version_or_default(request.version.clone())?;
        let request = self.with_rules(request, version == RoomVersionId::V12)?;
        let alias = match &request.alias_name {
            Some(name) => Some(self.local_alias(name)?),
            None => None,
        };
        let events = self.first_events(&request, &version, alias.as_ref()).await?;
        Ok(NewRoom { version, creator: request.creator, events, alias, public: request.public })
    }

    /// Makes the events of a new room within a transaction.
    pub(super) async fn stage_new_room(&self, tx: &Tx, new: &NewRoom) -> Result<(Room, Staged)> {
        let id = self.new_room_id()?;
        let mut staging = Staging::new_room(self, tx, id, new.version.clone()).await?;
        for draft in &new.events {
            staging.append(draft, None).await.map_err(invalid_state)?;
        }
        let room = staging.room.clone();
        if let Some(alias) = &new.alias {
            put_alias(tx, &room, alias, &new.creator).await?;
        }
        if new.public {
            tx.put(&PublicRoomKey { room: room.number }, &())?;
        }
        Ok((room, staging.close()?))
    }

    /// A room id as before version 12.
    pub(super) fn new_room_id(&self) -> Result<OwnedRoomId> {
        let id = format!("!{}:{}", self.parts.random.letters(18), self.server_name());
        OwnedRoomId::try_from(id).map_err(|_| Error::bug("a made-up room id is malformed"))
    }

    /// An alias of this server.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] if the local part is malformed.
    fn local_alias(&self, name: &str) -> Result<OwnedRoomAliasId> {
        let malformed = || Error::invalid_param("The alias name is malformed");
        if name.is_empty() || name.chars().any(|c| c == ':' || c.is_whitespace() || c.is_control())
        {
            return Err(malformed());
        }
        OwnedRoomAliasId::try_from(format!("#{name}:{}", self.server_name()))
            .map_err(|_| malformed())
    }
}

/// Writes an alias that nobody has.
///
/// # Errors
/// [`Error::RoomInUse`].
pub(super) async fn put_alias(
    tx: &Tx,
    room: &Room,
    alias: &OwnedRoomAliasId,
    creator: &OwnedUserId,
) -> Result<()> {
    let key = AliasKey { alias: alias.clone() };
    if tx.get(&key).await?.is_some() {
        return Err(Error::RoomInUse(format!("The alias {alias} is taken")));
    }
    tx.put(&key, &AliasRecord { room_id: room.id.clone(), creator: creator.clone() })?;
    tx.put(&RoomAliasKey { room: room.number, alias: alias.clone() }, &())?;
    Ok(())
}

/// What the rules refuse while a room is created is the fault of the request.
pub(super) fn invalid_state(error: Error) -> Error {
    match error {
        Error::Forbidden(text) | Error::BadJson(text) | Error::NotFound(text) => {
            Error::InvalidRoomState(text)
        }
        other => other,
    }
}
