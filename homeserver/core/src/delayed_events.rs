//! Delayed events: scheduled now, sent by the server later, unless their owner restarts or cancels them
//! (MSC4140). Calls rest on them: a client that vanishes leaves the call.
//!
//! * [`DelayedEvents::schedule`], [`DelayedEvents::update`], [`DelayedEvents::get`],
//!   [`DelayedEvents::of_user`] are what clients do.
//! * [`DelayedEvents::run`] is the background work that sends what is due. What is scheduled is in the
//!   store, so a restart only makes it late; the transaction id under which it is sent makes it once.

mod due;
mod outcome;
#[cfg(test)]
mod tests;
mod update;

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pli_schema::records::delayed::{
    DelayedDueKey, DelayedEventKey, DelayedEventRecord, DelayedOfUserKey, DelayedTransaction,
    DelayedTransactionKey,
};
use pli_store::{Scan, Store, Tx};
use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedDeviceId, OwnedRoomId, OwnedTransactionId, OwnedUserId, UserId,
};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, Notify};

pub use self::update::Action;
use crate::{Clock, Error, Random, Result, Rooms};

/// Largest content, in bytes: no larger event can be sent.
const CONTENT_BYTES_MAX: usize = 65_536;
/// Longest type, state key or transaction id, in bytes.
const TEXT_BYTES_MAX: usize = 255;
/// Lanes for what is done about delayed events; two events may share one.
const LANES: usize = 64;

/// What users may schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DelayLimits {
    /// Longest delay, in milliseconds.
    pub delay_max_ms: u64,
    /// Delayed events that wait for one user at the same time; 0 turns delayed events off.
    pub scheduled_max: usize,
}

/// A wish of a client.
#[derive(Clone, Debug)]
pub struct NewDelayedEvent {
    /// Whose.
    pub user_id: OwnedUserId,
    /// The room.
    pub room_id: OwnedRoomId,
    /// The type.
    pub event_type: String,
    /// The state key, of state events.
    pub state_key: Option<String>,
    /// The content.
    pub content: Box<RawValue>,
    /// The delay, in milliseconds.
    pub delay_ms: u64,
    /// The time that an application service wants the event to have.
    pub origin_server_ts: Option<MilliSecondsSinceUnixEpoch>,
    /// For how long the event is to stick, in milliseconds.
    pub sticky_duration_ms: Option<u32>,
    /// Device and transaction id: the same request schedules once.
    pub transaction: Option<(OwnedDeviceId, OwnedTransactionId)>,
}

/// A delayed event with its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelayedEvent {
    /// Its id: whoever knows it may restart, cancel or send the event.
    pub delay_id: String,
    /// What is known of it.
    pub record: DelayedEventRecord,
}

/// The delayed events of all users. Clones share everything.
#[derive(Clone, Debug)]
pub struct DelayedEvents {
    rooms: Rooms,
    random: Random,
    limits: DelayLimits,
    /// Sending, cancelling and restarting one event follow each other.
    lanes: Arc<[Mutex<()>]>,
    /// Something may be due earlier than before.
    wake: Arc<Notify>,
}

impl DelayedEvents {
    /// Delayed events for these rooms.
    #[must_use]
    pub fn new(rooms: Rooms, random: Random, limits: DelayLimits) -> Self {
        let lanes = (0..LANES).map(|_| Mutex::new(())).collect();
        Self { rooms, random, limits, lanes, wake: Arc::default() }
    }

    /// What users may schedule.
    #[must_use]
    pub const fn limits(&self) -> DelayLimits {
        self.limits
    }

    fn store(&self) -> &Store {
        self.rooms.store()
    }

    fn clock(&self) -> &Clock {
        self.rooms.clock()
    }

    fn lane(&self, delay_id: &str) -> Option<&Mutex<()>> {
        let sum = delay_id.bytes().fold(0_usize, |sum, byte| sum.wrapping_add(byte.into()));
        self.lanes.get(sum % LANES)
    }

    /// Schedules an event; returns its delay id. The same request of the same device gives the same id.
    ///
    /// Whether the user may send it is looked at when it is sent.
    ///
    /// # Errors
    /// [`Error::MaxDelayExceeded`], [`Error::MaxDelayedEventsExceeded`]; [`Error::InvalidParam`] for a
    /// delay of 0, [`Error::BadJson`] and [`Error::TooLarge`] for what can be no event;
    /// [`Error::Forbidden`] if the room is not known or the server takes no delayed events.
    pub async fn schedule(&self, new: NewDelayedEvent) -> Result<String> {
        self.check(&new)?;
        self.rooms.room_or_forbidden(&new.room_id).await?;
        let delay_id = &format!("d{}", self.random.letters(31));
        let record = &self.record_of(new);
        let scheduled =
            self.store().write(|tx| async move { self.put_new(&tx, delay_id, record).await });
        let delay_id = scheduled.await?;
        self.wake.notify_one();
        Ok(delay_id)
    }

    fn check(&self, new: &NewDelayedEvent) -> Result<()> {
        if self.limits.scheduled_max == 0 {
            return Err(Error::forbidden("This server takes no delayed events"));
        }
        if new.delay_ms == 0 {
            return Err(Error::invalid_param("The delay must be above 0"));
        }
        if new.delay_ms > self.limits.delay_max_ms {
            return Err(Error::MaxDelayExceeded { max_delay_ms: self.limits.delay_max_ms });
        }
        if !new.content.get().trim_start().starts_with('{') {
            return Err(Error::bad_json("`content` must be an object"));
        }
        let state_key = new.state_key.as_deref().unwrap_or_default();
        let transaction = new.transaction.as_ref().map(|(_, id)| id.as_str()).unwrap_or_default();
        let too_long = |text: &str| text.len() > TEXT_BYTES_MAX;
        if new.content.get().len() > CONTENT_BYTES_MAX
            || [new.event_type.as_str(), state_key, transaction].into_iter().any(too_long)
        {
            return Err(Error::too_large("The event is too large"));
        }
        Ok(())
    }

    fn record_of(&self, new: NewDelayedEvent) -> DelayedEventRecord {
        let transaction = new.transaction.map(|(device_id, transaction_id)| {
            let place = format!("{}/{}", new.room_id, new.event_type);
            DelayedTransaction {
                device_id,
                scope: URL_SAFE_NO_PAD.encode(Sha256::digest(place)),
                transaction_id: transaction_id.to_string(),
            }
        });
        DelayedEventRecord {
            user_id: new.user_id,
            room_id: new.room_id,
            event_type: new.event_type,
            state_key: new.state_key,
            content: Box::<str>::from(new.content).into(),
            delay_ms: new.delay_ms,
            scheduled_at_ms: self.clock().now_ms(),
            origin_server_ts_ms: new.origin_server_ts.map(|ts| ts.0.into()),
            sticky_duration_ms: new.sticky_duration_ms,
            transaction,
            finalised: None,
        }
    }

    async fn put_new(
        &self,
        tx: &Tx,
        delay_id: &str,
        record: &DelayedEventRecord,
    ) -> Result<String> {
        let transaction = transaction_key(record);
        if let Some(key) = &transaction
            && let Some(delay_id) = tx.get(key).await?
        {
            return Ok(delay_id);
        }
        let waiting = Scan::<DelayedOfUserKey>::prefix((record.user_id.clone(), 0_u8));
        if tx.scan(&waiting.limit(self.limits.scheduled_max)).await?.len()
            >= self.limits.scheduled_max
        {
            return Err(Error::MaxDelayedEventsExceeded);
        }
        if let Some(key) = &transaction {
            tx.put(key, &delay_id.to_owned())?;
        }
        put(tx, delay_id, record)?;
        Ok(delay_id.to_owned())
    }

    /// A delayed event of a user.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the user has none of this id.
    pub async fn get(&self, user_id: &UserId, delay_id: &str) -> Result<DelayedEvent> {
        let record = self.record(delay_id).await?;
        if record.user_id != user_id {
            return Err(no_such_event());
        }
        Ok(DelayedEvent { delay_id: delay_id.to_owned(), record })
    }

    /// The delayed events of a user, by the time at which they are sent or were finalised.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn of_user(&self, user_id: &UserId, finalised: bool) -> Result<Vec<DelayedEvent>> {
        let scan = Scan::<DelayedOfUserKey>::prefix((user_id.to_owned(), u8::from(finalised)));
        let mut events = Vec::new();
        for row in self.store().scan(&scan).await? {
            let key = DelayedEventKey { delay_id: row.key.delay_id };
            if let Some(record) = self.store().get(&key).await? {
                events.push(DelayedEvent { delay_id: key.delay_id, record });
            }
        }
        Ok(events)
    }

    async fn record(&self, delay_id: &str) -> Result<DelayedEventRecord> {
        if delay_id.len() > TEXT_BYTES_MAX {
            return Err(no_such_event());
        }
        let key = DelayedEventKey { delay_id: delay_id.to_owned() };
        self.store().get(&key).await?.ok_or_else(no_such_event)
    }
}

fn no_such_event() -> Error {
    Error::not_found("There is no such delayed event")
}

/// The time by which the indexes know an event: when it is to be sent, or when it was finalised.
fn index_time(record: &DelayedEventRecord) -> u64 {
    match &record.finalised {
        Some(finalised) => finalised.at_ms,
        None => record.scheduled_at_ms.saturating_add(record.delay_ms),
    }
}

/// When something is to be done about an event.
fn due_ms(record: &DelayedEventRecord) -> u64 {
    let kept_ms = if record.finalised.is_some() { outcome::KEPT_MS } else { 0 };
    index_time(record).saturating_add(kept_ms)
}

fn keys(delay_id: &str, record: &DelayedEventRecord) -> (DelayedOfUserKey, DelayedDueKey) {
    let of_user = DelayedOfUserKey {
        user_id: record.user_id.clone(),
        finalised: record.finalised.is_some().into(),
        at_ms: index_time(record),
        delay_id: delay_id.to_owned(),
    };
    (of_user, DelayedDueKey { at_ms: due_ms(record), delay_id: delay_id.to_owned() })
}

/// Writes an event with its indexes.
fn put(tx: &Tx, delay_id: &str, record: &DelayedEventRecord) -> Result<()> {
    let (of_user, due) = keys(delay_id, record);
    tx.put(&of_user, &())?;
    tx.put(&due, &())?;
    tx.put(&DelayedEventKey { delay_id: delay_id.to_owned() }, record)?;
    Ok(())
}

/// Takes the indexes of an event away.
fn delete_indexes(tx: &Tx, delay_id: &str, record: &DelayedEventRecord) {
    let (of_user, due) = keys(delay_id, record);
    tx.delete(&of_user);
    tx.delete(&due);
}

fn transaction_key(record: &DelayedEventRecord) -> Option<DelayedTransactionKey> {
    record.transaction.clone().map(|transaction| DelayedTransactionKey {
        user_id: record.user_id.clone(),
        device_id: transaction.device_id,
        scope: transaction.scope,
        transaction_id: transaction.transaction_id,
    })
}
