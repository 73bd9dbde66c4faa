//! When each server was heard of last, and what went wrong with it: kept in memory, for admins.

use std::{num::NonZeroUsize, sync::Arc};

use lru::LruCache;
use parking_lot::Mutex;
use ruma::{OwnedServerName, ServerName};

use super::awaited::Awaited;
use crate::{Clock, MilliSeconds};

/// Servers of which it is known.
const KEPT_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);
/// Characters of an error that are kept.
const ERROR_MAX: usize = 300;

/// What is known of the last contacts with a server since this one was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// When a request of it with a good signature came last, in milliseconds since 1970.
    pub heard_ms: Option<MilliSeconds>,
    /// When it answered a request last, in milliseconds since 1970.
    pub answered_ms: Option<MilliSeconds>,
    /// When a request to it failed last, in milliseconds since 1970, and how.
    pub failed: Option<(MilliSeconds, String)>,
}

impl Contact {
    /// Whether the last request to it failed.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failed.as_ref().is_some_and(|(at, _)| self.answered_ms.is_none_or(|ok| ok < *at))
    }
}

/// The last contacts with other servers. Clones share them.
#[derive(Clone, Debug)]
pub struct Contacts {
    clock: Clock,
    awaited: Awaited,
    kept: Arc<Mutex<LruCache<OwnedServerName, Contact>>>,
}

impl Contacts {
    pub(super) fn new(clock: Clock) -> Self {
        let kept = Arc::new(Mutex::new(LruCache::new(KEPT_MAX)));
        Self { clock, awaited: Awaited::default(), kept }
    }

    /// A request of a server came and its signature was right.
    pub fn heard(&self, server: &ServerName) {
        self.note(server, |contact, now_ms| contact.heard_ms = Some(now_ms));
        self.awaited.is_back(server);
    }

    /// The servers that somebody waits for.
    #[must_use]
    pub const fn awaited(&self) -> &Awaited {
        &self.awaited
    }

    /// A server answered.
    pub fn answered(&self, server: &ServerName) {
        self.note(server, |contact, now_ms| contact.answered_ms = Some(now_ms));
    }

    /// A request to a server failed.
    pub fn failed(&self, server: &ServerName, error: &dyn std::fmt::Display) {
        let error: String = error.to_string().chars().take(ERROR_MAX).collect();
        self.note(server, |contact, now_ms| contact.failed = Some((now_ms, error)));
    }

    fn note(&self, server: &ServerName, change: impl FnOnce(&mut Contact, MilliSeconds)) {
        let now_ms = self.clock.now_ms();
        let mut kept = self.kept.lock();
        if let Some(contact) = kept.get_mut(server) {
            return change(contact, now_ms);
        }
        let mut contact = Contact::default();
        change(&mut contact, now_ms);
        kept.put(server.to_owned(), contact);
    }

    /// What is known of a server.
    #[must_use]
    pub fn of(&self, server: &ServerName) -> Contact {
        self.kept.lock().peek(server).cloned().unwrap_or_default()
    }

    /// The servers that were heard of lately, the last one first.
    #[must_use]
    pub fn lately(&self, limit: usize) -> Vec<(OwnedServerName, Contact)> {
        let kept = self.kept.lock();
        kept.iter().take(limit).map(|(server, it)| (server.clone(), it.clone())).collect()
    }
}
