//! Small mailboxes in which two devices of a person meet before they know each other: for sign-in with a
//! QR code.
//!
//! MSC4108 (version of 2024) and MSC4388. What is in them is encrypted by the devices.

use std::{num::NonZeroUsize, sync::Arc};

use lru::LruCache;
use parking_lot::Mutex;

use crate::{Clock, MilliSeconds, Random};

/// Largest content, in bytes.
pub const CONTENT_BYTES: usize = 4_096;
/// How long a mailbox is there.
pub const LIFETIME_MS: u64 = 5 * 60_000;
/// Mailboxes at once: about 8 MiB at most. The oldest are removed.
const MAILBOXES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2_047);

/// A mailbox with what is in it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// Its id.
    pub id: String,
    /// What is in it.
    pub content: String,
    /// Changes with each write.
    pub sequence: String,
    /// When it was written to, in milliseconds since 1970.
    pub modified_ms: MilliSeconds,
    /// When it ends, in milliseconds since 1970.
    pub expires_at_ms: MilliSeconds,
}

/// Why a mailbox was not written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// There is none, or not any more.
    NotFound,
    /// The content is too large.
    TooLarge,
    /// Somebody else wrote before.
    Concurrent,
}

/// A mailbox, with the sequence that the newest write replaced.
#[derive(Clone, Debug)]
struct Entry {
    mailbox: Mailbox,
    before: Option<String>,
}

/// The mailboxes. Clones share them; a restart empties them.
#[derive(Clone, Debug)]
pub struct Rendezvous {
    clock: Clock,
    random: Random,
    open: Arc<Mutex<LruCache<String, Entry>>>,
}

impl Rendezvous {
    /// No mailboxes yet.
    #[must_use]
    pub fn new(clock: Clock, random: Random) -> Self {
        Self { clock, random, open: Arc::new(Mutex::new(LruCache::new(MAILBOXES))) }
    }

    /// The time, for what the api must date.
    #[must_use]
    pub fn now_ms(&self) -> MilliSeconds {
        self.clock.now_ms()
    }

    /// Makes a mailbox.
    ///
    /// # Errors
    /// [`WriteError::TooLarge`].
    pub fn create(&self, content: &str) -> Result<Mailbox, WriteError> {
        if content.len() > CONTENT_BYTES {
            return Err(WriteError::TooLarge);
        }
        let now_ms = self.clock.now_ms();
        let mailbox = Mailbox {
            id: self.random.letters(32),
            content: content.to_owned(),
            sequence: self.random.letters(24),
            modified_ms: now_ms,
            expires_at_ms: now_ms.saturating_add(LIFETIME_MS),
        };
        let entry = Entry { mailbox: mailbox.clone(), before: None };
        self.open.lock().put(mailbox.id.clone(), entry);
        Ok(mailbox)
    }

    /// What is in a mailbox.
    #[must_use]
    pub fn read(&self, id: &str) -> Option<Mailbox> {
        let mut open = self.open.lock();
        let mailbox = &open.peek(id)?.mailbox;
        if mailbox.expires_at_ms > self.clock.now_ms() {
            return Some(mailbox.clone());
        }
        open.pop(id);
        None
    }

    /// Writes to a mailbox whose content has not changed since `sequence`. The same write again (its
    /// answer was lost) is answered again.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn write(&self, id: &str, sequence: &str, content: &str) -> Result<Mailbox, WriteError> {
        if content.len() > CONTENT_BYTES {
            return Err(WriteError::TooLarge);
        }
        let mut open = self.open.lock();
        let now_ms = self.clock.now_ms();
        let entry = open.peek_mut(id).filter(|entry| entry.mailbox.expires_at_ms > now_ms);
        let entry = entry.ok_or(WriteError::NotFound)?;
        if entry.mailbox.sequence != sequence {
            let again =
                entry.before.as_deref() == Some(sequence) && entry.mailbox.content == content;
            return if again { Ok(entry.mailbox.clone()) } else { Err(WriteError::Concurrent) };
        }
        let fresh = self.random.letters(24);
        entry.before = Some(std::mem::replace(&mut entry.mailbox.sequence, fresh));
        entry.mailbox.content = content.to_owned();
        entry.mailbox.modified_ms = now_ms;
        Ok(entry.mailbox.clone())
    }

    /// Removes a mailbox; false if there was none.
    #[must_use]
    pub fn remove(&self, id: &str) -> bool {
        self.open.lock().pop(id).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TestClock;

    #[test]
    fn writes_do_not_cross_and_mailboxes_end() {
        let clock = TestClock::new(1);
        let boxes = Rendezvous::new(Clock::Test(clock.clone()), Random::seeded(1));
        let first = boxes.create("a").unwrap();
        let second = boxes.write(&first.id, &first.sequence, "b").unwrap();
        assert_ne!(first.sequence, second.sequence);
        assert_eq!(boxes.write(&first.id, &first.sequence, "c"), Err(WriteError::Concurrent));
        assert_eq!(boxes.write(&first.id, &first.sequence, "b"), Ok(second.clone()));
        assert_eq!(boxes.read(&first.id), Some(second.clone()));
        let large = "x".repeat(CONTENT_BYTES + 1);
        assert_eq!(boxes.create(&large), Err(WriteError::TooLarge));
        assert_eq!(boxes.write(&first.id, &second.sequence, &large), Err(WriteError::TooLarge));
        clock.advance_ms(LIFETIME_MS);
        assert_eq!(boxes.read(&first.id), None);
        assert_eq!(boxes.write(&first.id, &second.sequence, "d"), Err(WriteError::NotFound));
        let many: Vec<_> = (0..3_000).map(|_| boxes.create("x").unwrap().id).collect();
        assert!(boxes.read(&many[0]).is_none() && boxes.read(&many[2_999]).is_some());
        assert!(boxes.remove(&many[2_999]) && !boxes.remove(&many[2_999]));
    }
}
