//! What is known of each connection: which rooms the client has, and how far.
//!
//! Kept in memory. A client whose connection is not there any more is told so (`M_UNKNOWN_POS`) and
//! begins anew; a connection on which no rooms were asked for is rebuilt from its token alone, so that
//! a restart does not make every device ask for all keys again.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use lru::LruCache;
use parking_lot::Mutex;
use pli_schema::{Position, RoomNumber, records::rooms::Membership};
use ruma::{OwnedDeviceId, OwnedUserId};
use sha2::{Digest, Sha256};

use super::required::Required;
use crate::{Error, Result, push::NotificationCounts};

/// Devices whose connections are kept.
const DEVICES_MAX: NonZeroUsize = match NonZeroUsize::new(20_000) {
    Some(max) => max,
    None => NonZeroUsize::MIN,
};
/// Connections of one device; above, the one that was used least recently is forgotten.
const CONNECTIONS_MAX: usize = 8;
/// Answers to one token that a client may have got (it cancels a request and sends another).
const PENDING_MAX: usize = 4;
/// Combinations of required state that one connection shares between its rooms.
const SHARED_MAX: usize = 256;

/// What a client has of a room.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// Everything up to here.
    pub(super) up_to: Position,
    /// So many of the newest events of `up_to`; `usize::MAX`: all that the user may see.
    pub(super) limit: usize,
    /// This state.
    pub(super) required: Arc<Required>,
    /// As this member.
    pub(super) membership: Membership,
    /// The room as one of `m.direct`.
    pub(super) is_dm: bool,
    /// These numbers of notifications.
    pub(super) counts: NotificationCounts,
}

/// How far a client is, beside rooms.
#[derive(Clone, Debug, Default)]
pub(super) struct Mark {
    /// The log.
    pub(super) at: Position,
    /// The newest change of typing.
    pub(super) typing: u64,
    /// The sizes of the lists.
    pub(super) counts: BTreeMap<String, usize>,
    /// The stock of keys, as it was told.
    pub(super) stock: String,
    /// The rooms that were in the scope of an extension which names its rooms.
    pub(super) scopes: BTreeMap<&'static str, BTreeSet<RoomNumber>>,
}

/// What an answer will have changed once the client comes back with its token.
#[derive(Debug)]
struct Pending {
    serial: u64,
    mark: Mark,
    rooms: HashMap<RoomNumber, Sent>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    tag: u64,
    session: u64,
    /// The serial of the token that the client came back with last; 0: none yet.
    pub(super) serial: u64,
    last_serial: u64,
    pub(super) mark: Mark,
    pub(super) rooms: HashMap<RoomNumber, Sent>,
    pending: Vec<Pending>,
    shared: Vec<Arc<Required>>,
}

/// A token of a connection: `p1_TAG_SESSION_SERIAL_POSITION_TYPING`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pos {
    tag: u64,
    session: u64,
    serial: u64,
    position: Position,
    typing: u64,
}

impl Pos {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("p1_")?.split('_').map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse::<u64>().ok())?
        });
        let pos = Self {
            tag: parts.next()??,
            session: parts.next()??,
            serial: parts.next()??,
            position: Position(parts.next()??),
            typing: parts.next()??,
        };
        parts.next().is_none().then_some(pos)
    }
}

impl std::fmt::Display for Pos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { tag, session, serial, position, typing } = self;
        write!(f, "p1_{tag}_{session}_{serial}_{position}_{typing}")
    }
}

impl Connection {
    fn new(tag: u64, session: u64) -> Self {
        Self {
            tag,
            session,
            serial: 0,
            last_serial: 0,
            mark: Mark::default(),
            rooms: HashMap::new(),
            pending: Vec::new(),
            shared: Vec::new(),
        }
    }

    /// Whether the client has come back at least once.
    pub(super) const fn goes_on(&self) -> bool {
        self.serial > 0
    }

    /// The identity of this connection, other than that of one before it under the same name.
    pub(super) const fn session(&self) -> u64 {
        self.session
    }

    /// The client came back with a token: what it was sent with it is known to it. The same token once
    /// more (the answer got lost) changes nothing.
    ///
    /// # Errors
    /// [`Error::UnknownPos`] for a token that is not of this connection, or is too old.
    fn come_back(&mut self, pos: Pos) -> Result<()> {
        if (pos.tag, pos.session) != (self.tag, self.session) {
            return Err(Error::UnknownPos);
        }
        if pos.serial == self.serial {
            return Ok(());
        }
        let at = self.pending.iter().position(|pending| pending.serial == pos.serial);
        let pending = at.map(|at| self.pending.swap_remove(at)).ok_or(Error::UnknownPos)?;
        self.pending.clear();
        self.serial = pending.serial;
        self.mark = pending.mark;
        self.rooms.extend(pending.rooms);
        Ok(())
    }

    /// The serial that the next answer will have.
    pub(super) const fn next_serial(&self) -> u64 {
        self.last_serial.saturating_add(1)
    }

    /// Notes an answer; its token.
    pub(super) fn note(&mut self, mark: Mark, rooms: HashMap<RoomNumber, Sent>) -> String {
        self.last_serial = self.next_serial();
        let (serial, position, typing) = (self.last_serial, mark.at, mark.typing);
        if self.pending.len() >= PENDING_MAX {
            self.pending.remove(0);
        }
        self.pending.push(Pending { serial, mark, rooms });
        Pos { tag: self.tag, session: self.session, serial, position, typing }.to_string()
    }

    /// The same required state, shared with other rooms of the connection.
    pub(super) fn share(&mut self, required: Arc<Required>) -> Arc<Required> {
        if let Some(known) = self.shared.iter().find(|known| **known == required) {
            return Arc::clone(known);
        }
        if self.shared.len() >= SHARED_MAX {
            self.shared.clear();
        }
        self.shared.push(Arc::clone(&required));
        required
    }
}

/// A connection that one request at a time works on.
pub(super) type Shared = Arc<tokio::sync::Mutex<Connection>>;
/// A device.
type Device = (OwnedUserId, OwnedDeviceId);

/// The connections of a device, by their `conn_id`.
type OfDevice = Vec<(String, Shared)>;

/// The connections of all devices. Clones share them.
#[derive(Clone, Debug)]
pub(in crate::sync) struct Connections {
    devices: Arc<Mutex<LruCache<Device, OfDevice>>>,
    sessions: Arc<AtomicU64>,
}

impl Connections {
    /// No connections. `first` is greater than any that an earlier process was given.
    pub(in crate::sync) fn new(first: u64) -> Self {
        Self {
            devices: Arc::new(Mutex::new(LruCache::new(DEVICES_MAX))),
            sessions: Arc::new(AtomicU64::new(first)),
        }
    }

    /// The connection that a request goes on with; a new one, if it has no token.
    ///
    /// # Errors
    /// [`Error::UnknownPos`] for a token that is not known here (any more).
    pub(super) async fn open(
        &self,
        device: &Device,
        conn_id: &str,
        (pos, has_rooms): (Option<&str>, bool),
    ) -> Result<Shared> {
        let tag = tag_of(device, conn_id);
        let Some(pos) = pos else {
            let session = self.sessions.fetch_add(1, Ordering::Relaxed);
            return Ok(self.put(device, conn_id, Connection::new(tag, session)));
        };
        let pos = Pos::parse(pos).filter(|pos| pos.tag == tag).ok_or(Error::UnknownPos)?;
        if let Some(known) = self.get(device, conn_id) {
            let came_back = known.lock().await.come_back(pos);
            if came_back.is_ok() || has_rooms {
                return came_back.map(|()| known);
            }
        }
        if has_rooms || pos.serial == 0 {
            return Err(Error::UnknownPos);
        }
        let mut connection = Connection::new(tag, pos.session);
        (connection.serial, connection.last_serial) = (pos.serial, pos.serial);
        (connection.mark.at, connection.mark.typing) = (pos.position, pos.typing);
        Ok(self.put(device, conn_id, connection))
    }

    fn get(&self, device: &Device, conn_id: &str) -> Option<Shared> {
        let mut devices = self.devices.lock();
        let connections = devices.get_mut(device)?;
        let at = connections.iter().position(|(name, _)| name == conn_id)?;
        // The one that was used last stands last.
        let found = connections.remove(at);
        let shared = Arc::clone(&found.1);
        connections.push(found);
        Some(shared)
    }

    fn put(&self, device: &Device, conn_id: &str, connection: Connection) -> Shared {
        let shared = Arc::new(tokio::sync::Mutex::new(connection));
        let mut devices = self.devices.lock();
        let connections = devices.get_or_insert_mut(device.clone(), Vec::new);
        connections.retain(|(name, _)| name != conn_id);
        if connections.len() >= CONNECTIONS_MAX {
            connections.remove(0);
        }
        connections.push((conn_id.to_owned(), Arc::clone(&shared)));
        shared
    }
}

/// Ties a token to user, device and connection.
fn tag_of((user_id, device_id): &Device, conn_id: &str) -> u64 {
    let mut hash = Sha256::new();
    for part in [user_id.as_str(), device_id.as_str(), conn_id] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let hash = hash.finalize();
    hash.iter().take(6).fold(0, |tag, byte| (tag << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str) -> Device {
        ("@a:x".try_into().unwrap(), name.into())
    }

    async fn next(shared: &Shared, at: u64) -> String {
        let mark = Mark { at: Position(at), ..Mark::default() };
        shared.lock().await.note(mark, HashMap::new())
    }

    #[tokio::test]
    async fn a_token_goes_on_and_an_older_one_does_not() {
        let connections = Connections::new(1);
        let d = device("D");
        let conn = connections.open(&d, "a", (None, true)).await.unwrap();
        let first = next(&conn, 5).await;
        let conn = connections.open(&d, "a", (Some(&first), true)).await.unwrap();
        assert_eq!(conn.lock().await.mark.at, Position(5));
        // A lost answer and the one that replaces it: either may come back.
        let lost = next(&conn, 6).await;
        let conn = connections.open(&d, "a", (Some(&first), true)).await.unwrap();
        let second = next(&conn, 7).await;
        assert_ne!(lost, second);
        let conn = connections.open(&d, "a", (Some(&lost), true)).await.unwrap();
        assert_eq!(conn.lock().await.mark.at, Position(6));
        for old in [&first, &second] {
            let result = connections.open(&d, "a", (Some(old), true)).await;
            assert!(matches!(result, Err(Error::UnknownPos)));
        }
    }

    #[tokio::test]
    async fn a_token_is_of_one_device_and_connection() {
        let connections = Connections::new(1);
        let conn = connections.open(&device("D"), "a", (None, true)).await.unwrap();
        let pos = next(&conn, 5).await;
        for (other, conn_id) in [("E", "a"), ("D", "b")] {
            for has_rooms in [true, false] {
                let result =
                    connections.open(&device(other), conn_id, (Some(&pos), has_rooms)).await;
                assert!(matches!(result, Err(Error::UnknownPos)));
            }
        }
        for bad in ["", "x", "p1_", "p1_1_2_3_4", "p1_1_2_3_4_5_6", "p1_1_2_3_4_-5", "s1_1_1_1"] {
            let result = connections.open(&device("D"), "a", (Some(bad), true)).await;
            assert!(matches!(result, Err(Error::UnknownPos)), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_connection_without_rooms_is_rebuilt_after_a_restart() {
        let conn = Connections::new(1).open(&device("D"), "a", (None, false)).await.unwrap();
        let pos = next(&conn, 5).await;
        let later = Connections::new(9);
        let result = later.open(&device("D"), "a", (Some(&pos), true)).await;
        assert!(matches!(result, Err(Error::UnknownPos)));
        let conn = later.open(&device("D"), "a", (Some(&pos), false)).await.unwrap();
        assert_eq!(conn.lock().await.mark.at, Position(5));
        let next = next(&conn, 6).await;
        assert!(later.open(&device("D"), "a", (Some(&next), false)).await.is_ok());
    }

    #[tokio::test]
    async fn a_device_has_a_bounded_number_of_connections() {
        let connections = Connections::new(1);
        let mut first = None;
        for n in 0..=CONNECTIONS_MAX {
            let conn = connections.open(&device("D"), &n.to_string(), (None, true)).await.unwrap();
            first.get_or_insert(next(&conn, 1).await);
        }
        let result = connections.open(&device("D"), "0", (first.as_deref(), true)).await;
        assert!(matches!(result, Err(Error::UnknownPos)));
    }
}
