//! How a store is opened.

use std::path::PathBuf;

/// What an acknowledged write has survived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The loss of power: it is on disk.
    #[default]
    Sync,
    /// The end of the process only. For benchmarks and tests.
    Relaxed,
}

/// How to open a store.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The directory; it is made if it is not there.
    pub dir: PathBuf,
    /// The server name whose data this is. A store belongs to one name for ever.
    pub server_name: String,
    /// When a write is acknowledged.
    pub durability: Durability,
    /// Memory for the engine's cache, in bytes. The process uses about a third more.
    pub cache_bytes: u64,
}

/// How far long work has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, e.g. `check`.
    pub what: &'static str,
    /// Rows done.
    pub rows: u64,
    /// Bytes done.
    pub size_bytes: u64,
}
