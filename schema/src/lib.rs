//! The vocabulary of Pli: pure data, no I/O, no async.
//!
//! Everything that is stored has its key and its record here; nothing outside this crate knows how a
//! key is laid out, and nothing outside the store knows which engine keeps it.

pub mod account_settings;
pub mod address;
pub mod config;
pub mod domains;
pub mod key;
pub mod language;
pub mod limits;
pub mod numbers;
pub mod position;
pub mod record;
pub mod records;
pub mod table;
pub mod topic;
pub mod verify;

pub use address::{AddressError, Domain, EmailAddress};
pub use key::{Key, KeyError, KeyPart, KeyPrefix, KeyReader, KeyWriter};
pub use language::{Language, Text};
pub use numbers::{EventNumber, RoomNumber, StateKeyNumber, StateRoot};
pub use position::{Position, Stamp};
pub use record::{Record, RecordError};
pub use table::Table;
pub use topic::Topic;
pub use verify::verify_row;
