//! How long messages are kept: what a room says, within what the administration allows. A pure decision
//! on plain data.

use serde_json::Value;

/// The bounds of the administration, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// For rooms that say nothing; `None` keeps their messages.
    pub default_ms: Option<u64>,
    /// Nothing is deleted earlier.
    pub least_ms: Option<u64>,
    /// Nothing is kept longer.
    pub most_ms: Option<u64>,
}

/// How long the messages of a room are kept, in milliseconds, by the content of its `m.room.retention`
/// (MSC1763); `None` is for ever.
#[must_use]
pub fn lifetime_ms(content: Option<&Value>, limits: Limits) -> Option<u64> {
    let said = content.and_then(|content| content.get("max_lifetime")).and_then(Value::as_u64);
    let wished = match said.or(limits.default_ms) {
        Some(wished) => wished.max(limits.least_ms.unwrap_or_default()),
        None => limits.most_ms?,
    };
    Some(limits.most_ms.map_or(wished, |most| wished.min(most)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rooms_choose_within_the_bounds() {
        let limits = Limits { default_ms: Some(50), least_ms: Some(10), most_ms: Some(100) };
        let none = Limits::default();
        for (content, limits, expected) in [
            (Some(json!({ "max_lifetime": 70 })), limits, Some(70)),
            (Some(json!({ "max_lifetime": 1 })), limits, Some(10)),
            (Some(json!({ "max_lifetime": 1_000 })), limits, Some(100)),
            (Some(json!({})), limits, Some(50)),
            (Some(json!({ "max_lifetime": "7" })), limits, Some(50)),
            (None, limits, Some(50)),
            (None, Limits { default_ms: None, ..limits }, Some(100)),
            (None, none, None),
            (Some(json!({ "max_lifetime": 7 })), none, Some(7)),
        ] {
            assert_eq!(lifetime_ms(content.as_ref(), limits), expected, "{content:?}");
        }
    }
}
