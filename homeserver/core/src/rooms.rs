//! Rooms: their events, their state, their members; the one way by which anything gets into them.
//!
//! * Reading: [`Rooms::room_number`], [`Rooms::event`], [`Rooms::head`], [`Rooms::state_event`],
//!   [`Rooms::member`] and their neighbors. What is read often is cached, bounded by bytes.
//! * Writing: [`Rooms::append`] makes every new event of a local user; everything else here (creation,
//!   membership, redaction, aliases, upgrade) prepares [`Draft`]s for it.
//!
//! One writer per room works in this process at a time (its lane), which is fair and lets senders who
//! wait share a commit. Correctness does not rest on that but on the room's head, which every writer
//! reads and writes in its transaction.

mod administration;
mod aliases;
mod authorize;
mod cache;
mod carry_over;
mod creation;
mod directory;
mod draft;
mod externals;
mod hierarchy;
mod incoming;
mod join_rules;
mod lanes;
mod last_admin;
mod lookup;
mod members;
mod membership;
mod mutual;
mod networks;
mod own_memberships;
mod past;
mod policy_facts;
mod policy_lists;
mod profiles;
mod relations;
mod remote;
mod residents;
mod retention;
mod room;
mod send;
mod server_acl;
mod staging;
mod standing;
mod state;
mod state_keys;
mod stays;
pub(crate) mod sticky;
mod stored_event;
mod summary;
#[cfg(test)]
pub(crate) mod testing;
mod threads;
mod timeline;
mod upgrade;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use pli_federation::{keys::SigningKey, room_version};
use pli_schema::{EventNumber, Position, RoomNumber, StateKeyNumber, StateRoot};
use pli_store::{Store, state_tree::StateTree};
use ruma::{OwnedRoomId, OwnedRoomOrAliasId, OwnedServerName, RoomVersionId, ServerName, UserId};

pub use self::{
    administration::{ClosedRoom, RoomOverview},
    creation::{CREATE_INVITES_MAX, CreateRoom, InitialState, Preset},
    directory::{PublicRoomsPage, PublicRoomsQuery},
    draft::{Appended, Draft, Origin},
    hierarchy::{
        Elsewhere, HierarchyPage, HierarchyQuery, HierarchyRoom, RemoteChild, RemoteSpace,
        ServerHierarchy,
    },
    incoming::{Missing, Snapshot, Verdict},
    membership::Change,
    mutual::MutualRooms,
    networks::Network,
    past::Gap,
    profiles::Profile,
    remote::{HandOver, Outside, Step, TOLD_TO_STRANGERS, Template, Told},
    residents::Residents,
    retention::Retention,
    room::Room,
    send::{NewMessage, NewState, Sending},
    sticky::StickyEvent,
    stored_event::StoredEvent,
    summary::{Description, RoomSummary},
    upgrade::Upgrade,
};
pub(crate) use self::{
    cache::Cache as ByteCache,
    incoming::order::{Absent, in_order},
    members::membership_of,
};
use self::{cache::Cache, lanes::Lanes, server_acl::ServerAcl};
use crate::{Appservices, Clock, Error, Numbers, Random, Result, policy::lists::PolicyList};

/// What can be set about rooms.
#[derive(Clone, Debug)]
pub struct RoomSettings {
    /// The version of a new room when the client asks for none.
    pub default_version: RoomVersionId,
    /// Events kept in memory, in bytes of their JSON.
    pub event_cache_bytes: usize,
    /// Senders that may wait for one room at the same time; more are told to come back.
    pub lane_waiting_max: usize,
    /// Everyone may create rooms; else only admins of the server.
    pub creation_open: bool,
    /// Whether the rules of [`crate::policy::rooms`] apply.
    pub tchap_room_rules: bool,
    /// Accounts end unless they are renewed: one that has ended only reads.
    pub accounts_expire: bool,
    /// Whether the rules of [`crate::policy::externals`] apply.
    pub external_rules: bool,
    /// Whether [`crate::policy::last_admin`] finds a successor for the last admin of a room.
    pub last_admin_rule: bool,
    /// The rooms whose policy lists the server follows.
    pub policy_rooms: Vec<OwnedRoomOrAliasId>,
    /// In rooms too, people whose name comes from their e-mail address have that name only.
    pub display_names_locked: bool,
    /// The application services.
    pub appservices: Appservices,
}

impl Default for RoomSettings {
    fn default() -> Self {
        Self {
            default_version: RoomVersionId::V12,
            event_cache_bytes: 64 * 1024 * 1024,
            lane_waiting_max: 1_024,
            creation_open: true,
            tchap_room_rules: false,
            accounts_expire: false,
            external_rules: false,
            last_admin_rule: false,
            policy_rooms: Vec::new(),
            display_names_locked: false,
            appservices: Appservices::default(),
        }
    }
}

/// The room versions that this server speaks, oldest first, each with its stability as in the
/// `m.room_versions` capability.
pub fn room_versions() -> impl Iterator<Item = (String, &'static str)> {
    room_version::SUPPORTED.iter().filter_map(|version| {
        room_version::stability(version).map(|stability| (version.to_string(), stability))
    })
}

/// What [`Rooms`] is made of.
#[derive(Clone, Debug)]
pub struct RoomsParts {
    /// The store.
    pub store: Store,
    /// The numbers of that store.
    pub numbers: Numbers,
    /// The clock.
    pub clock: Clock,
    /// The random generator.
    pub random: Random,
    /// The key with which this server signs events.
    pub signing_key: Arc<SigningKey>,
    /// This server's name.
    pub server_name: OwnedServerName,
    /// The settings.
    pub settings: RoomSettings,
}

/// All rooms that this server knows. Clones share everything.
#[derive(Clone, Debug)]
pub struct Rooms {
    parts: Arc<RoomsParts>,
    tree: StateTree,
    lanes: Lanes,
    caches: Caches,
}

/// Weights: events weigh the bytes of their JSON plus [`lookup::EVENT_OVERHEAD_BYTES`], the others one
/// each.
#[derive(Clone, Debug)]
struct Caches {
    events: Cache<EventNumber, Arc<StoredEvent>>,
    rooms: Cache<RoomNumber, Arc<Room>>,
    room_numbers: Cache<OwnedRoomId, RoomNumber>,
    state_types: Cache<String, u64>,
    state_keys: Cache<(u64, String), StateKeyNumber>,
    /// By the root of the state and the count of redactions.
    descriptions: Cache<(StateRoot, u64), Arc<Description>>,
    policy_lists: Cache<(StateRoot, u64), Arc<PolicyList>>,
    redactions: Arc<AtomicU64>,
    /// By room, the state of which they are.
    residents: Cache<RoomNumber, (StateRoot, Arc<Residents>)>,
    /// By the event and the count of redactions.
    server_acls: Cache<(EventNumber, u64), Arc<ServerAcl>>,
    /// Starts of stays by the member event that is the newest of the stay.
    stays: Cache<EventNumber, Position>,
}

impl Caches {
    /// Counts the redactions of state events: what was derived from a state before one is not looked
    /// at after it.
    fn redactions(&self) -> u64 {
        self.redactions.load(Ordering::Acquire)
    }
}

/// Rooms kept in memory (about 200 bytes each).
const ROOMS_CACHED: usize = 50_000;
/// State keys kept in memory (about 150 bytes each).
const STATE_KEYS_CACHED: usize = 200_000;
/// Descriptions of rooms kept in memory (about 500 bytes each).
const DESCRIPTIONS_CACHED: usize = 20_000;
/// Policy lists kept in memory.
const POLICY_LISTS_CACHED: usize = 20;
/// Servers in rooms kept in memory (about 60 bytes each).
const RESIDENTS_CACHED: usize = 200_000;
/// Patterns of access lists of servers kept in memory.
const SERVER_ACLS_CACHED: usize = 100_000;
/// Starts of stays kept in memory (about 50 bytes each).
const STAYS_CACHED: usize = 100_000;

impl Rooms {
    /// The rooms of a store.
    #[must_use]
    pub fn new(parts: RoomsParts) -> Self {
        let caches = Caches {
            events: Cache::new(parts.settings.event_cache_bytes),
            rooms: Cache::new(ROOMS_CACHED),
            room_numbers: Cache::new(ROOMS_CACHED),
            state_types: Cache::new(STATE_KEYS_CACHED),
            state_keys: Cache::new(STATE_KEYS_CACHED),
            descriptions: Cache::new(DESCRIPTIONS_CACHED),
            policy_lists: Cache::new(POLICY_LISTS_CACHED),
            redactions: Arc::default(),
            residents: Cache::new(RESIDENTS_CACHED),
            server_acls: Cache::new(SERVER_ACLS_CACHED),
            stays: Cache::new(STAYS_CACHED),
        };
        Self {
            tree: StateTree::new(parts.store.clone()),
            lanes: Lanes::new(parts.settings.lane_waiting_max),
            caches,
            parts: Arc::new(parts),
        }
    }

    /// The rooms of a store with a new signing key and the default settings: for tests.
    ///
    /// # Errors
    /// [`Error::Bug`] if no key can be made.
    pub fn for_tests(store: Store, clock: Clock, server_name: OwnedServerName) -> Result<Self> {
        let signing_key =
            SigningKey::generate("test").map_err(|error| Error::bug(error.to_string()))?;
        Ok(Self::new(RoomsParts {
            numbers: Numbers::new(store.clone()),
            store,
            clock,
            random: Random::from_os(),
            signing_key: Arc::new(signing_key),
            server_name,
            settings: RoomSettings::default(),
        }))
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.parts.store
    }

    /// The states of the store's rooms.
    #[must_use]
    pub const fn state_tree(&self) -> &StateTree {
        &self.tree
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.parts.clock
    }

    /// This server's name.
    #[must_use]
    pub fn server_name(&self) -> &ServerName {
        &self.parts.server_name
    }

    /// The key with which this server signs events, and what else it vouches for.
    #[must_use]
    pub fn signing_key(&self) -> &SigningKey {
        &self.parts.signing_key
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &RoomSettings {
        &self.parts.settings
    }

    /// Whether the user is of this server.
    #[must_use]
    pub fn is_local(&self, user_id: &UserId) -> bool {
        user_id.server_name() == self.parts.server_name
    }
}
