//! Which member events a device knows already, so that lazy loading does not send them again and again.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hash},
    num::NonZeroUsize,
    sync::Arc,
};

use lru::LruCache;
use parking_lot::Mutex;
use pli_schema::{EventNumber, Position};

/// Member events remembered over all devices (about 40 bytes each).
const REMEMBERED_MAX: NonZeroUsize = match NonZeroUsize::new(200_000) {
    Some(max) => max,
    None => NonZeroUsize::MIN,
};

/// For each device the member events that were sent, with the token that they were sent with. A device
/// has them only when it comes back with that token or a later one: an answer may get lost.
#[derive(Clone, Debug)]
pub(super) struct SentMembers {
    sent: Arc<Mutex<LruCache<u64, Position>>>,
    hasher: Arc<RandomState>,
}

impl Default for SentMembers {
    fn default() -> Self {
        Self { sent: Arc::new(Mutex::new(LruCache::new(REMEMBERED_MAX))), hasher: Arc::default() }
    }
}

impl SentMembers {
    /// Whether the device knew the event at its token; notes that it is sent with the next one.
    pub(super) fn knows(
        &self,
        device: impl Hash,
        event: EventNumber,
        (since, now): (Option<Position>, Position),
    ) -> bool {
        let key = self.hasher.hash_one((device, event));
        let mut sent = self.sent.lock();
        let known = since.is_some_and(|since| sent.get(&key).is_some_and(|at| *at <= since));
        if !known {
            sent.put(key, now);
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use ruma::{device_id, user_id};

    use super::*;

    #[test]
    fn a_lost_answer_does_not_count() {
        let sent = SentMembers::default();
        let device = (user_id!("@a:b"), device_id!("D"));
        let event = EventNumber(1);
        assert!(!sent.knows(device, event, (None, Position(5))));
        assert!(!sent.knows(device, event, (Some(Position(4)), Position(6))));
        assert!(sent.knows(device, event, (Some(Position(6)), Position(7))));
        assert!(!sent.knows(device, event, (None, Position(8))));
        assert!(!sent.knows((device.0, device_id!("E")), event, (Some(Position(9)), Position(9))));
    }
}
