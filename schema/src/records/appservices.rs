//! Application services: how far each was told of the log, and their room directories.

use ruma::{OwnedDeviceId, OwnedUserId};
use serde::{Deserialize, Serialize};

use crate::{Position, Record, RoomNumber, table};

/// How far an application service was told of what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppservicePlace {
    /// Everything up to this commit …
    pub position: Position,
    /// … and so many events of the next commit with events.
    pub skip: u32,
}

/// Where the transactions of an application service are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppserviceProgressRecord {
    /// What the service was told or does not want to know.
    pub place: AppservicePlace,
    /// The id of the next transaction.
    pub next_txn: u64,
    /// The transaction that the service has not taken yet.
    pub pending: Option<PendingTransaction>,
}

impl Record for AppserviceProgressRecord {}

/// A transaction that an application service has not taken yet. It is never changed: the service may
/// have it already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingTransaction {
    /// Its id.
    pub txn_id: u64,
    /// The number of parts of its body.
    pub parts: u32,
    /// Where the service is once it has it.
    pub then: AppservicePlace,
    /// The inboxes whose messages up to a position are in it.
    pub inboxes: Vec<(OwnedUserId, OwnedDeviceId, Position)>,
}

table! {
    /// Where the transactions of an application service are.
    AppserviceProgress: pub struct AppserviceProgressKey { service: String } => AppserviceProgressRecord;
    /// A part of the body of a transaction that an application service has not taken yet.
    AppservicePart: pub struct AppservicePartKey { service: String, part: u32 } => String;
    /// The rooms in the directory of a third-party network that an application service keeps.
    NetworkRoom: pub struct NetworkRoomKey { instance_id: String, room: RoomNumber } => ();
}
