//! The auth chains of state events.

use std::collections::BTreeSet;

use pli_schema::{EventNumber, records::federation::EventAuthKey};

use crate::{Error, Result, rooms::Rooms};

impl Rooms {
    /// The events of the auth chains of state events: what authorizes them, what authorizes that, and so
    /// on. The given ones are only in it where another one names them.
    ///
    /// # Errors
    /// Those of the store; [`Error::Bug`] if one of the events is no state event.
    pub async fn auth_chain(
        &self,
        events: impl IntoIterator<Item = EventNumber>,
    ) -> Result<BTreeSet<EventNumber>> {
        let mut waiting: Vec<EventNumber> = events.into_iter().collect();
        let mut chain = BTreeSet::new();
        while let Some(event) = waiting.pop() {
            let record = self.store().get(&EventAuthKey { event }).await?;
            let missing = || Error::bug(format!("event {} is not in the auth graph", event.0));
            for auth_event in record.ok_or_else(missing)?.auth_events {
                if chain.insert(auth_event) {
                    waiting.push(auth_event);
                }
            }
        }
        Ok(chain)
    }
}
