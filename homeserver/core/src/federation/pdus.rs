//! Events as other servers hand them over: read, and their signatures and hashes checked
//! (<https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu>, 1 to 3).

use std::sync::Arc;

use pli_federation::event_format::{self, FormatError, Pdu, Verified, VerifyError};
use ruma::{CanonicalJsonObject, OwnedRoomId, RoomId, RoomVersionId};

use super::{KeyRing, NeededKey, Signed};
use crate::{Error, Result};

/// Events that one task reads and checks.
const CHUNK: usize = 64;

/// Why an event is dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It has not the format of its room version, or is beyond a limit.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A signature is wrong, or there is no key for it.
    #[error(transparent)]
    Signature(#[from] VerifyError),
    /// It is of another room than it should be.
    #[error("an event of another room")]
    OtherRoom,
}

/// An event that was read but whose signatures were not checked yet.
type Read = (Pdu, CanonicalJsonObject, Vec<NeededKey>);

impl Signed {
    /// Reads events of a room that another server handed over as JSON, and checks their signatures and
    /// hashes: one answer per event, in order. Of an event whose content does not fit its hash only the
    /// redacted one is taken. What the other server says under `unsigned` is left out.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn check_pdus(
        &self,
        room: &RoomId,
        version: &RoomVersionId,
        events: Vec<String>,
    ) -> Result<Vec<Result<Arc<Pdu>, NotTaken>>> {
        let mut read = Vec::with_capacity(events.len());
        for part in in_chunks(events) {
            let (room, version) = (room.to_owned(), version.clone());
            read.push(blocking(move || {
                part.iter().map(|event| read_one(event, &room, &version)).collect::<Vec<_>>()
            }));
        }
        let read = collect(read).await?;
        let needed = read.iter().flatten().flat_map(|(_, _, needed)| needed.iter().cloned());
        let mut needed: Vec<NeededKey> = needed.collect();
        needed.sort_unstable();
        needed.dedup();
        self.keys().keys(&needed).await?;
        let mut checked = Vec::new();
        for part in in_chunks(read) {
            let (keys, version) = (self.keys().clone(), version.clone());
            checked.push(blocking(move || {
                let checked = part.into_iter().map(|read| check_one(&keys, &version, read?));
                checked.collect::<Vec<_>>()
            }));
        }
        collect(checked).await
    }

    /// As [`Self::check_pdus`], of one event.
    ///
    /// # Errors
    /// Those of the store; why the event is dropped is the inner result.
    pub async fn check_pdu(
        &self,
        room: &RoomId,
        version: &RoomVersionId,
        event: String,
    ) -> Result<Result<Arc<Pdu>, NotTaken>> {
        let mut checked = self.check_pdus(room, version, vec![event]).await?;
        checked.pop().ok_or_else(|| Error::bug("one event has one answer"))
    }
}

fn in_chunks<T>(all: Vec<T>) -> Vec<Vec<T>> {
    let mut rest = all.into_iter();
    std::iter::from_fn(|| {
        let part: Vec<T> = rest.by_ref().take(CHUNK).collect();
        (!part.is_empty()).then_some(part)
    })
    .collect()
}

/// Work of the processor, away from the threads that answer requests.
fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::task::spawn_blocking(work)
}

async fn collect<T>(tasks: Vec<tokio::task::JoinHandle<Vec<T>>>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.map_err(|error| Error::bug(format!("reading events: {error}")))?);
    }
    Ok(all)
}

fn read_one(event: &str, room: &OwnedRoomId, version: &RoomVersionId) -> Result<Read, NotTaken> {
    let mut object: CanonicalJsonObject = serde_json::from_str(event).map_err(FormatError::from)?;
    let text = if object.remove("unsigned").is_some() {
        serde_json::to_string(&object).map_err(FormatError::from)?
    } else {
        event.to_owned()
    };
    let pdu = Pdu::parse(None, &text, version)?;
    if pdu.room() != room {
        return Err(NotTaken::OtherRoom);
    }
    let needed = KeyRing::needed_for(&object, version);
    Ok((pdu, object, needed))
}

fn check_one(
    keys: &KeyRing,
    version: &RoomVersionId,
    (pdu, _, needed): Read,
) -> Result<Arc<Pdu>, NotTaken> {
    match event_format::verify(&pdu.json, version, &keys.at_hand(&needed))? {
        Verified::Whole => Ok(Arc::new(pdu)),
        Verified::RedactedOnly => {
            let redacted = event_format::redact(&pdu.json, version, None)?;
            Ok(Arc::new(Pdu::parse(None, &redacted, version)?))
        }
    }
}
