//! `null` in answers: the specification leaves absent values out.

use serde_json::Value;

use super::Operation;

/// Operations that answer with what a client put there.
const FREE: [&str; 10] = [
    "getAccountData",
    "getAccountDataPerRoom",
    "getFilter",
    "getOneRoomEvent",
    "getProfileField",
    "getProtocolMetadata",
    "getProtocols",
    "getRoomStateWithKey",
    "getUrlPreview",
    "getUserProfile",
];
/// Members below which stands what a client put there.
const FREE_BELOW: [&str; 9] = [
    "auth_data",
    "content",
    "data",
    "device_keys",
    "fields",
    "prev_content",
    "session_data",
    "signed",
    "unsigned",
];

/// Where an answer has `null`.
pub(super) fn found(operation: &Operation, body: &Value) -> Vec<String> {
    let mut out = Vec::new();
    if !FREE.contains(&operation.id.as_str()) {
        walk(body, "", &mut out);
    }
    out
}

fn walk(value: &Value, pointer: &str, out: &mut Vec<String>) {
    match value {
        Value::Null => out.push(format!("{pointer}: null")),
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                walk(item, &format!("{pointer}/{n}"), out);
            }
        }
        Value::Object(map) => {
            for (key, item) in map.iter().filter(|(key, _)| !FREE_BELOW.contains(&key.as_str())) {
                walk(item, &format!("{pointer}/{key}"), out);
            }
        }
        _ => {}
    }
}
