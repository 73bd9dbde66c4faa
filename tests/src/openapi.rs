//! The OpenAPI files and event schemas of the Matrix specification v1.19, and what answers are checked
//! against them for.
//!
//! `tests/spec/*.json` hold the schemas in a compact form; `tests/spec/generate.py` writes them.

mod errors;
mod events;
mod nulls;
mod schema;

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::reply::Reply;

pub use schema::is_valid;

/// Content type → JSON schema.
type Contents = BTreeMap<String, Value>;

/// One operation of the OpenAPI files.
#[derive(Clone, Debug, Deserialize)]
pub struct Operation {
    /// Its `operationId`.
    pub id: String,
    /// The method, such as `GET`.
    pub method: String,
    /// The path template, such as `/_matrix/client/v3/rooms/{roomId}/join`.
    pub path: String,
    /// Whether it needs an access token.
    pub auth: bool,
    /// The schemas of the body.
    #[serde(default)]
    pub request: Contents,
    /// Whether a body is required.
    #[serde(default)]
    pub request_required: bool,
    /// Status → the schemas of its body. A status whose body the files do not describe has none.
    pub responses: BTreeMap<String, Contents>,
}

/// All operations, and the definitions that their schemas share.
#[derive(Debug, Deserialize)]
pub struct Spec {
    operations: Vec<Operation>,
    #[serde(rename = "$defs")]
    defs: Map<String, Value>,
}

static SPEC: LazyLock<Spec> = LazyLock::new(|| {
    let text = include_str!("../spec/client-server.json");
    serde_json::from_str(text).unwrap_or_else(|error| panic!("client-server.json: {error}"))
});

/// The client-server API.
#[must_use]
pub fn spec() -> &'static Spec {
    &SPEC
}

impl Operation {
    /// Method and path template, as documents name it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// How many segments of a path it takes literally; `None` if the path is not its own.
    fn fits(&self, path: &str) -> Option<usize> {
        let (mut template, mut path) = (self.path.split('/'), path.split('/'));
        let mut literal = 0;
        loop {
            match (template.next(), path.next()) {
                (None, None) => return Some(literal),
                (Some(wanted), Some(_)) if wanted.starts_with('{') => {}
                (Some(wanted), Some(segment)) if wanted == segment => literal += 1,
                // An empty state key is no segment.
                (Some("{stateKey}"), None) => return Some(literal),
                _ => return None,
            }
        }
    }

    /// Whether the specification lets it ask for user-interactive authentication.
    fn may_ask_for_uia(&self) -> bool {
        let listed = self.responses.get("401").is_some_and(|contents| {
            contents.values().any(|schema| schema["$ref"] == "#/$defs/auth_response")
        });
        // The prose says so for these; their files list no 401.
        listed || ["uploadCrossSigningKeys"].contains(&self.id.as_str())
    }
}

/// The path as the specification writes it today: `r0` is `v3`, and media had versions of its own.
fn today(path: &str) -> String {
    for (old, new) in [
        ("/_matrix/client/r0/", "/_matrix/client/v3/"),
        ("/_matrix/media/r0/", "/_matrix/media/v3/"),
    ] {
        if let Some(rest) = path.strip_prefix(old) {
            return format!("{new}{rest}");
        }
    }
    match path.strip_prefix("/_matrix/media/v1/") {
        Some(rest) if rest != "create" => format!("/_matrix/media/v3/{rest}"),
        _ => path.to_owned(),
    }
}

impl Spec {
    /// All operations, by path and method.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The operations behind a method and a path (without query): none for what the specification does
    /// not know, two where the files describe two forms of one endpoint.
    #[must_use]
    pub fn find(&'static self, method: &str, path: &str) -> Vec<&'static Operation> {
        let path = today(path);
        let fitting: Vec<_> = self
            .operations
            .iter()
            .filter(|operation| operation.method == method)
            .filter_map(|operation| Some((operation.fits(&path)?, operation)))
            .collect();
        let most = fitting.iter().map(|(literal, _)| *literal).max();
        let best = fitting.into_iter().filter(|(literal, _)| Some(*literal) == most);
        best.map(|(_, operation)| operation).collect()
    }

    /// What is wrong with an answer, one line each: operation, pointer, value. Contents of events are
    /// left out if the test sends events with odd contents on purpose.
    #[must_use]
    pub fn violations(
        &'static self,
        method: &str,
        path: &str,
        reply: &Reply,
        odd: bool,
    ) -> Vec<String> {
        // Scheduling an event on an ordinary endpoint (MSC4140) has an answer of its own.
        if path.contains("?org.matrix.msc4140.delay=") && reply.status == 200 {
            return Vec::new();
        }
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let operations = self.find(method, path);
        let name = operations.first().map_or_else(|| format!("{method} {path}"), |op| op.name());
        let found = if method == "HEAD" {
            Vec::new()
        } else if reply.status >= 400 {
            self.wrong_error(&operations, path, reply)
        } else {
            // Two forms of one endpoint: the answer has to fit one of them.
            let mut tried = operations.iter().map(|operation| self.wrong(operation, reply, odd));
            let first = tried.next().unwrap_or_default();
            if first.is_empty() || tried.any(|second| second.is_empty()) {
                Vec::new()
            } else {
                first
            }
        };
        found.into_iter().map(|text| format!("{name} → {}: {text}", reply.status)).collect()
    }

    fn wrong(
        &'static self,
        operation: &'static Operation,
        reply: &Reply,
        odd: bool,
    ) -> Vec<String> {
        let Some(contents) = operation.responses.get(&reply.status.to_string()) else {
            return vec!["a status that the operation does not have".to_owned()];
        };
        let Some(schema) = contents.get("application/json") else {
            return Vec::new();
        };
        let mut found = Vec::new();
        if !has_json(reply) {
            found.push(format!("content type {:?}", reply.headers.get("content-type")));
        }
        if serde_json::from_slice::<Value>(&reply.bytes).is_err() {
            found.push(format!("no JSON: {}", cut(&String::from_utf8_lossy(&reply.bytes))));
            return found;
        }
        found.extend(schema::errors(schema, &self.defs, &reply.body, odd));
        found.extend(nulls::found(operation, &reply.body));
        found
    }

    fn wrong_error(
        &'static self,
        operations: &[&'static Operation],
        path: &str,
        reply: &Reply,
    ) -> Vec<String> {
        // Pages for people, and what stands beside Matrix on the same listener.
        let speaks_json = operations.iter().any(|operation| {
            operation.responses.values().any(|contents| contents.contains_key("application/json"))
        });
        if !path.starts_with("/_matrix/") || !(speaks_json || has_json(reply)) {
            return Vec::new();
        }
        let may_ask = operations.is_empty() || operations.iter().any(|op| op.may_ask_for_uia());
        let mut found = errors::found(reply, may_ask);
        if ["/_matrix/federation/", "/_matrix/key/"].iter().any(|api| path.starts_with(api)) {
            // Servers have signatures where clients have tokens.
            found.retain(|error| error != "M_UNAUTHORIZED with the status 401");
        }
        for operation in operations {
            let contents = operation.responses.get(&reply.status.to_string());
            let Some(schema) = contents.and_then(|contents| contents.get("application/json"))
            else {
                continue;
            };
            if !errors::is_generic(&reply.body) {
                found.extend(schema::errors(schema, &self.defs, &reply.body, false));
            }
        }
        found
    }
}

fn has_json(reply: &Reply) -> bool {
    let kind = reply.headers.get("content-type").and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.split(';').next() == Some("application/json"))
}

/// The beginning of a value, for a message.
fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(300).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reply(status: u16, body: &Value) -> Reply {
        let mut headers = http::HeaderMap::new();
        headers.insert("content-type", http::HeaderValue::from_static("application/json"));
        let bytes = body.to_string().into_bytes();
        Reply { status, headers, bytes, body: body.clone() }
    }

    fn wrong(method: &str, path: &str, status: u16, body: &Value) -> Vec<String> {
        spec().violations(method, path, &reply(status, body), false)
    }

    #[test]
    fn every_schema_compiles() {
        assert!(spec().operations().len() >= 163, "{}", spec().operations().len());
        for operation in spec().operations() {
            for contents in operation.responses.values().chain([&operation.request]) {
                for schema in contents.values() {
                    let _ = schema::errors(schema, &spec().defs, &json!({}), false);
                }
            }
        }
        events::compile_all();
    }

    #[test]
    fn paths_find_their_operation() {
        let id = |method: &str, path: &str| -> Vec<String> {
            spec().find(method, path).iter().map(|operation| operation.id.clone()).collect()
        };
        assert_eq!(id("GET", "/_matrix/client/v3/devices/X"), ["getDevice"]);
        assert_eq!(id("GET", "/_matrix/client/r0/sync"), ["sync"]);
        assert_eq!(id("GET", "/_matrix/media/v1/download/a/b"), ["getContent"]);
        assert_eq!(id("POST", "/_matrix/media/v1/create"), ["createContent"]);
        let state = "/_matrix/client/v3/rooms/!r:x/state/m.room.name";
        assert_eq!(id("GET", state), ["getRoomStateWithKey"]);
        assert_eq!(id("GET", &format!("{state}/")), ["getRoomStateWithKey"]);
        assert_eq!(id("POST", "/_matrix/client/v3/rooms/!r:x/invite").len(), 2);
        assert_eq!(id("GET", "/_matrix/client/v3/login/sso/redirect"), ["redirectToSSO"]);
        assert!(id("PATCH", "/_matrix/client/v3/sync").is_empty());
    }

    #[test]
    fn what_breaks_a_schema_is_told_with_pointer_and_value() {
        let path = "/_matrix/client/v3/sync?timeout=0";
        let event = json!({
            "type": "m.room.name", "state_key": "", "sender": "@a:x", "event_id": "$e",
            "origin_server_ts": 1, "content": { "name": 7 },
        });
        let room = json!({ "timeline": { "events": [event] } });
        let body = json!({ "next_batch": "s1", "rooms": { "join": { "!r:x": room } } });
        let found = wrong("GET", path, 200, &body);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].contains("/rooms/join/!r:x/timeline/events/0"), "{found:?}");
        assert!(found[0].contains("m.room.name") && found[0].contains("/name"), "{found:?}");
        assert!(spec().violations("GET", path, &reply(200, &body), true).is_empty());
        assert!(!wrong("GET", path, 200, &json!({ "next_batch": 7 })).is_empty());
        assert!(!wrong("GET", path, 200, &json!({ "next_batch": "s", "x": null })).is_empty());
        assert!(!wrong("GET", path, 201, &json!({ "next_batch": "s" })).is_empty());
        assert!(wrong("GET", path, 200, &json!({ "next_batch": "s" })).is_empty());
    }

    #[test]
    fn errors_have_errcode_and_text() {
        let path = "/_matrix/client/v3/sync";
        let standard = json!({ "errcode": "M_FORBIDDEN", "error": "no" });
        assert!(wrong("GET", path, 403, &standard).is_empty());
        assert!(!wrong("GET", path, 403, &json!({ "errcode": "M_FORBIDDEN" })).is_empty());
        assert!(!wrong("GET", path, 401, &standard).is_empty());
        let limited =
            json!({ "errcode": "M_LIMIT_EXCEEDED", "error": "no", "retry_after_ms": "7" });
        assert!(!wrong("GET", path, 429, &limited).is_empty());
        let uia =
            json!({ "session": "x", "flows": [{ "stages": ["m.login.dummy"] }], "params": {} });
        assert!(wrong("POST", "/_matrix/client/v3/register", 401, &uia).is_empty());
        assert!(!wrong("GET", path, 401, &uia).is_empty());
    }
}
