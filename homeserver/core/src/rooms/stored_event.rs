//! An event as stored, parsed at most once.

use std::sync::{Arc, OnceLock};

use pli_federation::event_format::Pdu;
use pli_schema::{EventNumber, records::rooms::EventRecord};
use ruma::RoomVersionId;

use crate::{Error, Result};

/// An event of the store. It never changes; after a redaction [`super::Rooms::event`] gives another.
#[derive(Debug)]
pub struct StoredEvent {
    /// Its number.
    pub number: EventNumber,
    /// The version of its room.
    pub version: RoomVersionId,
    /// What is stored.
    pub record: EventRecord,
    pdu: OnceLock<Arc<Pdu>>,
}

impl StoredEvent {
    /// An event that was read.
    #[must_use]
    pub const fn new(number: EventNumber, version: RoomVersionId, record: EventRecord) -> Self {
        Self { number, version, record, pdu: OnceLock::new() }
    }

    /// An event that is parsed already.
    #[must_use]
    pub fn parsed(
        number: EventNumber,
        version: RoomVersionId,
        record: EventRecord,
        pdu: Arc<Pdu>,
    ) -> Self {
        Self { number, version, record, pdu: OnceLock::from(pdu) }
    }

    /// The parsed event.
    ///
    /// # Errors
    /// [`Error::Bug`] if the stored text is not an event.
    pub fn pdu(&self) -> Result<Arc<Pdu>> {
        if let Some(pdu) = self.pdu.get() {
            return Ok(Arc::clone(pdu));
        }
        let id = self.record.event_id.clone();
        let mut pdu = Pdu::parse(Some(id), &self.record.json, &self.version).map_err(|error| {
            Error::bug(format!("stored event {}: {error}", self.record.event_id))
        })?;
        pdu.rejected = self.record.rejected;
        Ok(Arc::clone(self.pdu.get_or_init(|| Arc::new(pdu))))
    }

    /// When it was sent, in milliseconds since 1970, without parsing all of it.
    ///
    /// # Errors
    /// [`Error::Bug`] if the stored text is not an event.
    pub fn origin_server_ts_ms(&self) -> Result<u64> {
        #[derive(serde::Deserialize)]
        struct Sent {
            origin_server_ts: u64,
        }
        if let Some(pdu) = self.pdu.get() {
            return Ok(pdu.origin_server_ts.0.into());
        }
        let sent: Sent = serde_json::from_str(&self.record.json).map_err(|error| {
            Error::bug(format!("stored event {}: {error}", self.record.event_id))
        })?;
        Ok(sent.origin_server_ts)
    }

    /// A property of the content, if it is there and of the type.
    ///
    /// # Errors
    /// [`Error::Bug`] if the stored text is not an event.
    pub fn content<T: serde::de::DeserializeOwned>(&self) -> Result<Option<T>> {
        Ok(serde_json::from_str(self.pdu()?.content.get()).ok())
    }
}
