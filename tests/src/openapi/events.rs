//! Events in answers against the event schemas of the specification.

use std::{collections::BTreeMap, sync::LazyLock};

use jsonschema::{Keyword, ValidationError};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{cut, schema};

/// What the specification says of one type of event.
#[derive(Debug, Deserialize)]
struct EventType {
    /// Whether it is a state event.
    state: bool,
    content: Value,
    #[serde(default)]
    state_key: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Events {
    events: BTreeMap<String, EventType>,
    #[serde(rename = "$defs")]
    defs: Map<String, Value>,
}

static EVENTS: LazyLock<Events> = LazyLock::new(|| {
    let text = include_str!("../../spec/events.json");
    serde_json::from_str(text).unwrap_or_else(|error| panic!("events.json: {error}"))
});

/// The keyword `x-event`: the value is an event, whose content has the form that its type gives it.
pub(super) struct EventContent {
    /// `stripped` for stripped state, `room` for events with an id, `plain` for the others.
    kind: String,
}

impl EventContent {
    pub(super) fn new(kind: &Value) -> Self {
        Self { kind: kind.as_str().unwrap_or_default().to_owned() }
    }

    fn wrong(&self, event: &Value) -> Option<String> {
        let name = event["type"].as_str()?;
        let kind = EVENTS.events.get(name)?;
        let content = event.get("content")?;
        let redacted = event["unsigned"].get("redacted_because").is_some();
        // A state of `{}` is how a state is taken back; what a redaction leaves may look the same.
        let emptied = kind.state && content.as_object().is_some_and(Map::is_empty);
        let may_be_empty = name != "m.room.member" || self.kind == "stripped";
        if redacted || (emptied && may_be_empty) {
            return None;
        }
        // A message may carry the name of a state event; it is none then.
        if self.kind == "room" && kind.state && event.get("state_key").is_none() {
            return None;
        }
        let mut found = schema::errors(&kind.content, &EVENTS.defs, content, false);
        if let (Some(schema), Some(key)) = (&kind.state_key, event.get("state_key")) {
            found.extend(schema::errors(schema, &EVENTS.defs, key, false));
        }
        let text = cut(&content.to_string());
        (!found.is_empty()).then(|| format!("{name}: {} in {text}", found.join("; ")))
    }
}

impl<'i> Keyword<'i> for EventContent {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        self.wrong(instance).map_or(Ok(()), |text| Err(ValidationError::custom(text)))
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        self.wrong(instance).is_none()
    }
}

/// Compiles every schema, so that a broken one is found even if no test meets its type.
#[cfg(test)]
pub(super) fn compile_all() {
    assert!(EVENTS.events.len() > 50, "{}", EVENTS.events.len());
    for kind in EVENTS.events.values() {
        for schema in [Some(&kind.content), kind.state_key.as_ref()].into_iter().flatten() {
            let _ = schema::validator(schema, &EVENTS.defs);
        }
    }
}
