//! Who the tokens seen lately stand for, so that an ordinary request costs no read of the store.

use std::num::NonZeroUsize;

use lru::LruCache;
use parking_lot::Mutex;
use pli_schema::records::accounts::SecretHash;

use super::Authenticated;
use crate::MilliSeconds;

/// Tokens kept, at most (about 300 bytes each).
const TOKENS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(65_535);

#[derive(Debug)]
struct Known {
    who: Authenticated,
    expires_at_ms: Option<MilliSeconds>,
}

#[derive(Debug)]
struct State {
    known: LruCache<SecretHash, Known>,
    generation: u64,
}

/// The cache. What was read before an invalidation is not kept after it.
#[derive(Debug)]
pub(super) struct TokenCache(Mutex<State>);

impl Default for TokenCache {
    fn default() -> Self {
        Self(Mutex::new(State { known: LruCache::new(TOKENS), generation: 0 }))
    }
}

impl TokenCache {
    /// Who a token stands for, if it is known and has not expired.
    pub fn get(&self, hash: &SecretHash, now_ms: MilliSeconds) -> Option<Authenticated> {
        let mut state = self.0.lock();
        let known = state.known.get(hash)?;
        if known.expires_at_ms.is_some_and(|at| at <= now_ms) {
            return None;
        }
        Some(known.who.clone())
    }

    /// To be read before the store and given back to [`Self::put`].
    pub fn generation(&self) -> u64 {
        self.0.lock().generation
    }

    /// Keeps what was read from the store, unless something was invalidated since.
    pub fn put(
        &self,
        generation: u64,
        hash: SecretHash,
        who: Authenticated,
        expires_at_ms: Option<MilliSeconds>,
    ) {
        let mut state = self.0.lock();
        if state.generation == generation {
            state.known.put(hash, Known { who, expires_at_ms });
        }
    }

    /// Forgets tokens. Called once the change is durable.
    pub fn forget<'a>(&self, hashes: impl IntoIterator<Item = &'a SecretHash>) {
        let mut state = self.0.lock();
        state.generation = state.generation.wrapping_add(1);
        for hash in hashes {
            state.known.pop(hash);
        }
    }
}
