//! The user directory: who can be found by name.
//!
//! Names are searched in memory, in an index that follows the log ([`Index`]); who may be seen is
//! looked at for those who were found, in the order of their nearness, until the page is full. Users of
//! other servers are not in it.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#user-directory>.

mod fold;
mod index;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use pli_schema::{
    RoomNumber,
    account_settings::DirectoryScope,
    records::accounts::{AccountKey, AccountKind},
};
use ruma::{OwnedUserId, UserId};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use self::index::Index;
use crate::{Result, Rooms, rooms::Profile};

/// Users on one page, at most.
const PAGE_MAX: usize = 100;
/// Users of whom it is looked at whether they may be seen, for one page.
const LOOKED_AT_MAX: usize = 2_000;
/// How often the feed of commits is emptied while nobody searches.
const DRAIN_EVERY: Duration = Duration::from_secs(2);

/// A user who was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundUser {
    /// The user.
    pub user_id: OwnedUserId,
    /// Display name and avatar.
    pub profile: Profile,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundUsers {
    /// The nearest first.
    pub users: Vec<FoundUser>,
    /// There are more.
    pub limited: bool,
}

/// The user directory. Clones share it.
#[derive(Clone, Debug)]
pub struct UserDirectory {
    rooms: Rooms,
    scope: DirectoryScope,
    index: Arc<Mutex<Option<Index>>>,
}

impl UserDirectory {
    /// The directory of a server.
    #[must_use]
    pub fn new(rooms: Rooms, scope: DirectoryScope) -> Self {
        Self { rooms, scope, index: Arc::default() }
    }

    /// Keeps up with the log until `stop`, so that a search after a quiet time has little to read.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(DRAIN_EVERY) => {}
            }
            if let Some(index) = &mut *self.index.lock().await {
                index.drain();
            }
        }
    }

    /// Searches users by display name and id, without regard to case and accents.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn search(&self, asker: &UserId, term: &str, limit: usize) -> Result<FoundUsers> {
        let limit = limit.min(PAGE_MAX);
        let found = self.find(term).await?;
        let mut sight = self.sight(asker).await?;
        let mut page = FoundUsers { limited: found.len() > LOOKED_AT_MAX, ..FoundUsers::default() };
        for user_id in found.into_iter().take(LOOKED_AT_MAX) {
            if !sight.reaches(&user_id).await? {
                continue;
            }
            if page.users.len() >= limit {
                page.limited = true;
                break;
            }
            let profile = self.rooms.profile(&user_id).await?;
            page.users.push(FoundUser { user_id, profile });
        }
        Ok(page)
    }

    async fn find(&self, term: &str) -> Result<Vec<OwnedUserId>> {
        let store = self.rooms.store();
        let mut slot = self.index.lock().await;
        if let Some(index) = &mut *slot {
            index.drain();
        }
        let mut index = match slot.take() {
            Some(index) if !index.is_stale() => index,
            _ => Index::load(store, self.rooms.server_name()).await?,
        };
        let refreshed = index.refresh(store).await;
        let found = index.find(term);
        *slot = Some(index);
        refreshed.map(|()| found)
    }

    async fn sight(&self, asker: &UserId) -> Result<Sight> {
        let account = self.rooms.store().get(&AccountKey { user_id: asker.to_owned() }).await?;
        let is_agent = account.is_some_and(|account| account.kind == AccountKind::Agent);
        let joined = self.rooms.joined_rooms(asker).await?.into_iter().collect();
        Ok(Sight {
            rooms: self.rooms.clone(),
            asker: asker.to_owned(),
            everyone: is_agent && self.scope == DirectoryScope::All,
            public: is_agent,
            joined,
            open: HashMap::new(),
        })
    }
}

/// Whom somebody may see.
struct Sight {
    rooms: Rooms,
    asker: OwnedUserId,
    /// Every user of this server.
    everyone: bool,
    /// Also the members of rooms that are open to everyone. External people see only those with whom
    /// they share a room.
    public: bool,
    joined: HashSet<RoomNumber>,
    /// Rooms that were looked at: whether they are open.
    open: HashMap<RoomNumber, bool>,
}

impl Sight {
    async fn reaches(&mut self, user_id: &UserId) -> Result<bool> {
        if self.everyone {
            return Ok(true);
        }
        let rooms = self.rooms.joined_rooms(user_id).await?;
        if user_id != self.asker && rooms.iter().any(|room| self.joined.contains(room)) {
            return Ok(true);
        }
        if !self.public {
            return Ok(false);
        }
        for room in rooms {
            if self.is_open(room).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a room is public or world-readable.
    async fn is_open(&mut self, room: RoomNumber) -> Result<bool> {
        if let Some(open) = self.open.get(&room) {
            return Ok(*open);
        }
        let rules: Option<Value> = self.rooms.current_content(room, "m.room.join_rules").await?;
        let rule = rules.as_ref().and_then(|content| content.get("join_rule"));
        let open = rule.and_then(Value::as_str) == Some("public")
            || self.rooms.is_world_readable(room).await?;
        self.open.insert(room, open);
        Ok(open)
    }
}
