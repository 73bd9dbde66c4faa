//! Rooms, their events, their state and their members.

use ruma::{
    OwnedDeviceId, OwnedEventId, OwnedRoomAliasId, OwnedRoomId, OwnedTransactionId, OwnedUserId,
};
use serde::{Deserialize, Serialize};

use crate::{
    EventNumber, Position, Record, RecordError, RoomNumber, Stamp, StateKeyNumber, StateRoot, table,
};

/// A room, written once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomRecord {
    /// The room's id.
    pub room_id: OwnedRoomId,
    /// The room version, as in `m.room.create`.
    pub version: String,
    /// When this server first knew it, in milliseconds since 1970.
    pub known_since_ms: u64,
}

impl Record for RoomRecord {}

/// A forward extremity of a room's graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extremity {
    /// The event's number.
    pub event: EventNumber,
    /// The event's id.
    pub event_id: OwnedEventId,
}

/// Where a room is now. Every write to the room reads and writes this record, which makes writes to one
/// room follow each other whatever process they come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomHeadRecord {
    /// The events that no other event follows yet.
    pub extremities: Vec<Extremity>,
    /// The greatest depth of an extremity.
    pub depth: u64,
    /// The current state.
    pub state: StateRoot,
    /// Members whose membership is `join`.
    pub joined_members: u64,
    /// Members whose membership is `invite`.
    pub invited_members: u64,
}

impl Record for RoomHeadRecord {}

/// An event. Its place in the timeline is in [`EventPointer`]; a redaction rewrites `json` and
/// `redacted_because`, nothing else ever changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// The room.
    pub room: RoomNumber,
    /// The event's id.
    pub event_id: OwnedEventId,
    /// The event in federation format, canonical JSON.
    pub json: String,
    /// The state before the event.
    pub state_before: StateRoot,
    /// For state events, the pair of type and state key.
    pub state_key: Option<StateKeyNumber>,
    /// The event that this state event replaced in the state.
    pub replaces: Option<EventNumber>,
    /// The device and the transaction id with which a local client sent it.
    pub transaction: Option<(OwnedDeviceId, OwnedTransactionId)>,
    /// The redaction that took its content.
    pub redacted_because: Option<EventNumber>,
    /// It failed the authorization rules: never in the state, never shown.
    pub rejected: bool,
    /// It failed against the current state when it came: not shown, not an extremity.
    pub soft_failed: bool,
}

impl Record for EventRecord {}

/// Where an event is in its room's timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// At the position of the commit that wrote its pointer.
    Commit,
    /// At another position: it was fetched from the past.
    At(Position),
    /// Nowhere: it was refused, and others may name it all the same.
    Nowhere,
}

/// Which event an id names, and where it is in its room's timeline: at `place`, at `index` among the
/// room's events there. Never written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPointer {
    /// The event's number.
    pub event: EventNumber,
    /// Its room.
    pub room: RoomNumber,
    /// Its place among the events of the same commit.
    pub index: u32,
    /// Its place in the timeline.
    pub place: Place,
}

impl Record for EventPointer {
    const VERSION: u8 = 2;

    /// Version 1 had no `place`: every event was at the position of its commit.
    fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let malformed = |_| RecordError::Malformed;
        match bytes.split_first() {
            Some((2, rest)) => postcard::from_bytes(rest).map_err(malformed),
            Some((1, rest)) => {
                let (event, room, index) = postcard::from_bytes(rest).map_err(malformed)?;
                Ok(Self { event, room, index, place: Place::Commit })
            }
            Some((&found, _)) => Err(RecordError::Version { found }),
            None => Err(RecordError::Malformed),
        }
    }
}

/// An entry of a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineRecord {
    /// The event.
    pub event: EventNumber,
}

impl Record for TimelineRecord {}

/// A user's membership of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Membership {
    /// `join`
    Join,
    /// `invite`
    Invite,
    /// `knock`
    Knock,
    /// `leave` (also after a kick)
    Leave,
    /// `ban`
    Ban,
}

impl Membership {
    /// The membership of this name in `m.room.member`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Join, Self::Invite, Self::Knock, Self::Leave, Self::Ban]
            .into_iter()
            .find(|membership| membership.name() == name)
    }

    /// Its name in `m.room.member`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Invite => "invite",
            Self::Knock => "knock",
            Self::Leave => "leave",
            Self::Ban => "ban",
        }
    }
}

/// A member of a room, by room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRecord {
    /// The membership.
    pub membership: Membership,
    /// The `m.room.member` event.
    pub event: EventNumber,
    /// The display name in this room.
    pub display_name: Option<String>,
    /// The avatar in this room.
    pub avatar_url: Option<String>,
}

impl Record for MemberRecord {}

/// A room of a user, by user. The position of the record is that of the newest membership change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRoomRecord {
    /// The membership.
    pub membership: Membership,
    /// The `m.room.member` event.
    pub event: EventNumber,
    /// The user has forgotten the room.
    pub forgotten: bool,
}

impl Record for UserRoomRecord {}

/// An event that relates to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationRecord {
    /// The event that relates.
    pub event: EventNumber,
    /// Its sender.
    pub sender: OwnedUserId,
    /// `rel_type`, e.g. `m.annotation`.
    pub rel_type: String,
    /// Its event type, e.g. `m.reaction`.
    pub event_type: String,
    /// The `key` of an annotation.
    pub annotation_key: Option<String>,
}

impl Record for RelationRecord {}

/// What a transaction id of a device has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionRecord {
    /// The event that was sent; `None` for transactions that make no event (to-device).
    pub event_id: Option<OwnedEventId>,
    /// When, in milliseconds since 1970: old ones are removed.
    pub at_ms: u64,
}

impl Record for TransactionRecord {}

/// An alias.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasRecord {
    /// The room it names.
    pub room_id: OwnedRoomId,
    /// Who made it.
    pub creator: OwnedUserId,
}

impl Record for AliasRecord {}

impl Record for RoomNumber {}
impl Record for EventNumber {}

table! {
    /// Which number a room id has.
    RoomById: pub struct RoomByIdKey { room_id: OwnedRoomId } => RoomNumber;
    /// A room.
    Room: pub struct RoomKey { room: RoomNumber } => RoomRecord;
    /// The head of a room.
    RoomHead: pub struct RoomHeadKey { room: RoomNumber } => RoomHeadRecord;
    /// Which event an id names.
    EventById: pub struct EventByIdKey { event_id: OwnedEventId } => EventPointer;
    /// An event.
    Event: pub struct EventKey { event: EventNumber } => EventRecord;
    /// The timeline of a room, in order.
    Timeline: pub struct TimelineKey { room: RoomNumber, at: Stamp, index: u32 } => TimelineRecord;
    /// The number (24 bits) of an event type in state keys.
    StateType: pub struct StateTypeKey { event_type: String } => u64;
    /// The number (40 bits) of a state key of a type.
    StateKey: pub struct StateKeyKey { type_number: u64, state_key: String } => u64;
    /// The members of a room.
    Member: pub struct MemberKey { room: RoomNumber, user_id: OwnedUserId } => MemberRecord;
    /// The rooms of a user.
    UserRoom: pub struct UserRoomKey { user_id: OwnedUserId, room: RoomNumber } => UserRoomRecord;
    /// The events that relate to an event, in timeline order.
    Relation: pub struct RelationKey { target: OwnedEventId, at: Stamp, index: u32 } => RelationRecord;
    /// The transaction ids of a device; `scope` is the endpoint (`ROOM NUMBER/send/TYPE`,
    /// `ROOM NUMBER/redact/EVENT`, `to_device`). What is long in either is replaced by a hash.
    Transaction: pub struct TransactionKey {
        user_id: OwnedUserId, device_id: OwnedDeviceId, scope: String, transaction_id: String,
    } => TransactionRecord;
    /// The room of an alias.
    Alias: pub struct AliasKey { alias: OwnedRoomAliasId } => AliasRecord;
    /// The aliases of a room on this server.
    RoomAlias: pub struct RoomAliasKey { room: RoomNumber, alias: OwnedRoomAliasId } => ();
    /// The rooms in this server's public directory.
    PublicRoom: pub struct PublicRoomKey { room: RoomNumber } => ();
    /// Which rooms got events in which commit, in order: consumers of the log (pushes, federation) go
    /// through it from the position that they have reached.
    RoomActivity: pub struct RoomActivityKey { at: Stamp, room: RoomNumber } => ();
    /// Events that were taken out of their timelines because they are too old, and when they are
    /// deleted (milliseconds since 1970).
    ExpiredEvent: pub struct ExpiredEventKey { due_ms: u64, event: EventNumber } => ();
    /// The annotation of an event by a user, so that nobody makes the same one twice. `what` is the
    /// SHA-256 of sender, event type and key of the annotation: the key may be of any length.
    Annotation: pub struct AnnotationKey { target: OwnedEventId, what: [u8; 32] } => EventNumber;
}
