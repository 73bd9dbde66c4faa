//! Canonical JSON: the one byte sequence of a JSON value that is hashed and signed
//! (<https://spec.matrix.org/v1.19/appendices/#canonical-json>).
//!
//! The text is rewritten directly, without a tree of owned values in between: strings that have no
//! escapes and numbers are copied as they are.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The deepest nesting of arrays and objects that is accepted. The specification names no limit;
/// JSON parsers do (128 is common), and an event is nested into responses on its way to clients.
pub const MAX_DEPTH: usize = 100;

/// The greatest magnitude of an integer in canonical JSON: 2^53 − 1.
pub const MAX_INTEGER: i64 = 9_007_199_254_740_991;

/// Which numbers are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Only integers from −2^53 + 1 to 2^53 − 1, without exponent, fraction or negative zero:
    /// room versions 6 and later, and everything that is made here.
    Strict,
    /// Any JSON number, copied as it is written: room versions 1 to 5 must not enforce canonical
    /// JSON (<https://spec.matrix.org/v1.19/rooms/v1/#canonical-json>).
    Lenient,
}

/// Why a text has no canonical form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalJsonError {
    /// The text is not JSON.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// A number is not an integer within ±(2^53 − 1).
    #[error("number not allowed in canonical JSON: {0}")]
    Number(String),
    /// Arrays and objects are nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

impl From<serde_json::Error> for CanonicalJsonError {
    fn from(error: serde_json::Error) -> Self {
        Self::Syntax(error.to_string())
    }
}

/// The canonical form of a JSON text: keys sorted by code point, no insignificant whitespace,
/// shortest escapes. Of duplicate keys the last wins.
///
/// # Errors
/// See [`CanonicalJsonError`].
pub fn canonicalize(json: &str, numbers: Numbers) -> Result<String, CanonicalJsonError> {
    let value: &RawValue = serde_json::from_str(json)?;
    let mut out = String::with_capacity(json.len());
    write_value(value.get(), numbers, 0, &mut out)?;
    Ok(out)
}

fn write_value(
    raw: &str,
    numbers: Numbers,
    depth: usize,
    out: &mut String,
) -> Result<(), CanonicalJsonError> {
    let first = raw.as_bytes().first();
    if depth >= MAX_DEPTH && matches!(first, Some(b'{' | b'[')) {
        return Err(CanonicalJsonError::TooDeep);
    }
    match first {
        Some(b'{') => write_object(&Object::parse(raw)?, numbers, depth, out)?,
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(raw)?;
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(item.get(), numbers, depth + 1, out)?;
            }
            out.push(']');
        }
        Some(b'"') if raw.contains('\\') => {
            let string: String = serde_json::from_str(raw)?;
            write_string(&string, out);
        }
        Some(b'-' | b'0'..=b'9') if numbers == Numbers::Strict => {
            check_integer(raw)?;
            out.push_str(raw);
        }
        _ => out.push_str(raw),
    }
    Ok(())
}

fn write_object(
    object: &Object<'_>,
    numbers: Numbers,
    depth: usize,
    out: &mut String,
) -> Result<(), CanonicalJsonError> {
    out.push('{');
    for (index, (key, value)) in object.entries().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(key, out);
        out.push(':');
        write_value(value, numbers, depth + 1, out)?;
    }
    out.push('}');
    Ok(())
}

fn check_integer(raw: &str) -> Result<(), CanonicalJsonError> {
    let refused = || CanonicalJsonError::Number(raw.chars().take(40).collect());
    if raw == "-0" {
        return Err(refused());
    }
    match raw.parse::<i64>() {
        Ok(value) if value.unsigned_abs() <= MAX_INTEGER.unsigned_abs() => Ok(()),
        _ => Err(refused()),
    }
}

/// Appends `string` as a JSON string with the escapes of canonical JSON: only `"`, `\` and the
/// control characters below U+0020.
pub fn write_string(string: &str, out: &mut String) {
    out.push('"');
    let mut copied = 0;
    for (index, byte) in string.bytes().enumerate() {
        let short = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            0x08 => "\\b",
            b'\t' => "\\t",
            b'\n' => "\\n",
            0x0c => "\\f",
            b'\r' => "\\r",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(string.get(copied..index).unwrap_or_default());
        copied = index + 1;
        if short.is_empty() {
            let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
            out.push_str("\\u00");
            out.push(digit(byte >> 4));
            out.push(digit(byte & 0xf));
        } else {
            out.push_str(short);
        }
    }
    out.push_str(string.get(copied..).unwrap_or_default());
    out.push('"');
}

/// `string` as a JSON string, see [`write_string`].
pub fn quote(string: &str) -> String {
    let mut out = String::with_capacity(string.len() + 2);
    write_string(string, &mut out);
    out
}

/// The members of one JSON object, sorted by key, with their values as unparsed text.
#[derive(Clone, Debug)]
pub struct Object<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'a> Object<'a> {
    /// Takes an object apart, without looking into its values. Of duplicate keys the last wins.
    ///
    /// # Errors
    /// [`CanonicalJsonError::Syntax`] when `json` is not a JSON object.
    pub fn parse(json: &'a str) -> Result<Self, CanonicalJsonError> {
        Ok(serde_json::from_str::<Self>(json)?)
    }

    /// The text of the value of a key.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        let index = self.0.binary_search_by(|(have, _)| have.as_ref().cmp(key)).ok()?;
        self.0.get(index).map(|(_, value)| *value)
    }

    /// The members in the order of their keys, with the unparsed text of their values.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), *value))
    }

    /// The object with only the members that `keep` accepts, as text. Canonical when the values
    /// are.
    pub(crate) fn filtered(&self, mut keep: impl FnMut(&str) -> bool) -> String {
        let mut out = String::from("{");
        for (key, value) in self.entries().filter(|(key, _)| keep(key)) {
            push_member(&mut out, key, value);
        }
        out.push('}');
        out
    }
}

/// Appends `"key":value` to an object under construction, after a comma where one is needed.
pub(crate) fn push_member(out: &mut String, key: &str, value: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    write_string(key, out);
    out.push(':');
    out.push_str(value);
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut entries: Vec<(Cow<'de, str>, &'de str)> = Vec::new();
        while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            entries.push((key, value.get()));
        }
        if !entries.is_sorted_by(|(a, _), (b, _)| a < b) {
            // The sort is stable: of equal keys the one read last now comes first, and is kept.
            entries.reverse();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            entries.dedup_by(|(a, _), (b, _)| a == b);
        }
        Ok(Object(entries))
    }
}

/// A key of an object, borrowed where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(value)))
            }

            fn visit_str<E>(self, value: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(value.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

#[cfg(test)]
mod tests;
