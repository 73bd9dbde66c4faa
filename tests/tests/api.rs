//! The HTTP layer as clients meet it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "api/basics.rs"]
mod basics;
