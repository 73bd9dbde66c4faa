//! Aliases: names for rooms (<https://spec.matrix.org/v1.19/client-server-api/#room-aliases>).

#[cfg(test)]
mod tests;

use pli_schema::records::rooms::{AliasKey, RoomAliasKey};
use pli_store::{Scan, Tx};
use ruma::{
    OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomAliasId, RoomId, RoomOrAliasId, UserId,
};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::{Draft, Room, Rooms};
use crate::{Error, Result};

/// `m.room.canonical_alias`, as far as it is looked at.
#[derive(Debug, Default, Deserialize)]
struct CanonicalAlias {
    #[serde(default)]
    alias: Option<String>,
    #[serde(default)]
    alt_aliases: Vec<String>,
}

impl CanonicalAlias {
    fn names(&self) -> impl Iterator<Item = &String> {
        // An empty alias is how some clients take it away.
        self.alias.iter().chain(&self.alt_aliases).filter(|name| !name.is_empty())
    }
}

impl Rooms {
    /// The room of an alias.
    ///
    /// # Errors
    /// [`Error::NotFound`] if no room has it, or it is another server's.
    pub async fn resolve_alias(&self, alias: &RoomAliasId) -> Result<OwnedRoomId> {
        let key = AliasKey { alias: alias.to_owned() };
        let mut record = self.store().get(&key).await?;
        let is_own = alias.server_name() == self.server_name();
        if record.is_none() && is_own && self.settings().appservices.query_alias(alias).await {
            record = self.store().get(&key).await?;
        }
        record.map(|record| record.room_id).ok_or_else(|| no_alias(alias))
    }

    /// The room of an id or an alias.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is an alias that no room has.
    pub async fn resolve(&self, room: &RoomOrAliasId) -> Result<OwnedRoomId> {
        match OwnedRoomId::try_from(room.to_owned()) {
            Ok(room_id) => Ok(room_id),
            Err(alias) => self.resolve_alias(&alias).await,
        }
    }

    /// Gives a room an alias of this server. Its members may.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for an alias of another server; [`Error::AliasInUse`]; [`Error::Forbidden`]
    /// if the user is not in the room.
    pub async fn create_alias(
        &self,
        user_id: &UserId,
        alias: &RoomAliasId,
        room_id: &RoomId,
    ) -> Result<()> {
        if alias.server_name() != self.server_name() {
            return Err(Error::invalid_param("The alias is not of this server"));
        }
        let room = &*self.room_or_forbidden(room_id).await?;
        self.require_joined(room.number, user_id).await?;
        let (alias, user_id) = (&alias.to_owned(), &user_id.to_owned());
        self.store()
            .write(|tx| async move {
                let taken = |_| Error::AliasInUse(format!("The alias {alias} is taken"));
                super::creation::put_alias(&tx, room, alias, user_id).await.map_err(|error| {
                    match error {
                        Error::RoomInUse(text) => taken(text),
                        other => other,
                    }
                })
            })
            .await
    }

    /// Takes an alias away: who made it may, those who may set the room's canonical alias, and admins of
    /// the server. A canonical alias that names it is mended if the user has the power to.
    ///
    /// # Errors
    /// [`Error::NotFound`] if no room has it; [`Error::Forbidden`].
    pub async fn delete_alias(
        &self,
        user_id: &UserId,
        alias: &RoomAliasId,
        is_admin: bool,
    ) -> Result<()> {
        let key = &AliasKey { alias: alias.to_owned() };
        let record = self.store().get(key).await?.ok_or_else(|| no_alias(alias))?;
        let room = self.room_by_id(&record.room_id).await?;
        let allowed = is_admin
            || record.creator == user_id
            || match &room {
                Some(room) => self.may_send_state(room, user_id, "m.room.canonical_alias").await?,
                None => false,
            };
        if !allowed {
            return Err(Error::forbidden("You may not delete this alias"));
        }
        let number = room.as_ref().map(|room| room.number);
        self.store()
            .write(|tx: Tx| async move {
                if tx.get(key).await?.is_none() {
                    return Err(no_alias(&key.alias));
                }
                tx.delete(key);
                if let Some(room) = number {
                    tx.delete(&RoomAliasKey { room, alias: key.alias.clone() });
                }
                Ok(())
            })
            .await?;
        match room {
            Some(room) => self.mend_canonical_alias(&room, user_id.to_owned(), alias).await,
            None => Ok(()),
        }
    }

    async fn mend_canonical_alias(
        &self,
        room: &Room,
        user_id: OwnedUserId,
        gone: &RoomAliasId,
    ) -> Result<()> {
        let kind = "m.room.canonical_alias";
        let content: Option<Map<String, Value>> = self.current_content(room.number, kind).await?;
        let Some(mut content) = content else {
            return Ok(());
        };
        let before = content.clone();
        if content.get("alias").and_then(Value::as_str) == Some(gone.as_str()) {
            content.remove("alias");
        }
        if let Some(others) = content.get_mut("alt_aliases").and_then(Value::as_array_mut) {
            others.retain(|alias| alias.as_str() != Some(gone.as_str()));
        }
        if content == before || !self.may_send_state(room, &user_id, kind).await? {
            return Ok(());
        }
        let draft = Draft::state_of(user_id, kind.to_owned(), "", &content)?;
        self.through_lane(room.number, draft, None).await.map(|_| ())
    }

    /// The aliases of this server for a room: for its members, for anyone if it is world-readable.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for others.
    pub async fn aliases(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
    ) -> Result<Vec<OwnedRoomAliasId>> {
        let room = self.room_or_forbidden(room_id).await?;
        if !self.is_world_readable(room.number).await? {
            self.require_joined(room.number, user_id).await?;
        }
        self.aliases_of(&room).await
    }

    /// The aliases of this server for a room.
    pub(crate) async fn aliases_of(&self, room: &Room) -> Result<Vec<OwnedRoomAliasId>> {
        let rows = self.store().scan(&Scan::<RoomAliasKey>::prefix((room.number,))).await?;
        Ok(rows.into_iter().map(|row| row.key.alias).collect())
    }

    /// Aliases that come new into `m.room.canonical_alias` must be the room's.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for what is no alias, [`Error::BadAlias`] for one of another room or of
    /// none.
    pub(super) async fn check_canonical_alias(
        &self,
        room: &Room,
        content: &RawValue,
    ) -> Result<()> {
        let new: CanonicalAlias = serde_json::from_str(content.get())
            .map_err(|error| Error::bad_json(format!("m.room.canonical_alias: {error}")))?;
        let old: Option<CanonicalAlias> =
            self.current_content(room.number, "m.room.canonical_alias").await?;
        let old = old.unwrap_or_default();
        for name in new.names().filter(|name| !old.names().any(|old| old == *name)) {
            let alias = RoomAliasId::parse(name)
                .map_err(|_| Error::invalid_param(format!("{name} is not an alias")))?;
            let found = match self.resolve_alias(&alias).await {
                Ok(room_id) => Some(room_id),
                Err(Error::NotFound(_)) => None,
                Err(error) => return Err(error),
            };
            if found.as_ref() != Some(&room.id) {
                return Err(Error::BadAlias(format!("{name} does not point to this room")));
            }
        }
        Ok(())
    }
}

fn no_alias(alias: &RoomAliasId) -> Error {
    Error::not_found(format!("No room has the alias {alias}"))
}
