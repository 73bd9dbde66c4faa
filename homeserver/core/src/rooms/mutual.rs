//! Rooms that two users share.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#mutual-rooms>.

use pli_schema::RoomNumber;
use ruma::{OwnedRoomId, UserId};

use super::Rooms;
use crate::{Error, Result};

/// Rooms in one answer.
const BATCH: usize = 200;

/// Rooms in which two users are joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MutualRooms {
    /// This batch of them.
    pub joined: Vec<OwnedRoomId>,
    /// All of them.
    pub count: usize,
    /// The token of the next batch.
    pub next_batch: Option<String>,
}

impl Rooms {
    /// The rooms in which both users are joined, from a token of an earlier answer on.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] if the two are one, or for a token that is none.
    pub async fn mutual_rooms(
        &self,
        user_id: &UserId,
        other: &UserId,
        from: Option<&str>,
    ) -> Result<MutualRooms> {
        if user_id == other {
            return Err(Error::invalid_param("`user_id` must be another user"));
        }
        let from = match from {
            None => 0,
            Some(token) => token
                .parse::<u64>()
                .map_err(|_| Error::invalid_param("`from` is not a token of this server"))?,
        };
        let mut shared = Vec::new();
        for room in self.joined_rooms(user_id).await? {
            if self.is_joined(room, other).await? {
                shared.push(room);
            }
        }
        shared.sort_unstable();
        let mut wanted = shared.iter().filter(|room| room.0 >= from);
        let batch: Vec<RoomNumber> = wanted.by_ref().take(BATCH).copied().collect();
        let next_batch = wanted.next().map(|room| room.0.to_string());
        let mut joined = Vec::with_capacity(batch.len());
        for room in batch {
            joined.push(self.room(room).await?.id.clone());
        }
        Ok(MutualRooms { joined, count: shared.len(), next_batch })
    }
}
