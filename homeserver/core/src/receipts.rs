//! Receipts and the read marker: how far each user has read
//! (<https://spec.matrix.org/v1.19/client-server-api/#receipts>).

mod events;

use std::sync::Arc;

use pli_schema::{
    Position, RoomNumber, Stamp, Topic,
    records::sync::{
        AccountDataKey, PrivateReceiptStreamKey, ReceiptHeadKey, ReceiptKey, ReceiptKind,
        ReceiptRecord, ReceiptStreamKey,
    },
};
use pli_store::{Scan, Tx};
use ruma::{EventId, OwnedEventId, OwnedUserId, RoomId, UserId, events::receipt::ReceiptThread};

pub(crate) use self::events::receipt_events;
use crate::{
    Error, History, Result, account_data,
    rooms::{Room, Rooms, StoredEvent},
    token::Boundary,
};

/// Receipts of others that a client gets with a whole room: the newest.
const WHOLE_ROOM_MAX: usize = 1_000;

/// Events that one receipt of another server may name.
const HEARD_MAX: usize = 10;
/// Bytes of the name of a thread at most: that of an event id.
const THREAD_BYTES_MAX: usize = 255;

/// How far a user says to have read.
#[derive(Clone, Debug, Default)]
pub struct Markers {
    /// `m.read`, which everyone in the room sees.
    pub read: Option<OwnedEventId>,
    /// `m.read.private`, which nobody else sees.
    pub read_private: Option<OwnedEventId>,
    /// `m.fully_read`, the read marker.
    pub fully_read: Option<OwnedEventId>,
    /// The thread that the receipts are for.
    pub thread: ReceiptThread,
}

/// A receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Who has read.
    pub user_id: OwnedUserId,
    /// Who may see it.
    pub kind: ReceiptKind,
    /// The thread: empty for unthreaded receipts, `main`, or the id of the root.
    pub thread: String,
    /// What.
    pub record: ReceiptRecord,
}

/// The receipts of all rooms. Clones share everything.
#[derive(Clone, Debug)]
pub struct Receipts {
    rooms: Rooms,
    history: History,
}

/// An event that was read, with its place.
#[derive(Debug)]
struct Entry {
    event: Arc<StoredEvent>,
    place: Boundary,
}

/// A receipt that is checked and may be written.
#[derive(Debug)]
struct Checked {
    key: ReceiptKey,
    record: ReceiptRecord,
}

impl Receipts {
    /// The receipts of these rooms.
    #[must_use]
    pub fn new(rooms: Rooms) -> Self {
        Self { history: History::new(rooms.clone()), rooms }
    }

    /// Moves the markers of a user forward, all in one transaction. A marker that is further already
    /// stays where it is.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the user is not joined; [`Error::NotFound`] for an event that is not of
    /// the room or that the user may not see; [`Error::InvalidParam`] for a thread to which the event
    /// does not belong, or with a read marker.
    pub async fn set(&self, room_id: &RoomId, user_id: &UserId, markers: &Markers) -> Result<()> {
        let room = self.rooms.room_or_forbidden(room_id).await?;
        self.rooms.require_joined(room.number, user_id).await?;
        if markers.fully_read.is_some() && markers.thread != ReceiptThread::Unthreaded {
            return Err(Error::invalid_param("A read marker has no thread_id"));
        }
        let mut receipts = Vec::new();
        let kinds =
            [(ReceiptKind::Read, &markers.read), (ReceiptKind::ReadPrivate, &markers.read_private)];
        for (kind, event_id) in kinds {
            if let Some(event_id) = event_id {
                receipts.push(self.check(&room, user_id, (kind, &markers.thread), event_id).await?);
            }
        }
        let marker = match &markers.fully_read {
            Some(event_id) => Some(self.entry(&room, user_id, event_id).await?),
            None => None,
        };
        let (receipts, marker, room) = (&receipts, &marker, &room);
        self.rooms
            .store()
            .write(|tx| async move {
                for receipt in receipts {
                    put(&tx, receipt).await?;
                }
                if let Some(entry) = marker {
                    self.put_marker(&tx, room, user_id, entry).await?;
                }
                Ok(())
            })
            .await
    }

    /// A public receipt of a user of another server, who must be joined. Of the events those that are
    /// not here say nothing.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn hear(
        &self,
        room: RoomNumber,
        user_id: &UserId,
        (event_ids, ts_ms): (&[OwnedEventId], u64),
        thread: &ReceiptThread,
    ) -> Result<()> {
        let mut newest: Option<ReceiptRecord> = None;
        for event_id in event_ids.iter().take(HEARD_MAX) {
            let pointer = self.rooms.pointer(event_id).await?;
            let Some(pointer) = pointer.filter(|it| it.record.room == room) else { continue };
            let (at, index) = (pointer.position, pointer.record.index);
            if newest.as_ref().is_none_or(|newest| (newest.at, newest.index) < (at, index)) {
                newest = Some(ReceiptRecord { event_id: event_id.clone(), ts_ms, at, index });
            }
        }
        let thread = thread.as_str().unwrap_or_default().to_owned();
        let Some(record) = newest.filter(|_| thread.len() <= THREAD_BYTES_MAX) else {
            return Ok(());
        };
        let (user_id, kind) = (user_id.to_owned(), ReceiptKind::Read);
        let receipt = &Checked { key: ReceiptKey { room, user_id, kind, thread }, record };
        self.rooms.store().write(|tx| async move { put(&tx, receipt).await }).await
    }

    async fn entry(&self, room: &Room, user_id: &UserId, event_id: &EventId) -> Result<Entry> {
        let reader = self.history.open(&room.id, user_id).await?;
        let event = self.history.event(&reader, event_id).await?;
        let pointer = self.rooms.pointer(event_id).await?;
        let pointer = pointer.ok_or_else(|| Error::bug("an event has no place"))?;
        let place = Boundary { position: pointer.position, index: pointer.record.index };
        Ok(Entry { event, place })
    }

    async fn check(
        &self,
        room: &Room,
        user_id: &UserId,
        (kind, thread): (ReceiptKind, &ReceiptThread),
        event_id: &EventId,
    ) -> Result<Checked> {
        let entry = self.entry(room, user_id, event_id).await?;
        let unrelated = || Error::invalid_param("The event is not of this thread");
        match thread {
            ReceiptThread::Unthreaded => {}
            ReceiptThread::Main => {
                if self.rooms.thread_of(&entry.event).await?.is_some() {
                    return Err(unrelated());
                }
            }
            ReceiptThread::Thread(root) => {
                if !self.rooms.is_in_thread(&entry.event, root).await? {
                    return Err(unrelated());
                }
            }
            _ => return Err(Error::invalid_param("`thread_id` must be `main` or an event id")),
        }
        Ok(Checked {
            key: ReceiptKey {
                room: room.number,
                user_id: user_id.to_owned(),
                kind,
                thread: thread.as_str().unwrap_or_default().to_owned(),
            },
            record: ReceiptRecord {
                event_id: event_id.to_owned(),
                ts_ms: self.rooms.clock().now_ms(),
                at: entry.place.position,
                index: entry.place.index,
            },
        })
    }

    async fn put_marker(
        &self,
        tx: &Tx,
        room: &Room,
        user_id: &UserId,
        entry: &Entry,
    ) -> Result<()> {
        #[derive(serde::Deserialize)]
        struct Content {
            event_id: OwnedEventId,
        }
        let key = AccountDataKey {
            user_id: user_id.to_owned(),
            room_id: room.id.to_string(),
            data_type: "m.fully_read".to_owned(),
        };
        let before = tx.get(&key).await?;
        let before = before.and_then(|r| serde_json::from_str::<Content>(&r.content).ok());
        if let Some(before) = before
            && let Some(pointer) = self.rooms.pointer(&before.event_id).await?
            && (Boundary { position: pointer.position, index: pointer.record.index }) >= entry.place
        {
            return Ok(());
        }
        let content = serde_json::json!({ "event_id": entry.event.record.event_id }).to_string();
        account_data::put(tx, user_id, Some(&room.id), "m.fully_read", &content).await
    }

    /// The public receipts of a room that came after `since` up to `until`, oldest first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn changes(
        &self,
        room: RoomNumber,
        since: Position,
        until: Position,
    ) -> Result<Vec<Receipt>> {
        let scan =
            Scan::<ReceiptStreamKey>::prefix((room,)).after((room, since)).up_to((room, until));
        self.public(&scan).await
    }

    /// The newest public receipts of a room up to `until`, and the user's own.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn of_room(
        &self,
        room: RoomNumber,
        user_id: &UserId,
        until: Position,
    ) -> Result<Vec<Receipt>> {
        let scan = Scan::<ReceiptStreamKey>::prefix((room,))
            .up_to((room, until))
            .backward()
            .limit(WHOLE_ROOM_MAX);
        let mut receipts = self.public(&scan).await?;
        receipts.retain(|receipt| receipt.user_id != user_id);
        let own = Scan::<ReceiptKey>::prefix((room, user_id.to_owned()));
        for row in self.rooms.store().scan(&own).await? {
            if row.position <= until {
                let ReceiptKey { user_id, kind, thread, .. } = row.key;
                receipts.push(Receipt { user_id, kind, thread, record: row.record });
            }
        }
        Ok(receipts)
    }

    /// The private receipts of a user, in all rooms, that came after `since` up to `until`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn private_changes(
        &self,
        user_id: &UserId,
        since: Position,
        until: Position,
    ) -> Result<Vec<(RoomNumber, Receipt)>> {
        let user_id = user_id.to_owned();
        let scan = Scan::<PrivateReceiptStreamKey>::prefix((user_id.clone(),))
            .after((user_id.clone(), since))
            .up_to((user_id, until));
        let mut receipts = Vec::new();
        for row in self.rooms.store().scan(&scan).await? {
            let PrivateReceiptStreamKey { user_id, room, thread, .. } = row.key;
            let kind = ReceiptKind::ReadPrivate;
            let key = ReceiptKey { room, user_id, kind, thread };
            if let Some(record) = self.rooms.store().get(&key).await? {
                let ReceiptKey { user_id, thread, .. } = key;
                receipts.push((room, Receipt { user_id, kind, thread, record }));
            }
        }
        Ok(receipts)
    }

    /// Whether a receipt of the user's own in a room came after `since`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn has_own_change(
        &self,
        room: RoomNumber,
        user_id: &UserId,
        since: Position,
    ) -> Result<bool> {
        let own = Scan::<ReceiptKey>::prefix((room, user_id.to_owned()));
        let rows = self.rooms.store().scan(&own).await?;
        Ok(rows.iter().any(|row| row.position > since))
    }

    async fn public(&self, scan: &Scan<ReceiptStreamKey>) -> Result<Vec<Receipt>> {
        let mut receipts = Vec::new();
        for row in self.rooms.store().scan(scan).await? {
            let ReceiptStreamKey { room, user_id, thread, .. } = row.key;
            let kind = ReceiptKind::Read;
            let key = ReceiptKey { room, user_id, kind, thread };
            if let Some(record) = self.rooms.store().get(&key).await? {
                let ReceiptKey { user_id, thread, .. } = key;
                receipts.push(Receipt { user_id, kind, thread, record });
            }
        }
        Ok(receipts)
    }
}

/// Writes a receipt unless the user has read further already, and tells those who may see it.
async fn put(tx: &Tx, Checked { key, record }: &Checked) -> Result<()> {
    if let Some(before) = tx.get_stored(key).await? {
        if (before.record.at, before.record.index) >= (record.at, record.index) {
            return Ok(());
        }
        put_stream(tx, key, Some(Stamp::At(before.position)))?;
    }
    tx.put(key, record)?;
    put_stream(tx, key, None)?;
    match key.kind {
        ReceiptKind::Read => {
            tx.put(&ReceiptHeadKey { room: key.room }, &())?;
            tx.wake(Topic::Room(key.room));
        }
        ReceiptKind::ReadPrivate => tx.wake(Topic::User(key.user_id.clone())),
    }
    Ok(())
}

/// Removes the old entry of the stream, or puts the new one.
fn put_stream(tx: &Tx, key: &ReceiptKey, old: Option<Stamp>) -> Result<()> {
    let ReceiptKey { room, user_id, thread, .. } = key.clone();
    let at = old.unwrap_or(Stamp::Commit);
    match key.kind {
        ReceiptKind::Read => {
            let key = ReceiptStreamKey { room, at, user_id, thread };
            if old.is_some() { tx.delete(&key) } else { tx.put(&key, &())? }
        }
        ReceiptKind::ReadPrivate => {
            let key = PrivateReceiptStreamKey { user_id, at, room, thread };
            if old.is_some() { tx.delete(&key) } else { tx.put(&key, &())? }
        }
    }
    Ok(())
}
