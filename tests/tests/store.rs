//! The store through crashes: killed processes, lost power, full disks, damaged files.
//!
//! A few rounds of each run with `cargo test`; `PLI_CRASH_ROUNDS=200` runs so many of each.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails loudly"
)]

#[path = "store/child.rs"]
mod child;
#[path = "store/damage.rs"]
mod damage;
#[path = "store/full.rs"]
mod full;
#[path = "store/image.rs"]
mod image;
#[path = "store/kill.rs"]
mod kill;
#[path = "store/power.rs"]
mod power;
#[path = "store/workload.rs"]
mod workload;

/// Rounds to run, `few` unless the environment asks for more.
fn rounds(few: usize) -> usize {
    std::env::var("PLI_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}
