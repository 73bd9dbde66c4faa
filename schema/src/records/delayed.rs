//! Events that are to be sent later (MSC4140), and events that stick (MSC4354).

use ruma::{OwnedDeviceId, OwnedEventId, OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};

use crate::{EventNumber, Record, RoomNumber, Stamp, table};

/// An event that a user has scheduled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelayedEventRecord {
    /// Whose.
    pub user_id: OwnedUserId,
    /// The room.
    pub room_id: OwnedRoomId,
    /// The type.
    pub event_type: String,
    /// The state key, of state events.
    pub state_key: Option<String>,
    /// The content, a JSON object.
    pub content: String,
    /// The delay, in milliseconds.
    pub delay_ms: u64,
    /// When it was scheduled or last restarted, in milliseconds since 1970.
    pub scheduled_at_ms: u64,
    /// The time that an application service wants the event to have, in milliseconds since 1970.
    pub origin_server_ts_ms: Option<u64>,
    /// For how long the event is to stick, in milliseconds.
    pub sticky_duration_ms: Option<u32>,
    /// The request that scheduled it, so that it can be forgotten with it.
    pub transaction: Option<DelayedTransaction>,
    /// What became of it; `None` while it waits.
    pub finalised: Option<FinalisedRecord>,
}

impl Record for DelayedEventRecord {}

/// The request of a device that scheduled an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelayedTransaction {
    /// The device.
    pub device_id: OwnedDeviceId,
    /// Room and type.
    pub scope: String,
    /// The transaction id.
    pub transaction_id: String,
}

/// How a delayed event ended: sent (`event_id`), failed (`error`), or cancelled (neither).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalisedRecord {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The event.
    pub event_id: Option<OwnedEventId>,
    /// Errcode and text.
    pub error: Option<(String, String)>,
}

/// An event that sticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StickyEventRecord {
    /// The event.
    pub event: EventNumber,
    /// Until when it sticks, in milliseconds since 1970.
    pub expires_at_ms: u64,
}

impl Record for StickyEventRecord {}

table! {
    /// A delayed event.
    DelayedEvent: pub struct DelayedEventKey { delay_id: String } => DelayedEventRecord;
    /// The delayed events of a user: those that wait by the time at which they are sent, then those
    /// that are `finalised` by the time at which they were.
    DelayedOfUser: pub struct DelayedOfUserKey {
        user_id: OwnedUserId, finalised: u8, at_ms: u64, delay_id: String,
    } => ();
    /// When something is to be done about a delayed event: send it, or forget a finalised one.
    DelayedDue: pub struct DelayedDueKey { at_ms: u64, delay_id: String } => ();
    /// The delayed event that a request of a device has scheduled. `scope` is a hash of room and type.
    DelayedTransaction: pub struct DelayedTransactionKey {
        user_id: OwnedUserId, device_id: OwnedDeviceId, scope: String, transaction_id: String,
    } => String;
    /// The events of a room that stick, in the order of the timeline.
    StickyEvent: pub struct StickyEventKey {
        room: RoomNumber, at: Stamp, index: u32,
    } => StickyEventRecord;
}
