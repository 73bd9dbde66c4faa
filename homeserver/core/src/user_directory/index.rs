//! The names of this server's users in memory, kept up by the feed of commits.

use std::collections::{BTreeMap, BTreeSet};

use pli_schema::{
    Topic,
    records::accounts::{AccountKey, AccountKind, AccountRecord, ProfileKey},
};
use pli_store::{Committed, Scan, Store};
use ruma::{OwnedServerName, OwnedUserId, ServerName, UserId};
use tokio::sync::broadcast::{Receiver, error::TryRecvError};

use super::fold::fold;
use crate::Result;

/// Users in the index, at most (about 150 bytes each).
const USERS_MAX: usize = 2_000_000;
/// Users whose changes are noted one by one; more and all are read again.
const CHANGED_MAX: usize = 50_000;
/// Users of one name in the answer to one search, before it is looked at who may be seen.
const FOUND_MAX: usize = 20_000;

/// The names. Made when the first search comes.
#[derive(Debug)]
pub(super) struct Index {
    server_name: OwnedServerName,
    /// Folded display names of those who can be found; empty where there is none.
    names: BTreeMap<OwnedUserId, Box<str>>,
    changed: BTreeSet<OwnedUserId>,
    feed: Receiver<Committed>,
    /// Commits were missed: everything must be read again.
    stale: bool,
}

impl Index {
    /// Reads every account and its display name.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn load(store: &Store, server_name: &ServerName) -> Result<Self> {
        // Subscribe first, then read: what changes in between is read again.
        let feed = store.subscribe();
        let mut names = BTreeMap::new();
        for row in store.scan(&Scan::<AccountKey>::prefix(())).await? {
            if can_be_found(&row.record) && names.len() < USERS_MAX {
                names.insert(row.key.user_id, Box::<str>::default());
            }
        }
        for row in store.scan(&Scan::<ProfileKey>::prefix(())).await? {
            if row.key.field == "displayname"
                && let Some(name) = names.get_mut(&row.key.user_id)
            {
                *name = folded(&row.record.json);
            }
        }
        let server_name = server_name.to_owned();
        Ok(Self { server_name, names, changed: BTreeSet::new(), feed, stale: false })
    }

    /// Takes note of the commits since the last time.
    pub(super) fn drain(&mut self) {
        loop {
            let topics = match self.feed.try_recv() {
                Ok(commit) => commit.topics,
                Err(TryRecvError::Lagged(_)) => {
                    self.stale = true;
                    continue;
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            };
            for topic in topics.iter() {
                if let Topic::User(user_id) = topic
                    && user_id.server_name() == self.server_name
                {
                    self.changed.insert(user_id.clone());
                }
            }
            if self.changed.len() > CHANGED_MAX {
                self.changed.clear();
                self.stale = true;
            }
        }
    }

    /// Whether it must be loaded again.
    pub(super) const fn is_stale(&self) -> bool {
        self.stale
    }

    /// Reads those who have changed again.
    ///
    /// # Errors
    /// Those of the store; nothing is forgotten then.
    pub(super) async fn refresh(&mut self, store: &Store) -> Result<()> {
        while let Some(user_id) = self.changed.first().cloned() {
            let account = store.get(&AccountKey { user_id: user_id.clone() }).await?;
            if account.is_some_and(|account| can_be_found(&account)) {
                let key = ProfileKey { user_id: user_id.clone(), field: "displayname".to_owned() };
                let name = store.get(&key).await?.map(|record| folded(&record.json));
                if self.names.len() < USERS_MAX || self.names.contains_key(&user_id) {
                    self.names.insert(user_id.clone(), name.unwrap_or_default());
                }
            } else {
                self.names.remove(&user_id);
            }
            self.changed.remove(&user_id);
        }
        Ok(())
    }

    /// The users of whom each word of the term is in the name or the id: the nearest first.
    pub(super) fn find(&self, term: &str) -> Vec<OwnedUserId> {
        let term = fold(term.trim());
        let term = term.strip_prefix('@').unwrap_or(&term);
        let words: Vec<&str> = term.split_whitespace().collect();
        if words.is_empty() {
            return Vec::new();
        }
        let mut found: Vec<(Nearness, &str, &OwnedUserId)> = self
            .names
            .iter()
            .filter_map(|(user_id, name)| {
                let nearness = nearness(term, &words, name, user_id)?;
                Some((nearness, &**name, user_id))
            })
            .take(FOUND_MAX)
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, _, user_id)| user_id.clone()).collect()
    }
}

/// How near somebody is to what is searched for; the nearest is the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    Equal,
    BeginsSo,
    WordsBeginSo,
    Contains,
}

fn nearness(term: &str, words: &[&str], name: &str, user_id: &UserId) -> Option<Nearness> {
    let id = user_id.as_str().strip_prefix('@').unwrap_or_default();
    let local = user_id.localpart();
    if !words.iter().all(|word| name.contains(word) || id.contains(word)) {
        return None;
    }
    if name == term || local == term || id == term {
        return Some(Nearness::Equal);
    }
    if name.starts_with(term) || local.starts_with(term) {
        return Some(Nearness::BeginsSo);
    }
    let begins = |word: &&str| {
        let apart = |c: char| !c.is_alphanumeric();
        name.split(apart).chain(local.split(apart)).any(|part| part.starts_with(*word))
    };
    if words.iter().all(begins) {
        return Some(Nearness::WordsBeginSo);
    }
    Some(Nearness::Contains)
}

fn can_be_found(account: &AccountRecord) -> bool {
    !account.deactivated && !account.locked && account.kind != AccountKind::MatrixGuest
}

/// A display name as it is stored, folded.
fn folded(json: &str) -> Box<str> {
    let name: Option<String> = serde_json::from_str(json).ok();
    fold(&name.unwrap_or_default()).into()
}
