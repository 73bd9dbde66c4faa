//! The tokens that clients hold: opaque to them, positions of the log to us. They stay valid across
//! restarts, and as positions are the same on every process, a client may move between processes.

use pli_schema::Position;

use crate::{Error, Result};

/// `next_batch` of a sync: everything up to a position has been seen.
///
/// Written `s1_POSITION_INBOX_TYPING_PRESENCE`, older ones without the last part; `1` is the layout, so that a log in several shards can put
/// several positions there later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncToken {
    /// The newest commit that was seen.
    pub position: Position,
    /// How much of the device's inbox was seen: less than the rest, if much waited there.
    pub inbox: Position,
    /// The newest change of typing that was seen (a counter in memory, see the typing module).
    pub typing: u64,
    /// The newest change of presence that was seen (a counter in memory); 0: none.
    pub presence: u64,
}

impl SyncToken {
    /// Reads a token.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] if it is not one of ours.
    pub fn parse(token: &str) -> Result<Self> {
        let read = || {
            let (position, rest) = token.strip_prefix("s1_")?.split_once('_')?;
            let (inbox, rest) = rest.split_once('_')?;
            let (typing, presence) = rest.split_once('_').unwrap_or((rest, "0"));
            Some(Self {
                position: Position(number(position)?),
                inbox: Position(number(inbox)?),
                typing: number(typing)?,
                presence: number(presence)?,
            })
        };
        read().ok_or_else(|| Error::invalid_param("Malformed `since` token"))
    }
}

impl std::fmt::Display for SyncToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s1_{}_{}_{}_{}", self.position, self.inbox, self.typing, self.presence)
    }
}

/// A place between two events of a room's timeline: before the event at `index` among those of the
/// commit at `position`, and after everything older. Written `t1_POSITION_INDEX`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Boundary {
    /// The commit.
    pub position: Position,
    /// The index in it.
    pub index: u32,
}

impl Boundary {
    /// Before every event.
    pub const START: Self = Self { position: Position::ZERO, index: 0 };

    /// After all events of the commits up to this one.
    #[must_use]
    pub const fn after_commit(position: Position) -> Self {
        Self { position: position.next(), index: 0 }
    }

    /// After an event.
    #[must_use]
    pub const fn after(position: Position, index: u32) -> Self {
        Self { position, index: index.saturating_add(1) }
    }

    /// Reads a token of a timeline; the tokens of syncs are some, too: the place after what was seen.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] if it is not one of ours.
    pub fn parse(token: &str) -> Result<Self> {
        if token.starts_with('s') {
            return SyncToken::parse(token).map(|token| Self::after_commit(token.position));
        }
        if token.starts_with('p') {
            return sliding_position(token).map(Self::after_commit);
        }
        let read = || {
            let (position, index) = token.strip_prefix("t1_")?.split_once('_')?;
            let index = u32::try_from(number(index)?).ok()?;
            Some(Self { position: Position(number(position)?), index })
        };
        read().ok_or_else(|| Error::invalid_param("Malformed pagination token"))
    }
}

impl std::fmt::Display for Boundary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "t1_{}_{}", self.position, self.index)
    }
}

/// The position in the token of a sliding sync: `p1_TAG_SESSION_SERIAL_POSITION_TYPING`.
///
/// # Errors
/// [`Error::InvalidParam`] if it is not one of ours.
pub fn sliding_position(token: &str) -> Result<Position> {
    let mut parts = token.strip_prefix("p1_").unwrap_or_default().split('_');
    let position = parts.nth(3).and_then(number).map(Position);
    let whole = parts.next().and_then(number).is_some() && parts.next().is_none();
    position.filter(|_| whole).ok_or_else(|| Error::invalid_param("Malformed `pos` token"))
}

/// Decimal digits only: no sign, no space.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tokens_come_back(position: u64, inbox: u64, typing: u64, presence: u64, index: u32) {
            let token =
                SyncToken { position: Position(position), inbox: Position(inbox), typing, presence };
            prop_assert_eq!(SyncToken::parse(&token.to_string()).unwrap(), token);
            let boundary = Boundary { position: Position(position), index };
            prop_assert_eq!(Boundary::parse(&boundary.to_string()).unwrap(), boundary);
        }

        #[test]
        fn any_text_is_a_token_or_a_clear_error(text: String) {
            let text = &text;
            for text in [text.clone(), format!("s1_{text}"), format!("t1_{text}_0")] {
                let sync = SyncToken::parse(&text);
                prop_assert!(matches!(sync, Ok(_) | Err(Error::InvalidParam(_))));
                let boundary = Boundary::parse(&text);
                prop_assert!(matches!(boundary, Ok(_) | Err(Error::InvalidParam(_))));
            }
        }
    }

    #[test]
    fn malformed_tokens_are_refused() {
        for token in [
            "",
            "s",
            "s1_",
            "s1_1",
            "s1_+1_0",
            "s1_1_-2",
            "s2_1_1",
            "s1_1_1_1_x",
            "s1_1_1_1_1_1",
            "s1_99999999999999999999_0",
            "t1_1",
            "1",
        ] {
            assert!(SyncToken::parse(token).is_err(), "{token}");
            assert!(Boundary::parse(token).is_err(), "{token}");
        }
        let sync = SyncToken { position: Position(7), inbox: Position(5), typing: 3, presence: 0 };
        assert_eq!(
            Boundary::parse(&sync.to_string()).unwrap(),
            Boundary { position: Position(8), index: 0 }
        );
    }
}
