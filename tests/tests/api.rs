//! The HTTP layer as clients meet it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "api/basics.rs"]
mod basics;
#[path = "api/connections.rs"]
mod connections;
#[path = "api/mutations.rs"]
mod mutations;
#[path = "api/secrets.rs"]
mod secrets;

#[path = "api/sync.rs"]
mod sync;
