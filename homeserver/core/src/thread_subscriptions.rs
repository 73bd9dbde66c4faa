//! Which threads a user follows
//! ([MSC4306](https://github.com/matrix-org/matrix-spec-proposals/pull/4306)), with the stream from which
//! clients learn of changes
//! ([MSC4308](https://github.com/matrix-org/matrix-spec-proposals/pull/4308)).

use std::collections::BTreeMap;

use pli_schema::{
    Position, RoomNumber, Stamp, Topic,
    records::sync::{ThreadSubscriptionKey, ThreadSubscriptionRecord, ThreadSubscriptionStreamKey},
};
use pli_store::{Scan, Tx};
use ruma::{EventId, OwnedEventId, OwnedRoomId, RoomId, UserId};

use crate::{Error, History, Push, Result, json::Object, rooms::Rooms};

/// Subscriptions that a user may have, given up ones included.
const SUBSCRIPTIONS_MAX: usize = 50_000;

/// The subscriptions of all users. Clones share everything.
#[derive(Clone, Debug)]
pub struct ThreadSubscriptions {
    rooms: Rooms,
    history: History,
    push: Push,
}

/// A subscription that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionChange {
    /// The room.
    pub room_id: OwnedRoomId,
    /// The root of the thread.
    pub root: OwnedEventId,
    /// What it is now.
    pub record: ThreadSubscriptionRecord,
    /// When it changed; the `bump_stamp`.
    pub at: Position,
}

/// Changes of subscriptions, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionChanges {
    /// The changes.
    pub changes: Vec<SubscriptionChange>,
    /// Older ones are left out: those up to here.
    pub end: Option<Position>,
}

impl SubscriptionChanges {
    /// `subscribed` and `unsubscribed`, by room and root.
    #[must_use]
    pub fn sections(&self) -> Object {
        let mut out = Object::new();
        for (name, subscribed) in [("subscribed", true), ("unsubscribed", false)] {
            let mut rooms: BTreeMap<&RoomId, Object> = BTreeMap::new();
            let changes = self.changes.iter();
            for change in changes.filter(|change| change.record.subscribed == subscribed) {
                let mut entry = Object::new();
                if subscribed {
                    let automatic = if change.record.automatic { "true" } else { "false" };
                    entry.raw("automatic", automatic);
                }
                entry.raw("bump_stamp", &change.at.to_string());
                let room = rooms.entry(&change.room_id).or_default();
                room.raw(change.root.as_str(), &entry.finish());
            }
            let mut section = Object::new();
            for (room_id, threads) in rooms {
                section.raw(room_id.as_str(), &threads.finish());
            }
            if !section.is_empty() {
                out.raw(name, &section.finish());
            }
        }
        out
    }
}

impl ThreadSubscriptions {
    /// The subscriptions to threads of these rooms; the first of a user gives the user the push rules
    /// for them.
    #[must_use]
    pub fn new(rooms: Rooms, push: Push) -> Self {
        Self { history: History::new(rooms.clone()), rooms, push }
    }

    /// Subscribes a user to a thread. `cause` is the event because of which a client does so on its own;
    /// what the user did by hand stays.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such event or the user may not see it;
    /// [`Error::NotInThread`] if the cause is not in the thread;
    /// [`Error::ConflictingUnsubscription`] if the user unsubscribed after the cause.
    pub async fn subscribe(
        &self,
        user_id: &UserId,
        (room_id, root): (&RoomId, &EventId),
        cause: Option<&EventId>,
    ) -> Result<()> {
        let key = self.key(user_id, room_id, root).await?;
        let cause = match cause {
            Some(cause) => Some(self.place_of(&key, cause).await?),
            None => None,
        };
        if self.rooms.store().get(&key).await?.is_none() {
            self.require_space(user_id).await?;
        }
        let key = &key;
        self.rooms
            .store()
            .write(|tx| async move {
                let before = tx.get_stored(key).await?;
                if let (Some(before), Some(cause)) = (&before, cause) {
                    if before.record.subscribed {
                        return Ok(());
                    }
                    if cause <= before.position {
                        return Err(Error::ConflictingUnsubscription);
                    }
                }
                let record =
                    ThreadSubscriptionRecord { subscribed: true, automatic: cause.is_some() };
                put(&tx, key, record).await
            })
            .await?;
        self.push.use_thread_rules(user_id).await
    }

    /// Ends a subscription; nothing happens if there is none.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such event or the user may not see it.
    pub async fn unsubscribe(
        &self,
        user_id: &UserId,
        (room_id, root): (&RoomId, &EventId),
    ) -> Result<()> {
        let key = &self.key(user_id, room_id, root).await?;
        self.rooms
            .store()
            .write(|tx| async move {
                if !tx.get(key).await?.is_some_and(|record| record.subscribed) {
                    return Ok(());
                }
                put(&tx, key, ThreadSubscriptionRecord { subscribed: false, automatic: false })
                    .await
            })
            .await
    }

    /// The subscription to a thread.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none, or the thread is not there for the user.
    pub async fn get(
        &self,
        user_id: &UserId,
        (room_id, root): (&RoomId, &EventId),
    ) -> Result<ThreadSubscriptionRecord> {
        let key = self.key(user_id, room_id, root).await?;
        let record = self.rooms.store().get(&key).await?;
        let record = record.filter(|record| record.subscribed);
        record.ok_or_else(|| Error::not_found("There is no subscription to this thread"))
    }

    /// What changed after `since` up to `to`, the newest `limit` of it. Of rooms that the user cannot
    /// read any more, nothing.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn changes(
        &self,
        user_id: &UserId,
        (since, to): (Position, Position),
        limit: usize,
    ) -> Result<SubscriptionChanges> {
        let user = user_id.to_owned();
        let scan = Scan::<ThreadSubscriptionStreamKey>::prefix((user.clone(),))
            .after((user.clone(), since))
            .up_to((user.clone(), to))
            .backward()
            .limit(limit.saturating_add(1));
        let mut rows = self.rooms.store().scan(&scan).await?;
        let end = match rows.len() > limit {
            true => rows.pop().and_then(|row| row.key.at.position()),
            false => None,
        };
        let mut changes = Vec::with_capacity(rows.len());
        for row in rows {
            let ThreadSubscriptionStreamKey { user_id, at, room, root } = row.key;
            let key = ThreadSubscriptionKey { user_id, room, root };
            let (Some(record), Some(at)) = (self.rooms.store().get(&key).await?, at.position())
            else {
                continue;
            };
            let room_id = self.rooms.room(room).await?.id.clone();
            changes.push(SubscriptionChange { room_id, root: key.root, record, at });
        }
        Ok(SubscriptionChanges { changes, end })
    }

    /// The key of a thread whose root the user may see.
    async fn key(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        root: &EventId,
    ) -> Result<ThreadSubscriptionKey> {
        let not_found = || Error::not_found("There is no such thread");
        let reader = match self.history.open(room_id, user_id).await {
            Err(Error::Forbidden(_)) => return Err(not_found()),
            other => other?,
        };
        let root = self.history.event(&reader, root).await?.record.event_id.clone();
        Ok(ThreadSubscriptionKey { user_id: user_id.to_owned(), room: reader.room().number, root })
    }

    /// The commit of an event of the thread.
    async fn place_of(&self, key: &ThreadSubscriptionKey, cause: &EventId) -> Result<Position> {
        let event = self.rooms.event_of_room(key.room, cause).await?;
        let event = event.ok_or(Error::NotInThread)?;
        if !self.rooms.is_in_thread(&event, &key.root).await? {
            return Err(Error::NotInThread);
        }
        let pointer = self.rooms.pointer(cause).await?;
        pointer.map(|pointer| pointer.position).ok_or(Error::NotInThread)
    }

    async fn require_space(&self, user_id: &UserId) -> Result<()> {
        let prefix = (user_id.to_owned(),);
        let scan = Scan::<ThreadSubscriptionStreamKey>::prefix(prefix).limit(SUBSCRIPTIONS_MAX);
        if self.rooms.store().scan(&scan).await?.len() >= SUBSCRIPTIONS_MAX {
            return Err(Error::too_large("There are too many subscriptions to threads"));
        }
        Ok(())
    }
}

/// Sets a subscription, unless it is so already, and wakes the user's clients.
async fn put(tx: &Tx, key: &ThreadSubscriptionKey, record: ThreadSubscriptionRecord) -> Result<()> {
    let before = tx.get_stored(key).await?;
    if before.as_ref().is_some_and(|before| before.record == record) {
        return Ok(());
    }
    if let Some(before) = before {
        tx.delete(&stream_key(key, key.room, Stamp::At(before.position)));
    }
    tx.put(key, &record)?;
    tx.put(&stream_key(key, key.room, Stamp::Commit), &())?;
    tx.wake(Topic::User(key.user_id.clone()));
    Ok(())
}

fn stream_key(
    key: &ThreadSubscriptionKey,
    room: RoomNumber,
    at: Stamp,
) -> ThreadSubscriptionStreamKey {
    let (user_id, root) = (key.user_id.clone(), key.root.clone());
    ThreadSubscriptionStreamKey { user_id, at, room, root }
}
