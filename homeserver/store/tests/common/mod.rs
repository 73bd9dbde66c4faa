//! What the tests of stores on disk share.

use std::path::Path;

use pli_store::{Durability, OpenOptions};

/// A store of a server `pli.example` with a small cache.
pub fn options(dir: &Path, durability: Durability) -> OpenOptions {
    OpenOptions {
        dir: dir.to_owned(),
        server_name: "pli.example".to_owned(),
        durability,
        cache_bytes: 8 * 1_024 * 1_024,
    }
}
