//! Servers of this process that speak to each other over TLS, and what others could say to them.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails loudly"
)]

#[path = "federation/joins.rs"]
mod joins;
#[path = "federation/keys.rs"]
mod keys;
