//! Who is typing where (<https://spec.matrix.org/v1.19/client-server-api/#typing-notifications>).
//! Kept in memory only: after a restart nobody types.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use pli_schema::RoomNumber;
use ruma::{OwnedUserId, RoomId, UserId};
use tokio::sync::watch;

use crate::{Clock, MilliSeconds, Notifier, Result, rooms::Rooms};

/// Longest time for which one notice counts.
const TIMEOUT_MAX: Duration = Duration::from_secs(120);
/// How long a user of another server types if nothing else is heard.
const HEARD_FOR: Duration = Duration::from_secs(60);
/// Users who type in one room at the same time; more are not shown.
const USERS_MAX: usize = 200;
/// Time between two looks for users who stopped without saying so.
const EXPIRE_EVERY: Duration = Duration::from_millis(500);

/// Who is typing where. Clones share it.
#[derive(Clone, Debug)]
pub struct Typing {
    rooms: Rooms,
    notifier: Notifier,
    state: Arc<Mutex<State>>,
    /// The serial of the newest change.
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    rooms: HashMap<RoomNumber, InRoom>,
    /// Rooms by the serial of their newest change.
    by_serial: BTreeMap<u64, RoomNumber>,
    /// The first serial of this process. Serials begin with the time, so that those of an earlier
    /// process are smaller.
    first: u64,
    next: u64,
}

#[derive(Debug, Default)]
struct InRoom {
    /// Users with the time at which they stop.
    users: BTreeMap<OwnedUserId, MilliSeconds>,
    serial: u64,
}

impl State {
    fn changed(&mut self, room: RoomNumber) {
        let serial = self.next;
        self.next = serial.saturating_add(1);
        if let Some(in_room) = self.rooms.get_mut(&room) {
            self.by_serial.remove(&in_room.serial);
            in_room.serial = serial;
            self.by_serial.insert(serial, room);
        }
    }
}

impl Typing {
    /// Nobody types yet.
    #[must_use]
    pub fn new(rooms: Rooms, notifier: Notifier) -> Self {
        let first = rooms.clock().now_ms().max(1);
        let state = State { rooms: HashMap::new(), by_serial: BTreeMap::new(), first, next: first };
        let newest = watch::Sender::new(first.saturating_sub(1));
        Self { rooms, notifier, state: Arc::new(Mutex::new(state)), newest }
    }

    fn clock(&self) -> &Clock {
        self.rooms.clock()
    }

    /// A user types in a room for so long, or has stopped (`None`).
    ///
    /// # Errors
    /// [`crate::Error::Forbidden`] if the user is not joined.
    pub async fn set(
        &self,
        room_id: &RoomId,
        user_id: &UserId,
        timeout: Option<Duration>,
    ) -> Result<()> {
        let room = self.rooms.room_or_forbidden(room_id).await?.number;
        self.rooms.require_joined(room, user_id).await?;
        if self.note(room, user_id, timeout) {
            self.tell(room);
        }
        Ok(())
    }

    /// Another server says that one of its users types in a room, or has stopped.
    ///
    /// # Errors
    /// [`crate::Error::Forbidden`] if the user is not joined.
    pub async fn hear(&self, room: RoomNumber, user_id: &UserId, typing: bool) -> Result<()> {
        self.rooms.require_joined(room, user_id).await?;
        if self.note(room, user_id, typing.then_some(HEARD_FOR)) {
            self.tell(room);
        }
        Ok(())
    }

    /// Whether that changed who is shown.
    fn note(&self, room: RoomNumber, user_id: &UserId, timeout: Option<Duration>) -> bool {
        let now_ms = self.clock().now_ms();
        let mut state = self.state.lock();
        let changed = match timeout {
            Some(timeout) => {
                let in_room = state.rooms.entry(room).or_default();
                if in_room.users.len() >= USERS_MAX && !in_room.users.contains_key(user_id) {
                    return false;
                }
                let timeout_ms =
                    u64::try_from(timeout.min(TIMEOUT_MAX).as_millis()).unwrap_or(u64::MAX);
                let until = now_ms.saturating_add(timeout_ms);
                in_room.users.insert(user_id.to_owned(), until).is_none()
            }
            None => {
                let in_room = state.rooms.get_mut(&room);
                in_room.is_some_and(|in_room| in_room.users.remove(user_id).is_some())
            }
        };
        if changed {
            state.changed(room);
        }
        changed
    }

    /// Ends what has expired, again and again. Spawn it once per process.
    pub async fn run(self) {
        let mut every = tokio::time::interval(EXPIRE_EVERY);
        loop {
            every.tick().await;
            self.expire();
        }
    }

    /// Ends what has expired and wakes those who see it.
    pub fn expire(&self) {
        let now_ms = self.clock().now_ms();
        let mut changed = Vec::new();
        {
            let mut state = self.state.lock();
            for (room, in_room) in &mut state.rooms {
                let before = in_room.users.len();
                in_room.users.retain(|_, until| *until > now_ms);
                if in_room.users.len() < before {
                    changed.push(*room);
                }
            }
            for room in &changed {
                state.changed(*room);
            }
        }
        for room in changed {
            self.tell(room);
        }
    }

    /// Wakes those who see who types in a room.
    fn tell(&self, room: RoomNumber) {
        self.notifier.wake_room(room);
        self.newest.send_replace(self.serial());
    }

    /// The serial of the newest change, as it grows.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// The newest change.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.state.lock().next.saturating_sub(1)
    }

    /// Whether a serial is of an earlier process, in which others may have been typing.
    #[must_use]
    pub fn is_foreign(&self, serial: u64) -> bool {
        let state = self.state.lock();
        serial.saturating_add(1) < state.first || serial >= state.next
    }

    /// The rooms whose typing changed after `since` up to `until`.
    #[must_use]
    pub fn changed_rooms(&self, since: u64, until: u64) -> Vec<RoomNumber> {
        let state = self.state.lock();
        let since = since.max(state.first.saturating_sub(1));
        if until <= since {
            return Vec::new();
        }
        let range = since.saturating_add(1)..=until;
        state.by_serial.range(range).map(|(_, room)| *room).collect()
    }

    /// Who types in a room now, in the order of the ids.
    #[must_use]
    pub fn users(&self, room: RoomNumber) -> Vec<OwnedUserId> {
        let state = self.state.lock();
        let in_room = state.rooms.get(&room);
        in_room.map(|in_room| in_room.users.keys().cloned().collect()).unwrap_or_default()
    }

    /// The rooms in which someone types now.
    #[must_use]
    pub fn busy_rooms(&self) -> Vec<RoomNumber> {
        let state = self.state.lock();
        let busy = state.rooms.iter().filter(|(_, in_room)| !in_room.users.is_empty());
        busy.map(|(room, _)| *room).collect()
    }
}
