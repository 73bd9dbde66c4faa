//! The house rules, as tests: what may depend on what, how long things may be, what may not be called,
//! and that the documents speak of things that exist.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails loudly"
)]

mod house {
    mod arrows;
    mod calls;
    mod cycles;
    mod documents;
    mod endpoints;
    mod forbidden;
    mod headers;
    mod lengths;
    mod server_endpoints;
    mod sources;
}
