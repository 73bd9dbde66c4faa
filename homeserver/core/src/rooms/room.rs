//! What never changes about a room.

use pli_schema::RoomNumber;
use ruma::{OwnedRoomId, RoomVersionId};

/// A room that this server knows: what never changes about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Its number in the store.
    pub number: RoomNumber,
    /// Its id.
    pub id: OwnedRoomId,
    /// Its version.
    pub version: RoomVersionId,
}
