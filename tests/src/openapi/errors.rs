//! The standard error response.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#standard-error-response>

use serde_json::Value;

use super::{cut, has_json};
use crate::reply::Reply;

/// What clients of administrations know an expired account by.
const EXPIRED_ACCOUNT: &str = "ORG_MATRIX_EXPIRED_ACCOUNT";
/// The statuses that an errcode may come with, where the specification says so.
const STATUSES: &[(&str, &[u16])] = &[
    ("M_GUEST_ACCESS_FORBIDDEN", &[401, 403]),
    ("M_LIMIT_EXCEEDED", &[429]),
    ("M_MISSING_TOKEN", &[401]),
    ("M_NOT_FOUND", &[404]),
    ("M_TOO_LARGE", &[400, 413]),
    ("M_UNKNOWN_TOKEN", &[401]),
    ("M_UNRECOGNIZED", &[400, 404, 405]),
    ("M_USER_DEACTIVATED", &[403]),
    ("M_USER_LOCKED", &[401]),
    ("M_USER_SUSPENDED", &[403]),
];

/// The member that an errcode must bring, and whether a value will do.
type Brings = (&'static str, &'static str, fn(&Value) -> bool);
const BRINGS: &[Brings] = &[
    ("M_INCOMPATIBLE_ROOM_VERSION", "room_version", Value::is_string),
    ("M_RESOURCE_LIMIT_EXCEEDED", "admin_contact", Value::is_string),
    ("M_USER_LOCKED", "soft_logout", |value| *value == Value::Bool(true)),
    ("M_WRONG_ROOM_KEYS_VERSION", "current_version", Value::is_string),
];

/// The name of a member, and whether a value of it will do.
type Member = (&'static str, fn(&Value) -> bool);

/// Members of any error.
const MEMBERS: &[Member] = &[
    ("retry_after_ms", Value::is_u64),
    ("session", Value::is_string),
    ("soft_logout", Value::is_boolean),
];

/// Errors that any operation may answer with, whatever its file says about the status.
pub(super) fn is_generic(body: &Value) -> bool {
    const GENERIC: [&str; 8] = [
        "M_BAD_JSON",
        "M_LIMIT_EXCEEDED",
        "M_MISSING_TOKEN",
        "M_NOT_JSON",
        "M_UNKNOWN_TOKEN",
        "M_UNRECOGNIZED",
        "M_USER_LOCKED",
        "M_USER_SUSPENDED",
    ];
    body["errcode"].as_str().is_some_and(|code| GENERIC.contains(&code))
}

/// What is wrong with an error, one line each.
pub(super) fn found(reply: &Reply, may_ask_for_uia: bool) -> Vec<String> {
    let mut found = Vec::new();
    let body = &reply.body;
    if !has_json(reply) {
        found.push(format!("content type {:?}", reply.headers.get("content-type")));
    }
    let Some(members) = body.as_object() else {
        found.push(format!("no object: {}", cut(&String::from_utf8_lossy(&reply.bytes))));
        return found;
    };
    if reply.status == 500 {
        found.push(format!("an internal error: {body}"));
    }
    for (name, fits) in MEMBERS {
        if let Some(value) = members.get(*name).filter(|value| !fits(value)) {
            found.push(format!("/{name}: {value}"));
        }
    }
    if let Some((name, _)) = members.iter().find(|(_, value)| value.is_null()) {
        found.push(format!("/{name}: null"));
    }
    if reply.status == 401 && members.contains_key("flows") {
        if !may_ask_for_uia {
            found.push("asks for user-interactive authentication".to_owned());
        }
        return found;
    }
    let code = body["errcode"].as_str().unwrap_or_default();
    // The errcode of accounts that must be renewed is older than the rule for names.
    let known = code.starts_with("M_") || code.contains('.') || code == EXPIRED_ACCOUNT;
    if !known {
        found.push(format!("/errcode: {}", body["errcode"]));
    }
    if !body["error"].is_string() {
        found.push(format!("/error: {}", body["error"]));
    }
    found.extend(of_code(code, reply));
    found
}

fn of_code(code: &str, reply: &Reply) -> Vec<String> {
    let mut found = Vec::new();
    let status = reply.status;
    for (name, statuses) in STATUSES {
        if *name == code && !statuses.contains(&status) {
            found.push(format!("{code} with the status {status}"));
        }
    }
    if status == 401 && !["M_MISSING_TOKEN", "M_UNKNOWN_TOKEN", "M_USER_LOCKED"].contains(&code) {
        // The specification lets these tell about a token or a stage, too.
        let others = ["M_FORBIDDEN", "M_UNAUTHORIZED", "M_UNKNOWN", "M_GUEST_ACCESS_FORBIDDEN"];
        if others.contains(&code) {
            found.push(format!("{code} with the status 401"));
        }
    }
    for (name, member, fits) in BRINGS {
        if *name == code && !fits(&reply.body[*member]) {
            found.push(format!("{code} with /{member}: {}", reply.body[*member]));
        }
    }
    if reply.body.get("retry_after_ms").is_some() && !reply.headers.contains_key("retry-after") {
        found.push("retry_after_ms without a Retry-After header".to_owned());
    }
    found
}
