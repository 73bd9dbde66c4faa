//! One narrow store trait over bytes, with a typed, transactional face.
//!
//! * [`Store`] is what the core holds: typed reads, scans, optimistic transactions ([`Store::write`]),
//!   positions and a feed of commits ([`Store::subscribe`]).
//! * Below it a [`Backend`] keeps ordered bytes: [`memory`] and sled. One conformance suite runs
//!   against all of them.
//!
//! An acknowledged write is on disk: [`Store::write`] returns after the backend has flushed.

mod backend;
pub mod batch;
mod error;
pub mod memory;
mod scan;
pub mod state_tree;
mod store;
mod tx;
mod value;

pub use backend::Backend;
pub use batch::{Batch, Expectation, Op};
pub use error::StoreError;
pub use scan::{Direction, RawScan, Row, Scan};
pub use state_tree::{StateChange, StateTree};
pub use store::{Committed, Store, Stored};
pub use tx::Tx;
pub use value::{RawValue, decode_value, encode_value};
