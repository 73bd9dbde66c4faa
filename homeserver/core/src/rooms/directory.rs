//! The directory of published rooms
//! (<https://spec.matrix.org/v1.19/client-server-api/#published-room-directory>).

#[cfg(test)]
mod tests;

use pli_schema::{RoomNumber, records::rooms::PublicRoomKey};
use ruma::{
    RoomId, UInt, UserId,
    directory::{Filter, PublicRoomsChunk, PublicRoomsChunkInit, RoomTypeFilter},
    room::JoinRuleKind,
};
use serde_json::Value;

use super::{Network, Rooms};
use crate::{Error, Result};

/// Rooms on one page at most.
const PAGE_MAX: usize = 500;
/// Rooms on a page if the client does not say.
const PAGE_DEFAULT: usize = 100;

/// A search in the directory.
#[derive(Clone, Debug, Default)]
pub struct PublicRoomsQuery {
    /// Rooms on the page.
    pub limit: Option<usize>,
    /// A token of an earlier page.
    pub since: Option<String>,
    /// What to look for.
    pub filter: Filter,
    /// Whose directory.
    pub network: Network,
}

/// A page of the directory, the rooms with most members first.
#[derive(Clone, Debug, Default)]
pub struct PublicRoomsPage {
    /// The rooms.
    pub chunk: Vec<PublicRoomsChunk>,
    /// The token of the next page.
    pub next_batch: Option<String>,
    /// The token of the page before.
    pub prev_batch: Option<String>,
    /// All rooms that match.
    pub total: usize,
}

impl Rooms {
    /// Whether a room is in the directory.
    ///
    /// # Errors
    /// [`Error::NotFound`] if this server does not know the room.
    pub async fn is_published(&self, room_id: &RoomId) -> Result<bool> {
        let room = self.room_number(room_id).await?;
        let room = room.ok_or_else(|| Error::not_found("This server does not know the room"))?;
        Ok(self.store().get(&PublicRoomKey { room }).await?.is_some())
    }

    /// Publishes a room or takes it out of the directory: those may who may set its canonical alias, and
    /// admins of the server.
    ///
    /// # Errors
    /// [`Error::NotFound`] if this server does not know the room; [`Error::Forbidden`].
    pub async fn publish(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        public: bool,
        is_admin: bool,
    ) -> Result<()> {
        let room = self.room_by_id(room_id).await?;
        let room = room.ok_or_else(|| Error::not_found("This server does not know the room"))?;
        if !is_admin && !self.may_send_state(&room, user_id, "m.room.canonical_alias").await? {
            return Err(Error::forbidden("You may not change whether this room is published"));
        }
        if public && !is_admin {
            self.check_publishing(&room).await?;
        }
        let key = &PublicRoomKey { room: room.number };
        self.store()
            .write(|tx| async move {
                if public {
                    tx.put(key, &())?;
                } else {
                    tx.delete(key);
                }
                Ok(())
            })
            .await
    }

    /// A page of the directory.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for a token that this server did not give.
    pub async fn public_rooms(&self, query: &PublicRoomsQuery) -> Result<PublicRoomsPage> {
        let start = match &query.since {
            None => 0,
            Some(token) => token
                .parse::<usize>()
                .map_err(|_| Error::invalid_param("`since` is not a token of this server"))?,
        };
        let limit = query.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
        let mut found = Vec::new();
        for room in self.published_rooms(&query.network).await? {
            let entry = self.directory_entry(room).await?;
            if matches(&entry, &query.filter) {
                found.push(entry);
            }
        }
        found.sort_by(|a, b| {
            b.num_joined_members.cmp(&a.num_joined_members).then_with(|| a.room_id.cmp(&b.room_id))
        });
        let total = found.len();
        let next = start.saturating_add(limit);
        Ok(PublicRoomsPage {
            chunk: found.into_iter().skip(start).take(limit).collect(),
            next_batch: (next < total).then(|| next.to_string()),
            prev_batch: (start > 0).then(|| start.saturating_sub(limit).to_string()),
            total,
        })
    }

    /// What the directory says of a room.
    async fn directory_entry(&self, room: RoomNumber) -> Result<PublicRoomsChunk> {
        let (room, joined, described) = self.described(room).await?;
        let mut entry = PublicRoomsChunk::from(PublicRoomsChunkInit {
            num_joined_members: UInt::new_saturating(joined),
            room_id: room.id.clone(),
            world_readable: described.world_readable,
            guest_can_join: described.guest_can_join,
        });
        entry.canonical_alias.clone_from(&described.canonical_alias);
        entry.name.clone_from(&described.name);
        entry.topic.clone_from(&described.topic);
        entry.avatar_url = described.avatar_url.clone().map(Into::into);
        entry.join_rule = JoinRuleKind::from(described.join_rule.as_str());
        entry.room_type = described.room_type.as_deref().map(Into::into);
        Ok(entry)
    }

    /// Whether everyone may read the room.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn is_world_readable(&self, room: RoomNumber) -> Result<bool> {
        let content: Option<Value> =
            self.current_content(room, "m.room.history_visibility").await?;
        let visibility = content.as_ref().and_then(|content| content.get("history_visibility"));
        Ok(visibility.and_then(Value::as_str) == Some("world_readable"))
    }
}

fn matches(entry: &PublicRoomsChunk, filter: &Filter) -> bool {
    let of_type = |wanted: &RoomTypeFilter| match (wanted, &entry.room_type) {
        (RoomTypeFilter::Default, None) => true,
        (wanted, Some(found)) => wanted.as_str() == Some(found.as_str()),
        _ => false,
    };
    if !filter.room_types.is_empty() && !filter.room_types.iter().any(of_type) {
        return false;
    }
    let Some(term) = filter.generic_search_term.as_deref().map(str::to_lowercase) else {
        return true;
    };
    let contains = |text: Option<&str>| text.is_some_and(|t| t.to_lowercase().contains(&term));
    contains(entry.name.as_deref())
        || contains(entry.topic.as_deref())
        || contains(entry.canonical_alias.as_ref().map(|alias| alias.as_str()))
}
