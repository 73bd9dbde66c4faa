//! The time, as a parameter.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use ruma::{MilliSecondsSinceUnixEpoch, UInt};

/// Milliseconds since 1970-01-01 UTC.
pub type MilliSeconds = u64;

/// Where the time comes from. Clones share it.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System(SystemClock),
    /// A clock that tests move.
    Test(TestClock),
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// A clock that stands still until a test moves it.
#[derive(Clone, Debug)]
pub struct TestClock(Arc<AtomicU64>);

impl TestClock {
    /// A clock that stands at `now_ms`.
    #[must_use]
    pub fn new(now_ms: MilliSeconds) -> Self {
        Self(Arc::new(AtomicU64::new(now_ms)))
    }

    /// Moves the clock forward.
    pub fn advance_ms(&self, by_ms: u64) {
        self.0.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self::System(SystemClock)
    }

    /// The time now.
    #[must_use]
    pub fn now_ms(&self) -> MilliSeconds {
        match self {
            Self::System(SystemClock) => system_now_ms(),
            Self::Test(clock) => clock.0.load(Ordering::SeqCst),
        }
    }

    /// The time now, as Matrix writes it.
    #[must_use]
    pub fn now(&self) -> MilliSecondsSinceUnixEpoch {
        MilliSecondsSinceUnixEpoch(UInt::new_saturating(self.now_ms()))
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
fn system_now_ms() -> MilliSeconds {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
