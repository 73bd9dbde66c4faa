//! The main job of Pli from end to end, with the real binaries, a real SMTP exchange and a real disk:
//! what `docs/` promises to an administration on its first day.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails loudly"
)]

mod scenario {
    mod agents;
    mod cast;
    mod load;
}
