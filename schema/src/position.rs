//! Positions: the numbers of commits in the one ordered log.

use serde::{Deserialize, Serialize};

/// The position of a commit in the log. It only grows; `0` is before the first commit.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    /// Before the first commit.
    pub const ZERO: Self = Self(0);
    /// After every commit.
    pub const MAX: Self = Self(u64::MAX);

    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A position inside a key: known, or "the position of the commit that writes this key", which the
/// committer fills in. That orders streams without a lock around their writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stamp {
    /// A known position.
    At(Position),
    /// The position of the commit that carries this key. Only valid in keys that are put.
    Commit,
}

impl Stamp {
    /// The known position; `None` while the commit has not happened.
    #[must_use]
    pub const fn position(self) -> Option<Position> {
        match self {
            Self::At(position) => Some(position),
            Self::Commit => None,
        }
    }
}

impl From<Position> for Stamp {
    fn from(position: Position) -> Self {
        Self::At(position)
    }
}
