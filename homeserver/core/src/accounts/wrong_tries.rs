//! Counts wrong tries per subject and makes those wait who try too often.

use std::collections::HashMap;

use parking_lot::Mutex;
use pli_schema::{account_settings::WrongPasswordSettings, records::accounts::SecretHash};

use crate::{Clock, Error, MilliSeconds, Result};

/// Subjects kept, at most. When there are more, those whose window is over go, then the half with the
/// fewest tries: nobody frees a subject that must wait by trying a hundred thousand others once.
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
    until_ms: MilliSeconds,
    count: u32,
}

impl WrongTries {
    /// Counts with these settings; without any, nobody ever waits.
    pub fn new(clock: Clock, settings: Option<&WrongPasswordSettings>) -> Self {
        let of = settings.cloned().unwrap_or_default();
        Self {
            clock,
            limit: of.tries.max(1),
            window_ms: of.window_s.saturating_mul(1_000),
            enabled: settings.is_some(),
            tries: Mutex::default(),
        }
    }

    /// Refuses a subject with too many wrong tries.
    pub fn check(&self, subject: &SecretHash) -> Result<()> {
        self.check_limit(subject, self.limit)
    }

    /// Counts a use of something that may be used `limit` times per `window_ms`, or refuses it.
    pub fn spend(&self, subject: SecretHash, limit: u32, window_ms: u64) -> Result<()> {
        self.check_limit(&subject, limit)?;
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

    fn check_limit(&self, subject: &SecretHash, limit: u32) -> Result<()> {
        let now_ms = self.clock.now_ms();
        match self.tries.lock().get(subject) {
            Some(window) if self.enabled && window.count >= limit => {
                let retry_after_ms = window.until_ms.saturating_sub(now_ms);
                if retry_after_ms > 0 {
                    return Err(Error::LimitExceeded { retry_after_ms });
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn count(&self, subject: SecretHash, window_ms: u64) {
        let now_ms = self.clock.now_ms();
        let mut tries = self.tries.lock();
        if tries.len() >= SUBJECTS && !tries.contains_key(&subject) {
            make_room(&mut tries, now_ms);
        }
        let fresh =
            Window { since_ms: now_ms, until_ms: now_ms.saturating_add(window_ms), count: 0 };
        let window = tries.entry(subject).or_insert(fresh);
        if window.until_ms <= now_ms {
            *window = fresh;
        }
        window.count = window.count.saturating_add(1);
    }
}

fn make_room(tries: &mut HashMap<SecretHash, Window>, now_ms: MilliSeconds) {
    tries.retain(|_, window| window.until_ms > now_ms);
    if tries.len() < SUBJECTS {
        return;
    }
    let mut order: Vec<(u32, MilliSeconds)> =
        tries.values().map(|window| (window.count, window.since_ms)).collect();
    order.sort_unstable();
    let middle = order.get(order.len() / 2).copied().unwrap_or_default();
    let mut left = order.len() / 2;
    tries.retain(|_, window| {
        let goes = left > 0 && (window.count, window.since_ms) <= middle;
        left = left.saturating_sub(usize::from(goes));
        !goes
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TestClock;

    #[test]
    fn too_many_wrong_tries_wait_and_a_right_one_forgives() {
        let clock = TestClock::new(1_000);
        let settings = WrongPasswordSettings { tries: 3, ..WrongPasswordSettings::default() };
        let tries = WrongTries::new(Clock::Test(clock.clone()), Some(&settings));
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

    #[test]
    fn a_crowd_of_others_does_not_free_who_must_wait() {
        let clock = TestClock::new(1_000);
        let settings = WrongPasswordSettings::default();
        let tries = WrongTries::new(Clock::Test(clock), Some(&settings));
        for _ in 0..10 {
            tries.wrong([255; 32]);
        }
        for n in 0..250_000_u32 {
            let mut subject = [0; 32];
            subject[..4].copy_from_slice(&n.to_be_bytes());
            tries.wrong(subject);
        }
        assert!(tries.check(&[255; 32]).is_err());
        assert!(tries.tries.lock().len() <= SUBJECTS);
    }
}
