//! Power levels of room versions 1 to 5, which may be written as floats
//! (<https://spec.matrix.org/v1.19/rooms/v1/#mroompower_levels-events-accept-values-as-floats>) and
//! as integers beyond 2^53. Strings are understood by `ruma` itself.

use serde_json::{Value, value::RawValue};

use crate::canonical_json::MAX_INTEGER;

/// The content of an `m.room.power_levels` event with every number an integer within ±(2^53 − 1):
/// floats are cut at the decimal point, what is beyond the range takes the nearest value in it
/// (levels that high all mean the same: more than anyone). Values that are neither numbers nor
/// strings stay, for the rules to reject. `None` when there is nothing to change.
pub(super) fn normalized(content: &RawValue) -> Option<Box<RawValue>> {
    let mut value: Value = serde_json::from_str(content.get()).ok()?;
    let object = value.as_object_mut()?;
    let mut changed = false;
    for (key, value) in object.iter_mut() {
        match value {
            Value::Object(levels)
                if matches!(key.as_str(), "users" | "events" | "notifications") =>
            {
                levels.values_mut().for_each(|level| changed |= normalize(level));
            }
            level => changed |= normalize(level),
        }
    }
    if !changed {
        return None;
    }
    RawValue::from_string(value.to_string()).ok()
}

/// Makes a number an integer in range; whether it was changed.
fn normalize(level: &mut Value) -> bool {
    let within = |number: i64| number.clamp(-MAX_INTEGER, MAX_INTEGER);
    let new = match level {
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => within(integer),
            // The cast saturates, and a JSON number is never NaN.
            (None, Some(float)) if float.is_finite() => within(float as i64),
            _ => return false,
        },
        Value::String(string) => match string.trim().parse::<i128>() {
            Ok(integer) => i64::try_from(integer)
                .map_or(if integer < 0 { -MAX_INTEGER } else { MAX_INTEGER }, within),
            Err(_) => return false,
        },
        _ => return false,
    };
    let changed = level.as_i64() != Some(new);
    *level = Value::from(new);
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(json: &str) -> Option<String> {
        let raw = RawValue::from_string(json.to_owned()).unwrap();
        normalized(&raw).map(|raw| raw.get().to_owned())
    }

    #[test]
    fn numbers_become_integers_in_range() {
        let cases = [
            (r#"{"ban":50.57}"#, r#"{"ban":50}"#),
            (r#"{"ban":5.114698E4}"#, r#"{"ban":51146}"#),
            (r#"{"ban":-0.5}"#, r#"{"ban":0}"#),
            (r#"{"ban":9223372036854775807}"#, r#"{"ban":9007199254740991}"#),
            (r#"{"ban":-1e300}"#, r#"{"ban":-9007199254740991}"#),
            (r#"{"ban":" +00100 "}"#, r#"{"ban":100}"#),
            (r#"{"users":{"@a:b":1.9}}"#, r#"{"users":{"@a:b":1}}"#),
            (
                r#"{"events":{"m.x":99999999999999999999}}"#,
                r#"{"events":{"m.x":9007199254740991}}"#,
            ),
        ];
        for (before, expected) in cases {
            assert_eq!(after(before).as_deref(), Some(expected), "{before}");
        }
    }

    #[test]
    fn what_is_fine_or_hopeless_stays() {
        for json in [r#"{"ban":50}"#, "{}", r#"{"ban":"5.5"}"#, r#"{"users":[1]}"#, "[]"] {
            assert_eq!(after(json), None, "{json}");
        }
    }
}
