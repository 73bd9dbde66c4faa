//! 64-bit numbers that stand for long identifiers, so that indexes stay small.

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $crate::KeyPart for $name {
            fn write(&self, w: &mut $crate::KeyWriter) {
                w.u64(self.0);
            }
            fn read(r: &mut $crate::KeyReader<'_>) -> Result<Self, $crate::KeyError> {
                Ok(Self(r.u64()?))
            }
        }
    };
}

number!(
    /// A room this server knows.
    RoomNumber
);
number!(
    /// An event this server has stored, of any room.
    EventNumber
);
number!(
    /// A pair of event type and state key. The number of the type is in the upper 24 bits, so that all
    /// state keys of one type are neighbours in a state tree.
    StateKeyNumber
);

impl StateKeyNumber {
    /// Bits that number the state keys of one type.
    pub const KEY_BITS: u32 = 40;

    /// The number for a type's number (24 bits) and a state key's number (40 bits).
    #[must_use]
    pub const fn new(type_number: u64, key_number: u64) -> Self {
        Self((type_number << Self::KEY_BITS) | (key_number & ((1 << Self::KEY_BITS) - 1)))
    }

    /// The number of the event type.
    #[must_use]
    pub const fn type_number(self) -> u64 {
        self.0 >> Self::KEY_BITS
    }
}

/// The state of a room at some event: the hash of the root node of an immutable tree. Equal states have
/// equal roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StateRoot(pub [u8; 16]);

impl StateRoot {
    /// The state without entries.
    pub const EMPTY: Self = Self([0; 16]);
}
