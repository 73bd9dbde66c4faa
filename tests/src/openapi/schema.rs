//! Validators, compiled once per schema.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use jsonschema::{ValidationError, Validator, error::ValidationErrorKind};
use serde_json::{Map, Value, json};

use super::{cut, events::EventContent};

static VALIDATORS: LazyLock<Mutex<HashMap<usize, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// What is wrong with a value, each with pointer and value. The schema lives as long as the process.
pub(super) fn errors(
    schema: &'static Value,
    defs: &'static Map<String, Value>,
    value: &Value,
    odd_events: bool,
) -> Vec<String> {
    let validator = validator(schema, defs);
    if validator.is_valid(value) {
        return Vec::new();
    }
    let errors = validator.iter_errors(value);
    errors.filter(|error| !(odd_events && is_of_an_event(error))).map(|e| shown(&e)).collect()
}

/// Whether a value fits a schema without references.
#[must_use]
pub fn is_valid(schema: &Value, value: &Value) -> bool {
    compile(schema, &Map::new()).is_valid(value)
}

fn is_of_an_event(error: &ValidationError<'_>) -> bool {
    matches!(error.kind(), ValidationErrorKind::Custom { .. })
}

fn shown(error: &ValidationError<'_>) -> String {
    let pointer = error.instance_path();
    if is_of_an_event(error) {
        return format!("{pointer}: {error}");
    }
    format!("{pointer}: {} (value {})", cut(&error.to_string()), cut(&error.instance().to_string()))
}

/// The validator of a schema; schemas are told apart by where they stand in memory.
pub(super) fn validator(
    schema: &'static Value,
    defs: &'static Map<String, Value>,
) -> Arc<Validator> {
    let key = std::ptr::from_ref(schema).addr();
    let lock = || VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = lock().get(&key) {
        return Arc::clone(known);
    }
    let made = Arc::new(compile(schema, defs));
    lock().insert(key, Arc::clone(&made));
    made
}

fn compile(schema: &Value, defs: &Map<String, Value>) -> Validator {
    let mut needed = BTreeSet::new();
    collect(schema, defs, &mut needed);
    let chosen: Map<String, Value> =
        needed.iter().filter_map(|name| Some((name.clone(), defs.get(name)?.clone()))).collect();
    let root = json!({ "allOf": [schema], "$defs": chosen });
    let options = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .should_validate_formats(true)
        .with_keyword("x-event", |_, kind, _| Ok(Box::new(EventContent::new(kind))))
        .with_format("mx-user-id", |text: &str| text.starts_with('@') && text.contains(':'))
        .with_format("mx-room-alias", |text: &str| text.starts_with('#') && text.contains(':'))
        .with_format("mx-room-id", |text: &str| text.starts_with('!') && text.len() > 1)
        .with_format("mx-event-id", |text: &str| text.starts_with('$') && text.len() > 1)
        .with_format("mx-server-name", |text: &str| !text.is_empty() && !text.contains('/'))
        .with_format("mx-mxc-uri", is_mxc)
        .with_format("mx-unpadded-base64", |text: &str| is_base64(text, b"+/"))
        .with_format("mx-urlsafe-unpadded-base64", |text: &str| is_base64(text, b"-_"));
    options.build(&root).unwrap_or_else(|error| panic!("a schema: {error}: {root}"))
}

/// The definitions that a schema needs, and those that they need.
fn collect(schema: &Value, defs: &Map<String, Value>, needed: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                let name = value.as_str().and_then(|text| text.strip_prefix("#/$defs/"));
                match name.filter(|_| key == "$ref") {
                    Some(name) if needed.insert(name.to_owned()) => {
                        collect(defs.get(name).unwrap_or(&Value::Null), defs, needed);
                    }
                    Some(_) => {}
                    None => collect(value, defs, needed),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, defs, needed)),
        _ => {}
    }
}

fn is_mxc(text: &str) -> bool {
    let parts = text.strip_prefix("mxc://").and_then(|rest| rest.split_once('/'));
    parts.is_some_and(|(server, id)| !server.is_empty() && !id.is_empty() && !id.contains('/'))
}

fn is_base64(text: &str, more: &[u8; 2]) -> bool {
    text.len() % 4 != 1 && text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
}
