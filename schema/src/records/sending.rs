//! What waits to be told to other servers, and what is known of the devices of their users.

use ruma::{OwnedDeviceId, OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};

use crate::{EventNumber, Position, Record, RoomNumber, Stamp, table};

/// How it stands with a server to which this one sends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationRecord {
    /// Transactions in a row that it did not take.
    pub failures: u32,
    /// When the first of them failed, in milliseconds since 1970; 0 while it takes them.
    pub failing_since_ms: u64,
    /// Before this it is not asked again, unless it is heard of.
    pub retry_at_ms: u64,
    /// When it last took a transaction; 0 if it never did.
    pub last_success_ms: u64,
    /// Why it did not take the last one; empty if it did.
    pub last_error: String,
    /// So many of the next items go one by one: it has refused them together.
    pub singly: u32,
    /// The transaction that it has not answered yet.
    pub pending: Option<PendingSend>,
}

impl Record for DestinationRecord {}

/// A transaction that may be on its way. It is never changed: the server may have it already. What is in
/// it is in the queues, up to these places.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingSend {
    /// The transaction's id.
    pub txn_id: String,
    /// Its events.
    pub events: Vec<EventNumber>,
    /// The last row of the queue of events that is in it.
    pub queue_to: Option<(Position, EventNumber)>,
    /// The room that it catches up on, and up to which commit.
    pub caught_up: Option<(RoomNumber, Position)>,
    /// The last row of the outbox of messages to devices that is in it.
    pub to_device_to: Option<(Position, u32)>,
    /// The users whose devices it tells of.
    pub device_lists: Vec<PendingDevices>,
}

/// The devices of a user in a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingDevices {
    /// The user.
    pub user_id: OwnedUserId,
    /// The place in the user's stream up to which it tells.
    pub to: u64,
    /// [`DeviceListOutRecord::changes`] then.
    pub changes: u32,
}

/// Events of a room that a server was not told of because it was away for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendBehindRecord {
    /// The commit of the first of them.
    pub from: Position,
    /// The commit of the newest.
    pub to: Position,
}

impl Record for SendBehindRecord {}

/// Where the stream of a local user's devices is for another server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceListOutRecord {
    /// The newest place that the server was told of.
    pub from: u64,
    /// The cross-signing keys are to be told too.
    pub keys: bool,
    /// Counts the changes since, so that one that comes while they are told is not lost.
    pub changes: u32,
}

impl Record for DeviceListOutRecord {}

/// A device of a local user as other servers were told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldDeviceRecord {
    /// The place of its newest change in the user's stream.
    pub stream_id: u64,
    /// The first half of the SHA-256 of what is told of it; `None` if it is gone.
    pub what: Option<[u8; 16]>,
}

impl Record for ToldDeviceRecord {}

/// The stream of a local user's devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldUserRecord {
    /// The newest place.
    pub stream_id: u64,
    /// The first half of the SHA-256 of the cross-signing keys.
    pub keys: [u8; 16],
}

impl Record for ToldUserRecord {}

/// The devices of a user of another server, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteUserRecord {
    /// The place in the user's stream up to which they are known.
    pub stream_id: u64,
    /// Changes were missed: they must be asked for before they are told.
    pub stale: bool,
    /// Counts the changes that were missed, so that one that comes while they are asked for is not lost.
    pub misses: u32,
    /// Times in a row that they were asked for in vain.
    pub failures: u32,
    /// When they are asked for again, in milliseconds since 1970.
    pub retry_at_ms: u64,
    /// The master key, as JSON.
    pub master_key: Option<String>,
    /// The self-signing key, as JSON.
    pub self_signing_key: Option<String>,
}

impl Record for RemoteUserRecord {}

table! {
    /// What waits to be sent to a server, in the order of the log; the record is the room.
    SendQueue: pub struct SendQueueKey {
        destination: OwnedServerName, at: Position, event: EventNumber,
    } => RoomNumber;
    /// How it stands with a server.
    Destination: pub struct DestinationKey { destination: OwnedServerName } => DestinationRecord;
    /// The rooms of which a server missed events that are not in its queue.
    SendBehind: pub struct SendBehindKey {
        destination: OwnedServerName, room: RoomNumber,
    } => SendBehindRecord;
    /// Messages to devices of another server: `m.direct_to_device` EDUs, as JSON.
    ToDeviceOut: pub struct ToDeviceOutKey {
        destination: OwnedServerName, at: Stamp, index: u32,
    } => String;
    /// The local users whose devices a server is to be told of.
    DeviceListOut: pub struct DeviceListOutKey {
        destination: OwnedServerName, user_id: OwnedUserId,
    } => DeviceListOutRecord;
    /// Up to which commit the log was looked at for what other servers are told.
    SendWatermark: pub struct SendWatermarkKey {} => Position;
    /// The devices of a local user as other servers were told of them.
    ToldDevice: pub struct ToldDeviceKey {
        user_id: OwnedUserId, device_id: OwnedDeviceId,
    } => ToldDeviceRecord;
    /// The stream of a local user's devices.
    ToldUser: pub struct ToldUserKey { user_id: OwnedUserId } => ToldUserRecord;
    /// What is known of the devices of a user of another server.
    RemoteUser: pub struct RemoteUserKey { user_id: OwnedUserId } => RemoteUserRecord;
    /// The devices of a user of another server: their keys as JSON, with signatures and name.
    RemoteDevice: pub struct RemoteDeviceKey {
        user_id: OwnedUserId, device_id: OwnedDeviceId,
    } => String;
    /// Messages to devices that came from another server, and when, in milliseconds since 1970: none
    /// is delivered twice.
    ReceivedToDevice: pub struct ReceivedToDeviceKey {
        origin: OwnedServerName, message_id: String,
    } => u64;
}
