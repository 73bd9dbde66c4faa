//! What the store says of itself.

use serde::{Deserialize, Serialize};

use crate::{Record, table};

/// Product, format version and server name: opening a wrong or newer store is a clear error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormatRecord {
    /// Always `pli`.
    pub product: String,
    /// Version of the tables' layout.
    pub format: u32,
    /// The server name whose data this is; it can never change.
    pub server_name: String,
}

impl Record for FormatRecord {}

/// A content-hashed node of a state tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateNodeRecord {
    /// The encoded node; its hash is the key.
    pub bytes: Vec<u8>,
}

impl Record for StateNodeRecord {}

table! {
    /// The format of this store.
    Meta: pub struct FormatKey {} => FormatRecord;
    /// The first number not yet handed out, per kind of number.
    NumberBlock: pub struct NumberBlockKey { kind: u8 } => u64;
    /// The newest commit; the record's own position says which. Written by the engine with every commit.
    LastPosition: pub struct LastPositionKey {} => ();
    /// A node of a state tree.
    StateNode: pub struct StateNodeKey { hash: [u8; 16] } => StateNodeRecord;
}
