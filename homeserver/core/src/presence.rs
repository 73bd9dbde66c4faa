//! Who is there (<https://spec.matrix.org/v1.19/client-server-api/#presence>).
//!
//! Kept in memory; only what users say of themselves and when they were last active is stored, when they
//! say it and when they go. Changes are told together and not more often than a budget of woken clients
//! allows ([`WAKES_PER_SECOND`]), and only to those who share a room that is not too large: presence
//! costs no more when a server grows.

mod people;

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use pli_schema::{
    RoomNumber,
    records::{
        rooms::RoomHeadKey,
        sync::{PresenceKey, PresenceRecord},
    },
};
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId, presence::PresenceState};

use self::people::{Availability, Heard, People};
use crate::{Error, Notifier, Result, json::Object, notifier::UserRooms, rooms::Rooms};

/// Longest status message, in bytes.
const STATUS_BYTES_MAX: usize = 1_024;
/// How long it counts what another server said of a user, in milliseconds: 45 minutes.
const HEARD_FOR_MS: u64 = 45 * 60_000;
/// Time between two looks for what is to be told, at least.
const TICK: Duration = Duration::from_millis(500);
/// Clients that are woken for presence in a second, on average.
const WAKES_PER_SECOND: usize = 200;
/// Presence is not told through rooms with more members.
const ROOM_MEMBERS_MAX: u64 = 500;
/// People told of in one answer: those who changed last.
const TOLD_MAX: usize = 500;

/// Presence of one user, as others see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// `online`, `unavailable` or `offline`.
    pub state: &'static str,
    /// Milliseconds since the user was last active; `None` if they never were.
    pub last_active_ago_ms: Option<u64>,
    /// The status message.
    pub status_msg: Option<String>,
    /// Whether the user is active right now.
    pub currently_active: bool,
}

impl Seen {
    /// The content of `m.presence`.
    #[must_use]
    pub fn content(&self) -> Object {
        let mut out = Object::new();
        out.string("presence", self.state);
        if let Some(ago) = self.last_active_ago_ms {
            out.raw("last_active_ago", &ago.to_string());
        }
        if let Some(text) = &self.status_msg {
            out.string("status_msg", text);
        }
        if self.state == "online" {
            out.raw("currently_active", if self.currently_active { "true" } else { "false" });
        }
        out
    }
}

/// What another server says besides.
#[derive(Clone, Debug, Default)]
pub struct HeardAgo {
    /// Milliseconds since the user was last active.
    pub last_active_ago_ms: u64,
    /// The status message.
    pub status_msg: Option<String>,
}

/// `m.presence` of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceEvent {
    /// Whose.
    pub sender: OwnedUserId,
    /// The event, as JSON.
    pub json: String,
}

/// Who is there. Clones share it.
#[derive(Clone, Debug)]
pub struct Presence {
    rooms: Rooms,
    notifier: Notifier,
    enabled: bool,
    people: Arc<Mutex<People>>,
}

/// A sync under way: its device counts as there until a while after it is dropped.
#[derive(Debug)]
pub struct Syncing {
    presence: Presence,
    device: Option<(OwnedUserId, OwnedDeviceId)>,
}

impl Drop for Syncing {
    fn drop(&mut self) {
        if let Some((user_id, device_id)) = self.device.take() {
            let now_ms = self.presence.rooms.clock().now_ms();
            self.presence.people.lock().end_sync(&user_id, &device_id, now_ms);
        }
    }
}

impl Presence {
    /// Nobody is there yet. Where it is not `enabled`, everyone is always offline.
    #[must_use]
    pub fn new(rooms: Rooms, notifier: Notifier, enabled: bool) -> Self {
        let people = Arc::new(Mutex::new(People::new(rooms.clock().now_ms())));
        Self { rooms, notifier, enabled, people }
    }

    /// Whether presence is kept at all.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.enabled
    }

    fn now_ms(&self) -> u64 {
        self.rooms.clock().now_ms()
    }

    /// A user says how they are, and with which message; without one, the last is gone.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for a state that is not known; [`Error::TooLarge`].
    pub async fn set(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        state: &PresenceState,
        status_msg: Option<String>,
    ) -> Result<()> {
        let state = Availability::of(state)
            .ok_or_else(|| Error::invalid_param("`presence` is online, unavailable or offline"))?;
        if status_msg.as_ref().is_some_and(|text| text.len() > STATUS_BYTES_MAX) {
            return Err(Error::too_large("The status message is too long"));
        }
        if !self.enabled {
            return Ok(());
        }
        self.know(user_id).await?;
        let status_msg = status_msg.filter(|text| !text.is_empty());
        let record = self.people.lock().set(user_id, device_id, (state, status_msg), self.now_ms());
        let key = &PresenceKey { user_id: user_id.to_owned() };
        let record = &record;
        self.rooms
            .store()
            .write(|tx| async move {
                match tx.get(key).await? {
                    Some(before) if before.status_msg == record.status_msg => Ok(()),
                    _ => Ok::<_, Error>(tx.put(key, record)?),
                }
            })
            .await
    }

    /// Another server says how its user is, which counts for a while.
    pub fn hear(&self, user_id: &UserId, (state, active): (&PresenceState, bool), ago: HeardAgo) {
        let HeardAgo { last_active_ago_ms, status_msg } = ago;
        let Some(says) = Availability::of(state).filter(|_| self.enabled) else { return };
        let now_ms = self.now_ms();
        let last_active_ms = now_ms.saturating_sub(last_active_ago_ms);
        let until_ms = now_ms.saturating_add(HEARD_FOR_MS);
        let status_msg = status_msg.filter(|text| (1..=STATUS_BYTES_MAX).contains(&text.len()));
        let heard = Heard { says, active, last_active_ms, until_ms };
        self.people.lock().hear(user_id, (heard, status_msg), now_ms);
    }

    /// Whether there is a room through which the presence of a user is told.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn concerns_anyone(&self, user_id: &UserId) -> Result<bool> {
        Ok(self.enabled && !self.audience(user_id).await?.is_empty())
    }

    /// What others see of a user now; `None` if nothing is in memory.
    #[must_use]
    pub fn seen(&self, user_id: &UserId) -> Option<Seen> {
        let now_ms = self.now_ms();
        self.people.lock().seen(user_id, now_ms)
    }

    /// A device begins a sync, which makes its user online or what the request says.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn syncing(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        state: &PresenceState,
    ) -> Result<Syncing> {
        let mut syncing = Syncing { presence: self.clone(), device: None };
        match Availability::of(state) {
            Some(state) if self.enabled && state != Availability::Offline => {
                self.know(user_id).await?;
                self.people.lock().begin_sync(user_id, device_id, state, self.now_ms());
                syncing.device = Some((user_id.to_owned(), device_id.to_owned()));
            }
            _ => {}
        }
        Ok(syncing)
    }

    /// A user does something: sends, reads, types.
    pub fn active(&self, user_id: &UserId, device_id: &DeviceId) {
        if self.enabled {
            self.people.lock().active(user_id, device_id, self.now_ms());
        }
    }

    /// Reads what a user said last, unless it is in memory.
    async fn know(&self, user_id: &UserId) -> Result<()> {
        if self.people.lock().knows(user_id) {
            return Ok(());
        }
        let record = self.stored(user_id).await?;
        self.people.lock().add(user_id, record);
        Ok(())
    }

    async fn stored(&self, user_id: &UserId) -> Result<PresenceRecord> {
        let key = PresenceKey { user_id: user_id.to_owned() };
        Ok(self.rooms.store().get(&key).await?.unwrap_or_default())
    }

    /// The presence of a user for another one.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if they share no room.
    pub async fn get(&self, observer: &UserId, user_id: &UserId) -> Result<Seen> {
        if observer != user_id && !self.share(observer, user_id).await? {
            return Err(Error::forbidden("You are not allowed to see their presence"));
        }
        if !self.enabled {
            return Ok(Seen { state: "offline", ..Seen::default() });
        }
        let now_ms = self.now_ms();
        let seen = self.people.lock().seen(user_id, now_ms);
        match seen {
            Some(seen) => Ok(seen),
            None => Ok(people::offline(&self.stored(user_id).await?, now_ms)),
        }
    }

    /// Whether two users are joined in one room, however large.
    async fn share(&self, one: &UserId, other: &UserId) -> Result<bool> {
        let mine: HashSet<_> = self.rooms.joined_rooms(one).await?.into_iter().collect();
        let theirs = self.rooms.joined_rooms(other).await?;
        Ok(theirs.iter().any(|room| mine.contains(room)))
    }

    /// The newest change.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.people.lock().serial()
    }

    /// Those who changed after `since` up to `until`, and what others see of them now.
    #[must_use]
    pub fn changes(&self, since: u64, until: u64) -> Vec<(OwnedUserId, Seen)> {
        let now_ms = self.now_ms();
        let people = self.people.lock();
        let changed = people.changed(Some(since), until, TOLD_MAX).into_iter();
        let seen = changed.map(|user_id| (people.seen(&user_id, now_ms), user_id));
        seen.filter_map(|(seen, user_id)| Some((user_id, seen?))).collect()
    }

    /// The rooms through which others see a user.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn audience(&self, user_id: &UserId) -> Result<Vec<RoomNumber>> {
        let mut rooms = Vec::new();
        for room in self.notifier.memberships(user_id).await?.joined() {
            if self.is_small(room).await? {
                rooms.push(room);
            }
        }
        Ok(rooms)
    }

    /// `m.presence` of those who changed after `since` up to `until` and share a room with the user, and
    /// of the user. Without `since`, or if it is of an earlier process, of all who are there. `also` are
    /// people who are new to the user.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn events(
        &self,
        (user_id, rooms): (&UserId, &UserRooms),
        (since, until): (Option<u64>, u64),
        also: &BTreeSet<OwnedUserId>,
    ) -> Result<Vec<PresenceEvent>> {
        if !self.enabled {
            return Ok(Vec::new());
        }
        let mut changed = self.people.lock().changed(since, until, TOLD_MAX);
        let new = also.iter().filter(|user| !changed.contains(*user)).cloned();
        let new: Vec<OwnedUserId> = new.take(TOLD_MAX).collect();
        changed.extend(new);
        let now_ms = self.now_ms();
        let mut events = Vec::new();
        for person in changed {
            let sees = person == user_id || self.sees(rooms, &person).await?;
            let seen = self.people.lock().seen(&person, now_ms).filter(|_| sees);
            if let Some(seen) = seen {
                let mut event = Object::new();
                event
                    .string("type", "m.presence")
                    .string("sender", person.as_str())
                    .raw("content", &seen.content().finish());
                events.push(PresenceEvent { sender: person, json: event.finish() });
            }
        }
        Ok(events)
    }

    /// Whether someone shares a room that is not too large.
    async fn sees(&self, rooms: &UserRooms, other: &UserId) -> Result<bool> {
        for room in self.notifier.memberships(other).await?.joined() {
            if rooms.is_joined(room) && self.is_small(room).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn is_small(&self, room: RoomNumber) -> Result<bool> {
        let head = self.rooms.store().get(&RoomHeadKey { room }).await?;
        Ok(head.is_some_and(|head| head.joined_members <= ROOM_MEMBERS_MAX))
    }

    /// Notices who goes idle or away, and wakes those who see it, again and again. Spawn it once per
    /// process.
    pub async fn run(self) {
        if !self.enabled {
            return std::future::pending().await;
        }
        loop {
            let woken = match self.tell().await {
                Ok(woken) => woken,
                Err(error) => {
                    tracing::warn!(%error, "presence could not be told");
                    0
                }
            };
            let seconds = woken / WAKES_PER_SECOND;
            let pause = Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX));
            tokio::time::sleep(TICK.max(pause)).await;
        }
    }

    /// Looks once for what is to be told; how many were woken.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn tell(&self) -> Result<usize> {
        let (changed, gone) = self.people.lock().tick(self.now_ms());
        if !gone.is_empty() {
            let gone = &gone;
            self.rooms
                .store()
                .write(|tx| async move {
                    for (user_id, record) in gone {
                        tx.put(&PresenceKey { user_id: user_id.clone() }, record)?;
                    }
                    Ok::<_, Error>(())
                })
                .await?;
        }
        let mut rooms = BTreeSet::new();
        for user_id in changed {
            for room in self.notifier.memberships(&user_id).await?.joined() {
                if !rooms.contains(&room) && self.is_small(room).await? {
                    rooms.insert(room);
                }
            }
        }
        Ok(self.notifier.wake_rooms(&rooms))
    }
}

#[cfg(test)]
mod tests;
