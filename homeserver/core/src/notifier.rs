//! Who waits for what, and what changed last.
//!
//! One task ([`Notifier::run`]) follows the feed of commits. It keeps two things:
//!
//! * the newest position of each room that changed since the start of the process, ordered by
//!   position, so that a sync looks only at rooms that changed since its token;
//! * the users who sync or did a moment ago, by the rooms in which they are joined. A commit in a room
//!   costs one look at the users who listen in it; members who are offline cost nothing. An idle user
//!   is forgotten after [`IDLE_SWEEPS_MAX`] sweeps.
//!
//! Whoever waits subscribes first ([`Notifier::listen`]), then looks, then waits ([`Listener::woken`]): no
//! change is missed in between. A wake-up only says "look again"; what changed is read from the store.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use pli_schema::{
    Position, RoomNumber, Topic,
    records::rooms::{Membership, UserRoomRecord},
};
use pli_store::{Committed, Store, Stored};
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use tokio::sync::{Notify, broadcast::error::RecvError, futures::Notified, watch};

use crate::{Error, Result, rooms::Rooms};

/// Rooms whose newest position is kept (about 100 bytes each).
const ROOMS_MAX: usize = 200_000;
/// Time between two sweeps for idle users.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// Sweeps that find a user idle before the user is forgotten.
const IDLE_SWEEPS_MAX: u8 = 4;
/// How long a sync waits for the feed to reach the position that the store tells.
const CATCH_UP_MAX: Duration = Duration::from_secs(5);
/// Tries to read a user's rooms between two changes of them.
const TRIES_MAX: usize = 16;

/// The memberships of one user at one position, ordered by room.
#[derive(Clone, Debug, Default)]
pub struct UserRooms {
    rooms: Vec<(RoomNumber, Stored<UserRoomRecord>)>,
    newest: Position,
}

impl UserRooms {
    /// The membership of a room.
    #[must_use]
    pub fn get(&self, room: RoomNumber) -> Option<&Stored<UserRoomRecord>> {
        let index = self.rooms.binary_search_by_key(&room, |(room, _)| *room).ok()?;
        self.rooms.get(index).map(|(_, stored)| stored)
    }

    /// Whether the user is joined.
    #[must_use]
    pub fn is_joined(&self, room: RoomNumber) -> bool {
        self.get(room).is_some_and(|stored| stored.record.membership == Membership::Join)
    }

    /// All memberships.
    pub fn iter(&self) -> impl Iterator<Item = (RoomNumber, &Stored<UserRoomRecord>)> {
        self.rooms.iter().map(|(room, stored)| (*room, stored))
    }

    /// The rooms in which the user is joined.
    pub fn joined(&self) -> impl Iterator<Item = RoomNumber> {
        let joined = |(_, stored): &&(RoomNumber, Stored<UserRoomRecord>)| {
            stored.record.membership == Membership::Join
        };
        self.rooms.iter().filter(joined).map(|(room, _)| *room)
    }
}

/// Follows the log and wakes those who wait. Clones share everything.
#[derive(Clone, Debug)]
pub struct Notifier {
    rooms: Rooms,
    state: Arc<Mutex<State>>,
    /// How far the feed has been followed.
    followed: watch::Sender<Position>,
}

#[derive(Debug, Default)]
struct State {
    activity: Activity,
    users: HashMap<OwnedUserId, User>,
    /// Users by the rooms in which they are joined, as far as they listen.
    by_room: HashMap<RoomNumber, HashSet<OwnedUserId>>,
}

/// A user who syncs or did a moment ago.
#[derive(Debug, Default)]
struct User {
    devices: HashMap<OwnedDeviceId, Device>,
    /// The user's rooms; `None` if they are not known or have changed since they were read.
    rooms: Option<Arc<UserRooms>>,
    /// The rooms under which the user is in [`State::by_room`].
    indexed: HashSet<RoomNumber>,
    /// Counts the changes of the user, so that a read that a change has overtaken is noticed.
    changes: u64,
    idle_sweeps: u8,
}

#[derive(Debug, Default)]
struct Device {
    notify: Arc<Notify>,
    listeners: usize,
}

/// The newest position of each room that changed after `floor`.
#[derive(Debug, Default)]
struct Activity {
    floor: Position,
    by_room: HashMap<RoomNumber, Position>,
    by_position: BTreeSet<(Position, RoomNumber)>,
}

impl Activity {
    fn touch(&mut self, room: RoomNumber, position: Position) {
        if let Some(before) = self.by_room.insert(room, position) {
            self.by_position.remove(&(before, room));
        }
        self.by_position.insert((position, room));
        while self.by_position.len() > ROOMS_MAX {
            if let Some((position, room)) = self.by_position.pop_first() {
                self.by_room.remove(&room);
                self.floor = self.floor.max(position);
            }
        }
    }
}

/// One who waits. Dropping it ends the waiting.
#[derive(Debug)]
pub struct Listener {
    notifier: Notifier,
    user_id: OwnedUserId,
    device_id: OwnedDeviceId,
    notify: Arc<Notify>,
}

impl Listener {
    /// Ends at the next change for the device **after this call**, whether it is polled before or not.
    pub fn woken(&self) -> Notified<'_> {
        self.notify.notified()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = self.notifier.state.lock();
        let Some(user) = state.users.get_mut(&self.user_id) else {
            return;
        };
        if let Some(device) = user.devices.get_mut(&self.device_id) {
            device.listeners = device.listeners.saturating_sub(1);
            if device.listeners == 0 {
                user.devices.remove(&self.device_id);
            }
        }
    }
}

impl Notifier {
    /// A notifier that follows the store of these rooms once [`Self::run`] does.
    #[must_use]
    pub fn new(rooms: Rooms) -> Self {
        Self { rooms, state: Arc::default(), followed: watch::Sender::new(Position::ZERO) }
    }

    /// Follows the feed of commits; ends when the store does. Spawn it once per process.
    pub async fn run(self) {
        let store = self.rooms.store().clone();
        let mut feed = store.subscribe();
        self.start_over(&store);
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        loop {
            tokio::select! {
                commit = feed.recv() => match commit {
                    Ok(commit) => self.follow(&commit),
                    Err(RecvError::Lagged(_)) => self.start_over(&store),
                    Err(RecvError::Closed) => return,
                },
                _ = sweep.tick() => self.sweep(),
            }
        }
    }

    /// Knows nothing of what was before; wakes everyone.
    fn start_over(&self, store: &Store) {
        let position = store.position();
        let mut state = self.state.lock();
        state.activity = Activity { floor: position, ..Activity::default() };
        for user in state.users.values_mut() {
            user.change();
        }
        drop(state);
        self.reach(position);
    }

    fn reach(&self, position: Position) {
        self.followed.send_if_modified(|followed| {
            let newer = position > *followed;
            *followed = position.max(*followed);
            newer
        });
    }

    fn follow(&self, commit: &Committed) {
        if !commit.topics.is_empty() {
            let mut state = self.state.lock();
            for topic in commit.topics.iter() {
                match topic {
                    Topic::Room(room) => {
                        state.activity.touch(*room, commit.position);
                        state.wake_room(*room);
                    }
                    Topic::User(user_id) => {
                        if let Some(user) = state.users.get(user_id) {
                            user.wake();
                        }
                    }
                    Topic::Rooms(user_id) => {
                        if let Some(user) = state.users.get_mut(user_id) {
                            user.change();
                        }
                    }
                    Topic::Device(user_id, device_id) => {
                        let user = state.users.get(user_id);
                        if let Some(device) = user.and_then(|user| user.devices.get(device_id)) {
                            device.notify.notify_waiters();
                        }
                    }
                    Topic::Server(_) | Topic::Policy | Topic::Jobs => {}
                }
            }
        }
        self.reach(commit.position);
    }

    /// Wakes those who listen in a room: for what is not in the store (typing).
    pub fn wake_room(&self, room: RoomNumber) {
        self.state.lock().wake_room(room);
    }

    /// Wakes those who listen in any of these rooms, each once: for what is not in the store (presence).
    /// How many they are.
    #[must_use]
    pub fn wake_rooms(&self, rooms: &BTreeSet<RoomNumber>) -> usize {
        let state = self.state.lock();
        let users: HashSet<&OwnedUserId> =
            rooms.iter().filter_map(|room| state.by_room.get(room)).flatten().collect();
        let users = users.iter().filter_map(|user_id| state.users.get(*user_id));
        users.filter(|user| !user.devices.is_empty()).map(User::wake).count()
    }

    /// The memberships of a user, read anew unless they are in memory.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn memberships(&self, user_id: &UserId) -> Result<Arc<UserRooms>> {
        self.rooms_of(user_id).await.map(|(rooms, _)| rooms)
    }

    /// Whether someone listens.
    #[must_use]
    pub fn is_listened_to(&self) -> bool {
        self.state.lock().users.values().any(|user| !user.devices.is_empty())
    }

    fn sweep(&self) {
        let mut state = self.state.lock();
        let mut idle = Vec::new();
        for (user_id, user) in &mut state.users {
            user.idle_sweeps =
                if user.devices.is_empty() { user.idle_sweeps.saturating_add(1) } else { 0 };
            if user.idle_sweeps > IDLE_SWEEPS_MAX {
                idle.push(user_id.clone());
            }
        }
        for user_id in idle {
            if let Some(user) = state.users.remove(&user_id) {
                state.unindex(&user_id, user.indexed.iter());
            }
        }
    }

    /// Begins to listen: from now on no change for the device is missed.
    #[must_use]
    pub fn listen(&self, user_id: &UserId, device_id: &DeviceId) -> Listener {
        let mut state = self.state.lock();
        let user = state.users.entry(user_id.to_owned()).or_default();
        user.idle_sweeps = 0;
        let device = user.devices.entry(device_id.to_owned()).or_default();
        device.listeners = device.listeners.saturating_add(1);
        Listener {
            notify: Arc::clone(&device.notify),
            notifier: self.clone(),
            user_id: user_id.to_owned(),
            device_id: device_id.to_owned(),
        }
    }

    /// A position with the user's rooms exactly at it, not older than the store's when this was called.
    ///
    /// # Errors
    /// Those of the store; [`Error::Bug`] if nobody follows the feed.
    pub async fn sample(&self, user_id: &UserId) -> Result<(Position, Arc<UserRooms>)> {
        for _ in 0..TRIES_MAX {
            let (rooms, changes) = self.rooms_of(user_id).await?;
            // What was read may be newer than the position that the store tells.
            let now = self.rooms.store().position().max(rooms.newest);
            self.reached(now).await?;
            let state = self.state.lock();
            if state.users.get(user_id).is_none_or(|user| user.changes == changes) {
                return Ok((now, rooms));
            }
        }
        Err(Error::Store(pli_store::StoreError::Conflict))
    }

    /// The user's rooms, and the count of the user's changes before they were read.
    async fn rooms_of(&self, user_id: &UserId) -> Result<(Arc<UserRooms>, u64)> {
        let changes = {
            let state = self.state.lock();
            let user = state.users.get(user_id);
            let changes = user.map_or(0, |user| user.changes);
            if let Some(rooms) = user.and_then(|user| user.rooms.clone()) {
                return Ok((rooms, changes));
            }
            changes
        };
        let mut rooms = self.rooms.rooms_of(user_id, None).await?;
        rooms.sort_unstable_by_key(|(room, _)| *room);
        let newest = rooms.iter().map(|(_, stored)| stored.position).max().unwrap_or_default();
        let rooms = Arc::new(UserRooms { rooms, newest });
        self.state.lock().index(user_id, changes, &rooms);
        Ok((rooms, changes))
    }

    /// Waits until the feed was followed up to a position.
    ///
    /// # Errors
    /// [`Error::Bug`] if that does not happen.
    pub async fn reached(&self, position: Position) -> Result<()> {
        let mut followed = self.followed.subscribe();
        let reached = followed.wait_for(|followed| *followed >= position);
        match tokio::time::timeout(CATCH_UP_MAX, reached).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Error::bug("the feed of commits is not followed")),
        }
    }

    /// The rooms that changed after a position, and those of them that changed last come first; `None`
    /// if that is not known so far back, or if there are more than `max`.
    #[must_use]
    pub fn changed_rooms(&self, since: Position, max: usize) -> Option<Vec<RoomNumber>> {
        let state = self.state.lock();
        if since < state.activity.floor {
            return None;
        }
        let from = (since.next(), RoomNumber(0));
        let rooms: Vec<RoomNumber> = state
            .activity
            .by_position
            .range(from..)
            .rev()
            .take(max.saturating_add(1))
            .map(|(_, room)| *room)
            .collect();
        (rooms.len() <= max).then_some(rooms)
    }

    /// Whether a room may have changed after a position.
    #[must_use]
    pub fn may_have_changed(&self, room: RoomNumber, since: Position) -> bool {
        let state = self.state.lock();
        let newest = state.activity.by_room.get(&room);
        newest.map_or(since < state.activity.floor, |newest| *newest > since)
    }
}

impl User {
    /// The memberships of the user changed: they must be read again.
    fn change(&mut self) {
        self.changes = self.changes.saturating_add(1);
        self.rooms = None;
        self.wake();
    }

    fn wake(&self) {
        for device in self.devices.values() {
            device.notify.notify_waiters();
        }
    }
}

impl State {
    fn wake_room(&self, room: RoomNumber) {
        for user_id in self.by_room.get(&room).into_iter().flatten() {
            if let Some(user) = self.users.get(user_id) {
                user.wake();
            }
        }
    }

    fn unindex<'a>(&mut self, user_id: &UserId, rooms: impl Iterator<Item = &'a RoomNumber>) {
        for room in rooms {
            if let Some(users) = self.by_room.get_mut(room) {
                users.remove(user_id);
                if users.is_empty() {
                    self.by_room.remove(room);
                }
            }
        }
    }

    /// Takes a user's rooms that were read when the count of changes was `changes`. The index may name
    /// more rooms than it should for a moment, never fewer: whoever reads the rooms listens already.
    fn index(&mut self, user_id: &UserId, changes: u64, rooms: &Arc<UserRooms>) {
        let Some(user) = self.users.get_mut(user_id) else {
            return;
        };
        if user.changes != changes {
            // Read before a change that was followed meanwhile: it would take rooms out of the index
            // that a newer reading has put there. Whoever sampled it reads again.
            return;
        }
        let now: HashSet<RoomNumber> = rooms.joined().collect();
        let before = std::mem::replace(&mut user.indexed, now.clone());
        user.rooms = Some(Arc::clone(rooms));
        for room in now.difference(&before) {
            self.by_room.entry(*room).or_default().insert(user_id.to_owned());
        }
        self.unindex(user_id, before.difference(&now));
    }
}
