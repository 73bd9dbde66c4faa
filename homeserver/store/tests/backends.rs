//! The conformance suite, run by every backend.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails loudly"
)]

mod conformance;

use pli_store::{Durability, OpenOptions, Store};

async fn memory() -> (Store, ()) {
    (Store::in_memory(), ())
}

async fn sled() -> (Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        dir: dir.path().join("store"),
        server_name: "localhost".to_owned(),
        durability: Durability::Sync,
        cache_bytes: 8 * 1_024 * 1_024,
    };
    (Store::open(options).await.unwrap().0, dir)
}

store_conformance!(on_memory, crate::memory);
store_conformance!(on_sled, crate::sled);
