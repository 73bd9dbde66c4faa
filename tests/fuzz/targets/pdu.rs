//! See `../README.md`.
#![no_main]

#[path = "../bodies/pdu.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
