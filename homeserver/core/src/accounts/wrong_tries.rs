//! Counts wrong tries per subject and makes those wait who try too often.

use std::collections::HashMap;

use parking_lot::Mutex;
use pli_schema::{account_settings::SessionSettings, records::accounts::SecretHash};

use crate::{Clock, Error, MilliSeconds, Result};

/// Subjects kept, at most; the oldest half is dropped when there are more.
const SUBJECTS: usize = 100_000;

/// Wrong tries, in memory: a restart forgives them.
#[derive(Debug)]
pub(super) struct WrongTries {
    clock: Clock,
    limit: u32,
    window_ms: u64,
    enabled: bool,
    tries: Mutex<HashMap<SecretHash, Window>>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    since_ms: MilliSeconds,
    count: u32,
}

impl WrongTries {
    pub fn new(clock: Clock, settings: &SessionSettings) -> Self {
        Self {
            clock,
            limit: settings.wrong_passwords.max(1),
            window_ms: settings.wrong_password_counts_s.saturating_mul(1_000),
            enabled: settings.limits,
            tries: Mutex::default(),
        }
    }

    /// Refuses a subject with too many wrong tries.
    pub fn check(&self, subject: &SecretHash) -> Result<()> {
        self.check_limit(subject, self.limit, self.window_ms)
    }

    /// Counts a use of something that may be used `limit` times per `window_ms`, or refuses it.
    pub fn spend(&self, subject: SecretHash, limit: u32, window_ms: u64) -> Result<()> {
        self.check_limit(&subject, limit, window_ms)?;
        self.count(subject, window_ms);
        Ok(())
    }

    /// Counts a wrong try.
    pub fn wrong(&self, subject: SecretHash) {
        self.count(subject, self.window_ms);
    }

    /// Forgives a subject after a right try.
    pub fn right(&self, subject: &SecretHash) {
        self.tries.lock().remove(subject);
    }

    fn check_limit(&self, subject: &SecretHash, limit: u32, window_ms: u64) -> Result<()> {
        let now_ms = self.clock.now_ms();
        match self.tries.lock().get(subject) {
            Some(window) if self.enabled && window.count >= limit => {
                let end_ms = window.since_ms.saturating_add(window_ms);
                if end_ms > now_ms {
                    return Err(Error::LimitExceeded {
                        retry_after_ms: end_ms.saturating_sub(now_ms),
                    });
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn count(&self, subject: SecretHash, window_ms: u64) {
        let now_ms = self.clock.now_ms();
        let mut tries = self.tries.lock();
        if tries.len() >= SUBJECTS {
            let mut starts: Vec<MilliSeconds> = tries.values().map(|w| w.since_ms).collect();
            starts.sort_unstable();
            let middle = starts.get(starts.len() / 2).copied().unwrap_or(now_ms);
            tries.retain(|_, window| window.since_ms > middle);
        }
        let window = tries.entry(subject).or_insert(Window { since_ms: now_ms, count: 0 });
        if window.since_ms.saturating_add(window_ms) <= now_ms {
            *window = Window { since_ms: now_ms, count: 0 };
        }
        window.count = window.count.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TestClock;

    #[test]
    fn too_many_wrong_tries_wait_and_a_right_one_forgives() {
        let clock = TestClock::new(1_000);
        let settings = SessionSettings { wrong_passwords: 3, ..SessionSettings::default() };
        let tries = WrongTries::new(Clock::Test(clock.clone()), &settings);
        let subject = [1; 32];
        for _ in 0..3 {
            tries.check(&subject).unwrap();
            tries.wrong(subject);
        }
        let Err(Error::LimitExceeded { retry_after_ms }) = tries.check(&subject) else {
            panic!("must wait");
        };
        assert_eq!(retry_after_ms, 300_000);
        tries.check(&[2; 32]).unwrap();
        clock.advance_ms(retry_after_ms);
        tries.check(&subject).unwrap();
        tries.wrong(subject);
        tries.right(&subject);
        for _ in 0..3 {
            tries.check(&subject).unwrap();
            tries.wrong(subject);
        }
        assert!(tries.check(&subject).is_err());
    }
}
