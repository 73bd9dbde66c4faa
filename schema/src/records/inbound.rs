//! Events of other servers that are here and have no place in a room yet, and where a room's history has
//! gaps.

use ruma::{OwnedEventId, OwnedServerName};
use serde::{Deserialize, Serialize};

use crate::{EventNumber, Record, RoomNumber, Stamp, table};

/// An event whose signatures and hashes were checked, and which cannot be judged yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingEventRecord {
    /// Who sent it.
    pub origin: OwnedServerName,
    /// The event, canonical JSON.
    pub json: String,
    /// Since when it waits, in milliseconds since 1970.
    pub since_ms: u64,
    /// How often what is missing before it was asked for in vain.
    pub attempts: u32,
    /// Before this nobody is asked again, in milliseconds since 1970.
    pub retry_at_ms: u64,
}

impl Record for WaitingEventRecord {}

table! {
    /// Events of other servers that wait for what is missing before them.
    WaitingEvent: pub struct WaitingEventKey {
        room: RoomNumber, event_id: OwnedEventId,
    } => WaitingEventRecord;
    /// Where a timeline has a gap: this event names previous ones that were not here when it came.
    TimelineGap: pub struct TimelineGapKey { room: RoomNumber, at: Stamp, index: u32 } => EventNumber;
}
