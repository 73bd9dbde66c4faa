//! Power levels of the two rooms of an upgrade.

use pli_federation::room_version;
use serde_json::{Map, Value};

use super::Upgrade;
use crate::{Result, rooms::authorize::format_error};

/// The power levels of the new room.
pub(super) struct Levels {
    /// With the user above all, so that everything can be set.
    pub(super) while_creating: Map<String, Value>,
    /// Those of the old room.
    pub(super) afterwards: Map<String, Value>,
}

/// The level under a key, written as an integer or (before version 10) as a string.
fn level(levels: &Map<String, Value>, key: &str, default: i64) -> i64 {
    levels.get(key).and_then(integer).unwrap_or(default)
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// All levels as integers, as version 10 and later want them.
fn integers(levels: &Map<String, Value>) -> Map<String, Value> {
    let convert = |value: &Value| integer(value).map_or_else(|| value.clone(), Value::from);
    let one = |(key, value): (&String, &Value)| {
        let value = match value {
            Value::Object(inner) => {
                Value::Object(inner.iter().map(|(k, v)| (k.clone(), convert(v))).collect())
            }
            other => convert(other),
        };
        (key.clone(), value)
    };
    levels.iter().map(one).collect()
}

fn users(levels: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    let users = levels.entry("users").or_insert_with(|| Value::Object(Map::new()));
    users.as_object_mut()
}

/// The levels of the new room, of those of the old one.
pub(super) fn of_new_room(
    upgrade: &Upgrade,
    old_create: &Map<String, Value>,
    old: &Map<String, Value>,
) -> Result<Levels> {
    let rules = room_version::rules(&upgrade.version).map_err(format_error)?.authorization;
    let mut levels = integers(old);
    if rules.explicitly_privilege_room_creators {
        if let Some(users) = users(&mut levels) {
            users.remove(upgrade.user_id.as_str());
            for creator in &upgrade.additional_creators {
                users.remove(creator.as_str());
            }
        }
        raise_tombstone(&mut levels);
        return Ok(Levels { while_creating: levels.clone(), afterwards: levels });
    }
    if let Some(users) = users(&mut levels) {
        // The creators of a version 12 room are in nobody's list.
        let others = old_create.get("additional_creators").and_then(Value::as_array);
        for creator in others.into_iter().flatten().filter_map(Value::as_str) {
            users.entry(creator).or_insert(Value::from(100));
        }
        users.entry(upgrade.user_id.as_str()).or_insert(Value::from(100));
    }
    let mut while_creating = levels.clone();
    let highest = highest(&levels);
    if let Some(users) = users(&mut while_creating) {
        users.insert(upgrade.user_id.to_string(), Value::from(highest));
    }
    Ok(Levels { while_creating, afterwards: levels })
}

/// The highest level that anything needs or anyone has, at least 100.
fn highest(levels: &Map<String, Value>) -> i64 {
    let inner = ["users", "events", "notifications"].iter().filter_map(|key| levels.get(*key));
    let inner = inner.filter_map(Value::as_object).flat_map(Map::values);
    levels.values().chain(inner).filter_map(integer).fold(100, i64::max)
}

/// Since version 12 those who may change the state must not be able to close the room as well.
fn raise_tombstone(levels: &mut Map<String, Value>) {
    let state_default = level(levels, "state_default", 50);
    let events = levels.entry("events").or_insert_with(|| Value::Object(Map::new()));
    if let Some(events) = events.as_object_mut()
        && level(events, "m.room.tombstone", state_default) <= state_default.max(100)
    {
        let raised = state_default.saturating_add(50).max(150);
        events.insert("m.room.tombstone".to_owned(), Value::from(raised));
    }
}

/// The levels of the old room, with sending and inviting left to moderators.
pub(super) fn of_old_room(old: &Map<String, Value>) -> Map<String, Value> {
    let mut levels = old.clone();
    let least = level(old, "users_default", 0).saturating_add(1).max(50);
    for (key, default) in [("events_default", 0), ("invite", 0)] {
        let raised = level(old, key, default).max(least);
        levels.insert(key.to_owned(), Value::from(raised));
    }
    levels
}
