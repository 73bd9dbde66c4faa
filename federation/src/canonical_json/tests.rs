//! Canonical JSON: the examples of the appendix, its edges and its properties.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn strict(json: &str) -> Result<String, CanonicalJsonError> {
    canonicalize(json, Numbers::Strict)
}

#[test]
fn the_examples_of_the_appendix() {
    let cases = [
        ("{}", "{}"),
        (r#"{"one": 1, "two": "Two"}"#, r#"{"one":1,"two":"Two"}"#),
        (r#"{"b": "2", "a": "1"}"#, r#"{"a":"1","b":"2"}"#),
        (
            r#"{"auth": {"success": true, "mxid": "@john.doe:example.com", "profile": {
                "display_name": "John Doe", "three_pids": [
                {"medium": "email", "address": "john.doe@example.org"},
                {"medium": "msisdn", "address": "123456789"}]}}}"#,
            r#"{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}"#,
        ),
        (r#"{"a": "日本語"}"#, r#"{"a":"日本語"}"#),
        (r#"{"本": 2, "日": 1}"#, r#"{"日":1,"本":2}"#),
        (r#"{"a": "\u65E5"}"#, r#"{"a":"日"}"#),
        (r#"{"a": null}"#, r#"{"a":null}"#),
    ];
    for (input, expected) in cases {
        assert_eq!(strict(input).as_deref(), Ok(expected), "{input}");
    }
}

#[test]
fn numbers_out_of_range_are_refused_only_when_strict() {
    for number in ["1.0", "1e3", "-0", "9007199254740992", "-9007199254740992", "1E400", "-0.0"] {
        let json = format!("{{\"n\":{number}}}");
        assert!(matches!(strict(&json), Err(CanonicalJsonError::Number(_))), "{number}");
        assert_eq!(canonicalize(&json, Numbers::Lenient).as_deref(), Ok(json.as_str()));
    }
    for number in ["9007199254740991", "-9007199254740991", "0", "-1"] {
        let json = format!("{{\"n\":{number}}}");
        assert_eq!(strict(&json).as_deref(), Ok(json.as_str()));
    }
}

#[test]
fn escapes_are_the_shortest_ones() {
    let json = r#"{"\u0061":"\/\u0000\u001F\u0008\t\n\u000c\r\"\\é😀"}"#;
    let expected = r#"{"a":"/\u0000\u001f\b\t\n\f\r\"\\é😀"}"#;
    assert_eq!(strict(json).as_deref(), Ok(expected));
}

#[test]
fn of_duplicate_keys_the_last_wins_even_when_written_otherwise() {
    assert_eq!(strict(r#"{"b":1,"a":1,"\u0062":2}"#).as_deref(), Ok(r#"{"a":1,"b":2}"#));
    assert_eq!(strict(r#"{"a":1,"a":2}"#).as_deref(), Ok(r#"{"a":2}"#));
}

#[test]
fn nesting_is_bounded_and_broken_text_is_an_error() {
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(strict(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(strict(&nested(MAX_DEPTH + 1)), Err(CanonicalJsonError::TooDeep));
    assert_eq!(strict(&nested(30_000)), Err(CanonicalJsonError::TooDeep));
    for broken in ["", "{", "{\"a\":}", "{\"a\":1} x", "\"\\ud800\"", "nul", "[1,]", "01", "{1:2}"]
    {
        assert!(matches!(strict(broken), Err(CanonicalJsonError::Syntax(_))), "{broken}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-MAX_INTEGER..=MAX_INTEGER).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_canonical_form_is_stable_and_means_the_same(value in any_value()) {
        let once = strict(&value.to_string()).unwrap();
        prop_assert_eq!(&strict(&once).unwrap(), &once);
        prop_assert_eq!(&strict(&serde_json::to_string_pretty(&value).unwrap()).unwrap(), &once);
        prop_assert_eq!(serde_json::from_str::<Value>(&once).unwrap(), value);
    }

    #[test]
    fn it_agrees_with_ruma(value in any_value()) {
        let theirs = ruma::CanonicalJsonValue::try_from(value.clone()).unwrap().to_string();
        prop_assert_eq!(strict(&value.to_string()).unwrap(), theirs);
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = strict(&text);
        let _ = canonicalize(&text, Numbers::Lenient);
    }
}
