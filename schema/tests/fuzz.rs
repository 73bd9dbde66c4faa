//! The fuzz targets `address` and `key` with generated input, see `tests/fuzz/README.md`.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails loudly"
)]

#[path = "../../tests/fuzz/bodies/address.rs"]
mod address;
#[path = "../../tests/fuzz/bodies/key.rs"]
mod key;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_text_as_an_address(text in any::<String>()) {
        address::run(text.as_bytes());
    }

    #[test]
    fn what_resembles_an_address(
        text in "[a-zA-Zé.+'&=_~-]{0,12}[@＠]?[a-zA-Z0-9éＡｋ。.-]{0,12}\\.?[a-zA-Z0-9-]{0,5}",
    ) {
        address::run(text.as_bytes());
    }

    #[test]
    fn any_bytes_as_keys(data in prop::collection::vec(any::<u8>(), 0..80)) {
        key::run(&data);
    }

    #[test]
    fn the_bytes_that_keys_escape(data in prop::collection::vec(
        prop::sample::select(vec![0_u8, 1, 0xFE, 0xFF, b'$', b':']), 0..40)) {
        key::run(&data);
    }
}
