//! Notifications: push rules, unread counts, pushers and their gateways.
//!
//! * [`Push::rules`] and its neighbors: the push rules of a user.
//! * [`Push::unread`]: how many notifications wait in a room, counted when a client asks; sending costs
//!   nothing for members who are offline.
//! * [`Push::pushers`] and [`Push::set_pusher`]; [`Push::run`] is the background work that finds in the
//!   log what is to be pushed and hands it to the gateways. It never holds up a send.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#push-notifications>

mod deliver;
mod evaluate;
mod notifications;
mod pushers;
mod queue;
mod rules;
mod unread;

use std::{num::NonZeroUsize, sync::Arc};

use lru::LruCache;
use parking_lot::Mutex;
use pli_schema::{Position, RoomNumber};
use pli_store::Store;
use ruma::{OwnedUserId, push::Ruleset};

pub use self::{
    notifications::{Notification, Notifications},
    pushers::remove_pushers_of_device,
    rules::RulePlace,
    unread::{NotificationCounts, Unread},
};
use crate::{Clock, Random, Rooms, outgoing::Outgoing};

/// Rulesets kept in memory (a few KiB each).
const RULESETS_CACHED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);
/// Rooms of users whose unread events are kept in memory (about 200 bytes each).
const UNREAD_CACHED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(49_999);

/// Push rules, unread counts and pushers. Clones share everything.
#[derive(Clone, Debug)]
pub struct Push {
    rooms: Rooms,
    random: Random,
    outgoing: Outgoing,
    caches: Arc<Caches>,
}

/// A user's rules, with the position of the commit that wrote them (`None`: the default rules).
type KeptRuleset = (Option<Position>, Arc<Ruleset>);

#[derive(Debug)]
struct Caches {
    rulesets: Mutex<LruCache<OwnedUserId, KeptRuleset>>,
    unread: Mutex<LruCache<(OwnedUserId, RoomNumber), Arc<unread::Counted>>>,
}

impl Push {
    /// Notifications about these rooms; gateways are reached through `outgoing`.
    #[must_use]
    pub fn new(rooms: Rooms, random: Random, outgoing: Outgoing) -> Self {
        let caches = Arc::new(Caches {
            rulesets: Mutex::new(LruCache::new(RULESETS_CACHED)),
            unread: Mutex::new(LruCache::new(UNREAD_CACHED)),
        });
        Self { rooms, random, outgoing, caches }
    }

    fn store(&self) -> &Store {
        self.rooms.store()
    }

    fn clock(&self) -> &Clock {
        self.rooms.clock()
    }
}

#[cfg(test)]
mod tests;
