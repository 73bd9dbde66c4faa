//! What a user keeps beside the events of rooms: receipts, account data and filters, each with the
//! stream from which a sync learns what changed.

use ruma::{OwnedDeviceId, OwnedEventId, OwnedUserId};
use serde::{Deserialize, Serialize};

use crate::{Position, Record, RoomNumber, Stamp, table};

/// Who may see a receipt (<https://spec.matrix.org/v1.19/client-server-api/#receipts>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ReceiptKind {
    /// `m.read`: everyone in the room.
    Read = 0,
    /// `m.read.private`: only the user who sent it.
    ReadPrivate = 1,
}

impl ReceiptKind {
    /// The receipt type on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "m.read",
            Self::ReadPrivate => "m.read.private",
        }
    }
}

impl crate::KeyPart for ReceiptKind {
    fn write(&self, w: &mut crate::KeyWriter) {
        w.u8(*self as u8);
    }
    fn read(r: &mut crate::KeyReader<'_>) -> Result<Self, crate::KeyError> {
        match r.u8()? {
            0 => Ok(Self::Read),
            1 => Ok(Self::ReadPrivate),
            _ => Err(crate::KeyError::Malformed),
        }
    }
}

/// How far a user has read. The position of the record is that of its [`ReceiptStreamKey`] or
/// [`PrivateReceiptStreamKey`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptRecord {
    /// The newest event that was read.
    pub event_id: OwnedEventId,
    /// When the receipt was sent, in milliseconds since 1970.
    pub ts_ms: u64,
    /// The place of the event in the room's timeline: the commit …
    pub at: Position,
    /// … and the index in it.
    pub index: u32,
}

impl Record for ReceiptRecord {}

/// One piece of account data. The position of the record is that of its [`AccountDataStreamKey`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDataRecord {
    /// The `content` of the event, a JSON object.
    pub content: String,
}

impl Record for AccountDataRecord {}

/// A stored filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterRecord {
    /// The definition, as the client sent it.
    pub definition: String,
}

impl Record for FilterRecord {}

/// Whether a user follows a thread (MSC4306). The position of the record is that of its
/// [`ThreadSubscriptionStreamKey`], and of the newest change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadSubscriptionRecord {
    /// Subscribed; else the user was and is not any more.
    pub subscribed: bool,
    /// A client subscribed on its own, because the user was mentioned.
    pub automatic: bool,
}

impl Record for ThreadSubscriptionRecord {}

/// A dehydrated device (MSC3814).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DehydratedDeviceRecord {
    /// Its id.
    pub device_id: OwnedDeviceId,
    /// The `device_data` with which a client brings it back, a JSON object.
    pub data: String,
}

impl Record for DehydratedDeviceRecord {}

/// What a user last said of their presence. Written when they say it and when they go, not with every
/// sign of life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceRecord {
    /// The status message.
    pub status_msg: Option<String>,
    /// When the user was last active, in milliseconds since 1970.
    pub last_active_ms: u64,
}

impl Record for PresenceRecord {}

table! {
    /// The receipts of a room, one per user, kind and thread. `thread` is empty for unthreaded receipts,
    /// `main`, or the id of a thread's root.
    Receipt: pub struct ReceiptKey {
        room: RoomNumber, user_id: OwnedUserId, kind: ReceiptKind, thread: String,
    } => ReceiptRecord;
    /// The public receipts of a room in the order in which they came; a receipt that another replaced is
    /// gone.
    ReceiptStream: pub struct ReceiptStreamKey {
        room: RoomNumber, at: Stamp, user_id: OwnedUserId, thread: String,
    } => ();
    /// The private receipts of a user in the order in which they came, only the newest of each.
    PrivateReceiptStream: pub struct PrivateReceiptStreamKey {
        user_id: OwnedUserId, at: Stamp, room: RoomNumber, thread: String,
    } => ();
    /// The position of this record is that of the newest public receipt of the room.
    ReceiptHead: pub struct ReceiptHeadKey { room: RoomNumber } => ();
    /// Account data by user; `room_id` is empty for global data.
    AccountData: pub struct AccountDataKey {
        user_id: OwnedUserId, room_id: String, data_type: String,
    } => AccountDataRecord;
    /// The account data of a user in the order of the changes; only the newest change of each.
    AccountDataStream: pub struct AccountDataStreamKey {
        user_id: OwnedUserId, at: Stamp, room_id: String, data_type: String,
    } => ();
    /// The threads that a user follows or has followed, by room and root.
    ThreadSubscription: pub struct ThreadSubscriptionKey {
        user_id: OwnedUserId, room: RoomNumber, root: OwnedEventId,
    } => ThreadSubscriptionRecord;
    /// The subscriptions of a user in the order of their changes; only the newest change of each.
    ThreadSubscriptionStream: pub struct ThreadSubscriptionStreamKey {
        user_id: OwnedUserId, at: Stamp, room: RoomNumber, root: OwnedEventId,
    } => ();
    /// The dehydrated device of a user.
    DehydratedDevice: pub struct DehydratedDeviceKey { user_id: OwnedUserId } => DehydratedDeviceRecord;
    /// What a user last said of their presence.
    Presence: pub struct PresenceKey { user_id: OwnedUserId } => PresenceRecord;
    /// The filters of a user.
    Filter: pub struct FilterKey { user_id: OwnedUserId, filter_id: String } => FilterRecord;
}
