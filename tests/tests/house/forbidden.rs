//! Calls that may not be made, and names that may not be given.

use super::sources::sources;

/// A text, where it may stand, and why it may not stand elsewhere.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    (
        "SystemTime::now",
        &["homeserver/core/src/clock.rs", "client-cli/", "tests/", "homeserver/src/"],
        "take the Clock",
    ),
    ("thread_rng", &[], "take the Random"),
    (
        "std::env::var",
        &["homeserver/src/", "client-cli/", "tests/"],
        "only main reads the environment",
    ),
    ("unbounded_channel", &["client-cli/"], "every queue has a bound"),
    ("sled::", &["homeserver/store/", "tests/"], "only the store knows its engine"),
    ("reqwest::Client::new", &["tests/"], "one client with address policy, size and time limits"),
    (
        "reqwest::Client::builder",
        &["homeserver/core/src/outgoing", "client-cli/", "tests/"],
        "one client with address policy, size and time limits",
    ),
    ("todo!(", &["tests/tests/house/"], "no stubs"),
    ("unimplemented!(", &["tests/tests/house/"], "no stubs"),
];

#[test]
fn forbidden_calls_are_not_made() {
    let mut found = Vec::new();
    for source in &sources() {
        for (text, allowed, why) in FORBIDDEN {
            if source.code().contains(text) && !allowed.iter().any(|a| source.path.starts_with(a)) {
                found.push(format!("{}: {text}: {why}", source.path));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn only_schema_knows_how_keys_are_laid_out() {
    let mut found = Vec::new();
    for source in &sources() {
        let inside = ["pli-schema", "pli-store", "pli-tests"].contains(&source.crate_name());
        if !inside
            && ["KeyWriter", "KeyReader", "Table::"].iter().any(|t| source.code().contains(t))
        {
            found.push(source.path.clone());
        }
    }
    assert!(found.is_empty(), "these files lay out keys: {found:#?}");
}

/// No way around the function that checks events: the record of an event, its place in the timeline and
/// the head of a room are written in one place.
#[test]
fn only_staging_writes_events_into_rooms() {
    let mut found = Vec::new();
    for source in &sources() {
        let code: String = source.code().split_whitespace().collect();
        let writes = ["put(&EventKey{", "put(&TimelineKey{", "put(&RoomHeadKey{"];
        let staging = source.path.starts_with("homeserver/core/src/rooms/staging");
        if !staging && writes.iter().any(|write| code.contains(write)) {
            found.push(source.path.clone());
        }
    }
    assert!(found.is_empty(), "these files write into rooms past the rules: {found:#?}");
}

#[test]
fn nothing_is_called_manager_or_helper() {
    let mut found = Vec::new();
    for source in &sources() {
        for item in &source.syntax.items {
            let name = match item {
                syn::Item::Struct(item) => item.ident.to_string(),
                syn::Item::Enum(item) => item.ident.to_string(),
                syn::Item::Trait(item) => item.ident.to_string(),
                syn::Item::Mod(item) => item.ident.to_string(),
                _ => continue,
            };
            let lower = name.to_lowercase();
            if ["manager", "helper", "utils", "globals"].iter().any(|bad| lower.contains(bad))
                || lower == "service"
                || lower == "services"
            {
                found.push(format!("{}: {name}", source.path));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
