//! Which thread an event is in (<https://spec.matrix.org/v1.19/client-server-api/#threading>).

use pli_schema::{EventNumber, records::rooms::Membership};
use ruma::{EventId, OwnedEventId};

use super::{Rooms, StoredEvent, members::membership_of, relations::Relation};
use crate::Result;

/// Relations followed to find the thread of an event (specification, "Threaded read receipts").
const HOPS_MAX: usize = 3;

impl Rooms {
    /// The root of the thread that an event begins or continues by its own relation.
    ///
    /// # Errors
    /// [`crate::Error::Bug`] if the stored text is not an event.
    pub fn thread_relation(event: &StoredEvent) -> Result<Option<OwnedEventId>> {
        let relation = Relation::of(&*event.pdu()?);
        Ok(relation.filter(|relation| relation.rel_type == "m.thread").map(|r| r.target))
    }

    /// The root of the thread that an event is in; `None` for the main timeline (to which the roots
    /// belong).
    ///
    /// # Errors
    /// Those of the store.
    pub async fn thread_of(&self, event: &StoredEvent) -> Result<Option<OwnedEventId>> {
        let mut relation = Relation::of(&*event.pdu()?);
        for _ in 0..HOPS_MAX {
            let Some(Relation { rel_type, target, .. }) = relation else {
                return Ok(None);
            };
            if rel_type == "m.thread" {
                return Ok(Some(target));
            }
            let Some(parent) = self.event_of_room(event.record.room, &target).await? else {
                return Ok(None);
            };
            relation = Relation::of(&*parent.pdu()?);
        }
        Ok(None)
    }

    /// Whether an event belongs to a thread, of which its root is one, too.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn is_in_thread(&self, event: &StoredEvent, root: &EventId) -> Result<bool> {
        Ok(event.record.event_id == root || self.thread_of(event).await?.as_deref() == Some(root))
    }

    /// The membership that an `m.room.member` event sets.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn membership_set_by(&self, number: EventNumber) -> Result<Option<Membership>> {
        Ok(membership_of(&*self.existing_event(number).await?.pdu()?))
    }
}
