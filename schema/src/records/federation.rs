//! What rooms need besides, once other servers take part in them.

use ruma::OwnedEventId;
use serde::{Deserialize, Serialize};

use crate::{EventNumber, Record, table};

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

table! {
    /// The auth events of a state event.
    EventAuth: pub struct EventAuthKey { event: EventNumber } => EventAuthRecord;
    /// An event that is known only because others name it (in a state or an auth chain): it has no place
    /// in a timeline, and its id is in no other index.
    OutlierById: pub struct OutlierByIdKey { event_id: OwnedEventId } => EventNumber;
    /// An event that others of the timeline name as previous while it is not here: when it comes it fills
    /// a gap and is no forward extremity.
    NamedBefore: pub struct NamedBeforeKey { event_id: OwnedEventId } => ();
    /// A redaction that came before the event that it redacts.
    WaitingRedaction: pub struct WaitingRedactionKey {
        target: OwnedEventId, redaction: EventNumber,
    } => ();
}
