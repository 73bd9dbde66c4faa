//! What admins see of all rooms, and how they close one.

use pli_schema::records::{
    policy::AuditRecord,
    rooms::{Membership, PublicRoomKey, RoomKey},
};
use pli_store::Scan;
use ruma::{OwnedRoomAliasId, OwnedUserId, RoomId, UserId};
use serde_json::{Value, json};

use super::{Room, Rooms};
use crate::{Error, Result, audit};

/// A room as admins see it; what is not set is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomOverview {
    /// The room.
    pub room: Room,
    /// Its name.
    pub name: Option<String>,
    /// Its topic.
    pub topic: Option<String>,
    /// Its picture.
    pub avatar_url: Option<String>,
    /// Its canonical alias.
    pub canonical_alias: Option<String>,
    /// Its join rule.
    pub join_rule: Option<String>,
    /// Its history visibility.
    pub history_visibility: Option<String>,
    /// Its guest access.
    pub guest_access: Option<String>,
    /// The algorithm with which it is encrypted.
    pub encryption: Option<String>,
    /// Its type.
    pub room_type: Option<String>,
    /// Who made it.
    pub creator: Option<OwnedUserId>,
    /// Members whose membership is `join`.
    pub joined_members: u64,
    /// It is in the directory.
    pub published: bool,
}

/// What became of a room that was closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClosedRoom {
    /// Users of this server who were made to leave.
    pub left: Vec<OwnedUserId>,
    /// Those who could not be.
    pub failed: Vec<OwnedUserId>,
    /// Aliases that were taken from it.
    pub aliases: Vec<OwnedRoomAliasId>,
}

impl Rooms {
    /// Every room that this server knows, by number.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn all_rooms(&self) -> Result<Vec<Room>> {
        let mut rooms = Vec::new();
        for row in self.store().scan(&Scan::<RoomKey>::prefix(())).await? {
            rooms.push(Room::clone(&*self.room(row.key.room).await?));
        }
        Ok(rooms)
    }

    /// What admins see of a room.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn overview(&self, room: Room) -> Result<RoomOverview> {
        let head = self.head(room.number).await?;
        let text = async |event_type: &str, key: &str| -> Result<Option<String>> {
            let content: Option<Value> = self.current_content(room.number, event_type).await?;
            let text = content.as_ref().and_then(|content| content.get(key)?.as_str());
            Ok(text.filter(|text| !text.is_empty()).map(str::to_owned))
        };
        let create = self.state_event(head.state, "m.room.create", "").await?;
        let creator = match create {
            Some(event) => Some(event.pdu()?.sender.clone()),
            None => None,
        };
        let published = PublicRoomKey { room: room.number };
        Ok(RoomOverview {
            name: text("m.room.name", "name").await?,
            topic: text("m.room.topic", "topic").await?,
            avatar_url: text("m.room.avatar", "url").await?,
            canonical_alias: text("m.room.canonical_alias", "alias").await?,
            join_rule: text("m.room.join_rules", "join_rule").await?,
            history_visibility: text("m.room.history_visibility", "history_visibility").await?,
            guest_access: text("m.room.guest_access", "guest_access").await?,
            encryption: text("m.room.encryption", "algorithm").await?,
            room_type: text("m.room.create", "type").await?,
            creator,
            joined_members: head.joined_members,
            published: self.store().get(&published).await?.is_some(),
            room,
        })
    }

    /// Closes a room for the users of this server: everyone leaves, invites are turned down, it goes out
    /// of the directory and loses its aliases here. What was said in it is kept.
    ///
    /// # Errors
    /// [`Error::NotFound`] if this server does not know the room.
    pub async fn close(&self, by: &UserId, room_id: &RoomId) -> Result<ClosedRoom> {
        let room = self.room_by_id(room_id).await?;
        let room = room.ok_or_else(|| Error::not_found("This server does not know the room"))?;
        let mut closed = ClosedRoom::default();
        self.publish(by, room_id, false, true).await?;
        for alias in self.aliases_of(&room).await? {
            self.delete_alias(by, &alias, true).await?;
            closed.aliases.push(alias);
        }
        for (user_id, member) in self.members(room.number, None).await? {
            let inside = matches!(
                member.membership,
                Membership::Join | Membership::Invite | Membership::Knock
            );
            if !inside || !self.is_local(&user_id) {
                continue;
            }
            match self.leave_for_good(&user_id, &room).await {
                Ok(()) => closed.left.push(user_id),
                Err(error @ (Error::Store(_) | Error::Bug(_))) => return Err(error),
                Err(_) => closed.failed.push(user_id),
            }
        }
        let entry = &AuditRecord {
            at_ms: self.clock().now_ms(),
            actor: Some(by.to_owned()),
            action: "room.close".to_owned(),
            subject: room_id.to_string(),
            details_json: json!({ "left": closed.left.len() }).to_string(),
        };
        self.store().write(|tx| async move { audit::record(&tx, 0, entry) }).await?;
        Ok(closed)
    }
}
