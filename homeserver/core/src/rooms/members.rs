//! Who is in which room.

use pli_federation::event_format::Pdu;
use pli_schema::{
    RoomNumber,
    records::rooms::{MemberKey, MemberRecord, Membership, UserRoomKey, UserRoomRecord},
};
use pli_store::{Scan, Stored};
use ruma::{OwnedRoomId, OwnedUserId, UserId};

use super::Rooms;
use crate::{Error, Result};

impl Rooms {
    /// The membership of a user in a room; `None` if there never was one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn member(&self, room: RoomNumber, user_id: &UserId) -> Result<Option<MemberRecord>> {
        let key = MemberKey { room, user_id: user_id.to_owned() };
        Ok(self.store().get(&key).await?)
    }

    /// The members of a room, those with this membership only if one is given.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn members(
        &self,
        room: RoomNumber,
        membership: Option<Membership>,
    ) -> Result<Vec<(OwnedUserId, MemberRecord)>> {
        let rows = self.store().scan(&Scan::<MemberKey>::prefix((room,))).await?;
        let wanted = |record: &MemberRecord| membership.is_none_or(|m| m == record.membership);
        let rows = rows.into_iter().filter(|row| wanted(&row.record));
        Ok(rows.map(|row| (row.key.user_id, row.record)).collect())
    }

    /// The rooms of a user, with the membership and the position of its newest change; those with this
    /// membership only if one is given.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn rooms_of(
        &self,
        user_id: &UserId,
        membership: Option<Membership>,
    ) -> Result<Vec<(RoomNumber, Stored<UserRoomRecord>)>> {
        let rows = self.store().scan(&Scan::<UserRoomKey>::prefix((user_id.to_owned(),))).await?;
        let wanted = |record: &UserRoomRecord| membership.is_none_or(|m| m == record.membership);
        let rows = rows.into_iter().filter(|row| wanted(&row.record));
        Ok(rows
            .map(|row| (row.key.room, Stored { position: row.position, record: row.record }))
            .collect())
    }

    /// The rooms in which the user is joined.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn joined_rooms(&self, user_id: &UserId) -> Result<Vec<RoomNumber>> {
        let rooms = self.rooms_of(user_id, Some(Membership::Join)).await?;
        Ok(rooms.into_iter().map(|(room, _)| room).collect())
    }

    /// The ids of the rooms in which the user is joined.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn joined_room_ids(&self, user_id: &UserId) -> Result<Vec<OwnedRoomId>> {
        let mut ids = Vec::new();
        for room in self.joined_rooms(user_id).await? {
            ids.push(self.room(room).await?.id.clone());
        }
        Ok(ids)
    }

    /// Whether the user is joined to the room.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn is_joined(&self, room: RoomNumber, user_id: &UserId) -> Result<bool> {
        let member = self.member(room, user_id).await?;
        Ok(member.is_some_and(|member| member.membership == Membership::Join))
    }

    /// Requires the user to be joined.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the user is not.
    pub async fn require_joined(&self, room: RoomNumber, user_id: &UserId) -> Result<()> {
        if self.is_joined(room, user_id).await? {
            Ok(())
        } else {
            Err(Error::forbidden("You are not in this room"))
        }
    }
}

/// What this server reads of the content of `m.room.member`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MemberContent {
    pub(super) displayname: Option<String>,
    pub(super) avatar_url: Option<String>,
}

impl MemberContent {
    /// Of an event; what is not a string is left out.
    pub(super) fn of(pdu: &Pdu) -> Self {
        let content: serde_json::Value =
            serde_json::from_str(pdu.content.get()).unwrap_or_default();
        let text = |key: &str| content.get(key).and_then(|value| value.as_str()).map(str::to_owned);
        Self { displayname: text("displayname"), avatar_url: text("avatar_url") }
    }
}

/// The membership that an `m.room.member` event sets.
pub(crate) fn membership_of(pdu: &Pdu) -> Option<Membership> {
    #[derive(serde::Deserialize)]
    struct Content {
        membership: String,
    }
    let content: Content = serde_json::from_str(pdu.content.get()).ok()?;
    Membership::parse(&content.membership)
}
