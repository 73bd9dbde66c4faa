//! What rooms need besides, once other servers take part in them.

use ruma::{OwnedEventId, OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};

use crate::{EventNumber, Record, RoomNumber, table};

/// A state event in the graph of what authorizes what, so that auth chains are walked over numbers
/// without reading events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventAuthRecord {
    /// One more than the greatest rank of its auth events; 0 for the create event.
    pub rank: u32,
    /// Its auth events.
    pub auth_events: Vec<EventNumber>,
}

impl Record for EventAuthRecord {}

/// The keys of another server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerKeysRecord {
    /// All that are known of it, as JSON of `pli_federation::server_keys::ServerKeys`.
    pub keys: String,
    /// What it published last, as it was signed.
    pub published: String,
}

impl Record for ServerKeysRecord {}

/// What another server told about a room into which it invites a user of this server, or on which that
/// user has knocked, while this server has no state of the room itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteStateRecord {
    /// The member event that it was told with.
    pub event: EventNumber,
    /// The events in the form for strangers, as JSON.
    pub events: Vec<String>,
    /// The servers that can be asked to let the user in.
    pub servers: Vec<OwnedServerName>,
}

impl Record for InviteStateRecord {}

table! {
    /// The auth events of a state event.
    EventAuth: pub struct EventAuthKey { event: EventNumber } => EventAuthRecord;
    /// An event that is known only because others name it (in a state or an auth chain): it has no place
    /// in a timeline, and its id is in no other index.
    OutlierById: pub struct OutlierByIdKey { event_id: OwnedEventId } => EventNumber;
    /// An event that others of the timeline name as previous while it is not here: when it comes it fills
    /// a gap and is no forward extremity.
    NamedBefore: pub struct NamedBeforeKey { event_id: OwnedEventId } => ();
    /// The keys of another server.
    ServerKeys: pub struct ServerKeysKey { server: OwnedServerName } => ServerKeysRecord;
    /// What is told of a room from which this server has no state, by the user who is invited or has
    /// knocked.
    InviteState: pub struct InviteStateKey {
        room: RoomNumber, user_id: OwnedUserId,
    } => InviteStateRecord;
    /// An event of a user of another server that this server sends to the others in the room: it let the
    /// user in or out, so that the sender's server did not know whom to tell.
    SentForOthers: pub struct SentForOthersKey { event: EventNumber } => ();
    /// A redaction that came before the event that it redacts.
    WaitingRedaction: pub struct WaitingRedactionKey {
        target: OwnedEventId, redaction: EventNumber,
    } => ();
}
