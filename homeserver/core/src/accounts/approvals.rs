//! Approvals that people give on the page of their account, for what a client does next.

use std::num::NonZeroUsize;

use lru::LruCache;
use parking_lot::Mutex;
use ruma::{OwnedUserId, UserId};

use crate::{Clock, MilliSeconds};

/// Approvals kept, at most.
const APPROVALS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(16_383);
/// How long an approval holds.
const LIFETIME_MS: u64 = 10 * 60_000;

/// Who may replace their cross-signing keys without a further question. In memory: after a restart the
/// person is asked again.
#[derive(Debug)]
pub(super) struct Approvals {
    clock: Clock,
    until: Mutex<LruCache<OwnedUserId, MilliSeconds>>,
}

impl Approvals {
    pub fn new(clock: Clock) -> Self {
        Self { clock, until: Mutex::new(LruCache::new(APPROVALS)) }
    }

    pub fn give(&self, user_id: &UserId) {
        let until = self.clock.now_ms().saturating_add(LIFETIME_MS);
        self.until.lock().put(user_id.to_owned(), until);
    }

    pub fn holds(&self, user_id: &UserId) -> bool {
        self.until.lock().peek(user_id).is_some_and(|until| *until > self.clock.now_ms())
    }

    pub fn end(&self, user_id: &UserId) {
        self.until.lock().pop(user_id);
    }
}
