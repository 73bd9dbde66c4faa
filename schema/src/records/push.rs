//! Push rules, pushers and what waits to be pushed. (Client-Server API, "Push Notifications".)

use ruma::{OwnedDeviceId, OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};

use crate::{EventNumber, Position, Record, RoomNumber, table};

/// The push rules of a user who changed them; others have the server's defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRulesRecord {
    /// The `global` ruleset in JSON.
    pub json: String,
}

impl Record for PushRulesRecord {}

/// A pusher: a place to which a user's notifications go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PusherRecord {
    /// The pusher in the JSON of the specification.
    pub json: String,
    /// The device that set it; it goes when the device goes.
    pub device_id: OwnedDeviceId,
    /// When it was set, in seconds since 1970: the gateway is told.
    pub set_at_s: u64,
}

impl Record for PusherRecord {}

/// A notification that waits for a pusher's gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushQueueRecord {
    /// The room.
    pub room_id: OwnedRoomId,
    /// The room's number.
    pub room: RoomNumber,
    /// The event.
    pub event: EventNumber,
    /// The actions of the rule that matched, in JSON.
    pub actions: String,
    /// When it was queued, in milliseconds since 1970: too old ones are dropped.
    pub at_ms: u64,
}

impl Record for PushQueueRecord {}

impl Record for Position {}

table! {
    /// The push rules of a user. The position of the record is that of their last change.
    PushRules: pub struct PushRulesKey { user_id: OwnedUserId } => PushRulesRecord;
    /// The pushers of a user.
    Pusher: pub struct PusherKey {
        user_id: OwnedUserId, app_id: String, pushkey: String,
    } => PusherRecord;
    /// The users who have a pusher with this app and push key.
    PusherUser: pub struct PusherUserKey {
        app_id: String, pushkey: String, user_id: OwnedUserId,
    } => ();
    /// Up to which commit events were looked at for pushers.
    PushWatermark: pub struct PushWatermarkKey {} => Position;
    /// What waits for a pusher, in the order of the events.
    PushQueue: pub struct PushQueueKey {
        user_id: OwnedUserId, app_id: String, pushkey: String, at: Position, room: RoomNumber,
        index: u32,
    } => PushQueueRecord;
}
