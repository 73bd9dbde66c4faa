//! Writes JSON out of pieces that are JSON already, so that event bytes go from the store to the socket
//! without becoming a tree.

use pli_federation::canonical_json::quote;

/// An object in the making.
#[derive(Clone, Debug, Default)]
pub struct Object(String);

impl Object {
    /// An object without members.
    #[must_use]
    pub const fn new() -> Self {
        Self(String::new())
    }

    /// Adds a member whose value is JSON text.
    pub fn raw(&mut self, key: &str, value: &str) -> &mut Self {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(&quote(key));
        self.0.push(':');
        self.0.push_str(value);
        self
    }

    /// Adds a member whose value is a string.
    pub fn string(&mut self, key: &str, value: &str) -> &mut Self {
        self.raw(key, &quote(value))
    }

    /// Adds a member `{"events":[…]}`, unless there is no event.
    pub fn events(&mut self, key: &str, events: &[String]) -> &mut Self {
        if !events.is_empty() {
            self.raw(key, &event_list(events));
        }
        self
    }

    /// The bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The finished text.
    #[must_use]
    pub fn finish(mut self) -> String {
        if self.0.is_empty() {
            self.0.push('{');
        }
        self.0.push('}');
        self.0
    }
}

/// An array of JSON texts.
#[must_use]
pub fn array<T: AsRef<str>>(items: &[T]) -> String {
    let bytes: usize = items.iter().map(|item| item.as_ref().len().saturating_add(1)).sum();
    let mut out = String::with_capacity(bytes.saturating_add(2));
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(item.as_ref());
    }
    out.push(']');
    out
}

/// `{"events":[…]}`
#[must_use]
pub fn event_list(events: &[String]) -> String {
    let mut object = Object::new();
    object.raw("events", &array(events));
    object.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_json() {
        let mut object = Object::new();
        assert!(object.is_empty());
        object
            .string("a\"b", "c\n")
            .raw("n", "1")
            .events("none", &[])
            .events("e", &["{}".into(), "2".into()]);
        let value: serde_json::Value = serde_json::from_str(&object.finish()).unwrap();
        assert_eq!(value, serde_json::json!({"a\"b": "c\n", "n": 1, "e": {"events": [{}, 2]}}));
        assert_eq!(Object::new().finish(), "{}");
        assert_eq!(array::<String>(&[]), "[]");
    }
}
