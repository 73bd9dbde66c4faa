//! One narrow store trait over bytes, with a typed, transactional face.
//!
//! * [`Store`] is what the core holds: typed reads, scans, optimistic transactions ([`Store::write`]),
//!   positions and a feed of commits ([`Store::subscribe`]).
//! * Below it a [`Backend`] keeps ordered bytes: [`memory`] and sled. One conformance suite runs
//!   against all of them.
//!
//! An acknowledged write is on disk: [`Store::write`] returns after the backend has flushed.

mod backend;
pub mod backup;
pub mod batch;
pub mod check;
mod error;
pub mod limits;
pub mod memory;
mod open;
mod options;
mod scan;
mod sled_backend;
pub mod state_tree;
mod store;
mod tap;
mod tx;
mod value;

pub use backend::Backend;
pub use backup::{BackupReport, restore};
pub use batch::{Batch, Committed, Expectation, Op};
pub use check::{CheckReport, Damage};
pub use error::StoreError;
pub use open::{FORMAT, Opened};
pub use options::{Durability, OpenOptions, Progress};
pub use scan::{Direction, RawScan, Row, Scan, Stored};
pub use state_tree::{StateChange, StateTree};
pub use store::Store;
pub use tx::Tx;
pub use value::{RawValue, decode_value, encode_value};
