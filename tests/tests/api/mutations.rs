//! Bad input: at least 20 mutations through every route with real parameters and a valid token. Never a
//! 5xx, always an errcode, and nonsense is never accepted where a body is read.

use std::{collections::BTreeMap, time::Duration};

use pli_tests::{
    openapi::spec,
    server::{Reply, TestServer, TestUser},
};
use reqwest::{Client, Method};
use serde_json::{Value, json};

/// Routes whose refusals are pages for people, not JSON.
const PAGES: [&str; 5] = [
    "/_matrix/client/r0/auth/",
    "/_matrix/client/r0/login/sso/",
    "/_matrix/client/v3/auth/",
    "/_matrix/client/v3/login/sso/",
    "/_pli/",
];
/// Routes that read a body: nonsense must be refused by these.
const READ_A_BODY: [&str; 12] = [
    "/_matrix/client/v3/createRoom",
    "/_matrix/client/v3/keys/claim",
    "/_matrix/client/v3/keys/query",
    "/_matrix/client/v3/keys/upload",
    "/_matrix/client/v3/login",
    "/_matrix/client/v3/register",
    "/_matrix/client/v3/rooms/{room_id}/ban",
    "/_matrix/client/v3/rooms/{room_id}/invite",
    "/_matrix/client/v3/rooms/{room_id}/kick",
    "/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}",
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}/{state_key}",
    "/_matrix/client/v3/sendToDevice/{event_type}/{txn_id}",
];

/// A body with its content type. `must_refuse` if no endpoint that reads a body may accept it.
struct Bad {
    name: &'static str,
    body: Vec<u8>,
    content_type: &'static str,
    must_refuse: bool,
}

fn bad(name: &'static str, body: impl Into<Vec<u8>>, must_refuse: bool) -> Bad {
    Bad { name, body: body.into(), content_type: "application/json", must_refuse }
}

fn bodies() -> Vec<Bad> {
    let keys = [
        "msgtype",
        "body",
        "user_id",
        "reason",
        "password",
        "type",
        "identifier",
        "auth",
        "topic",
        "name",
        "preset",
        "invite",
        "initial_state",
        "creation_content",
        "visibility",
        "messages",
        "device_keys",
        "one_time_keys",
        "fallback_keys",
        "devices",
        "timeout",
        "displayname",
        "avatar_url",
        "room_version",
        "room_id",
        "event_id",
        "new_version",
        "filter",
        "limit",
        "search_categories",
        "rooms",
        "auth_data",
        "algorithm",
        "typing",
        "m.read",
        "order",
        "pushkey",
        "kind",
        "app_id",
        "data",
        "lang",
        "refresh_token",
        "access_token",
        "email",
        "client_secret",
        "send_attempt",
        "sid",
        "domain",
        "organisation",
        "enabled",
        "actions",
    ];
    let every = |value: Value| {
        let map: serde_json::Map<String, Value> =
            keys.iter().map(|key| ((*key).to_owned(), value.clone())).collect();
        Value::Object(map).to_string()
    };
    let deep_objects = format!("{}1{}", "{\"a\":".repeat(500), "}".repeat(500));
    let deep_arrays = format!("{{\"body\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    vec![
        bad("empty", "", false),
        bad("opening brace", "{", true),
        bad("truncated", r#"{"msgtype":"m.text","body":"hel"#, true),
        bad("trailing garbage", r#"{"msgtype":"m.text"}}"#, true),
        bad("null", "null", true),
        bad("list", "[]", true),
        bad("text", "\"text\"", true),
        bad("number", "42", true),
        bad("true", "true", true),
        bad("deep objects", deep_objects, false),
        bad("deep arrays", deep_arrays, false),
        bad("huge", format!(r#"{{"body":"{}"}}"#, "x".repeat(2 * 1024 * 1024)), false),
        bad("lone surrogate", r#"{"body":"\ud800","msgtype":"m.text"}"#, true),
        bad("lone surrogate in a key", r#"{"\udfff":1}"#, true),
        bad("invalid UTF-8", b"{\"body\":\"\xff\xfe\"}".to_vec(), true),
        bad("byte order mark", b"\xef\xbb\xbf{}".to_vec(), true),
        bad("control character", "{\"body\":\"a\nb\"}", true),
        bad("NUL in texts", every(json!("\u{0}")), false),
        bad("odd unicode", every(json!("\u{202e}\u{1f9d1}\u{200d}\u{feff}")), false),
        bad("huge exponent", r#"{"body":1e400,"limit":1e400,"timeout":1e400}"#, false),
        bad("2^63", every(json!(9_223_372_036_854_775_808_u64)), false),
        bad("-2^53", every(json!(-9_007_199_254_740_992_i64)), false),
        bad("fractions", every(json!(0.5)), false),
        bad("nulls", every(Value::Null), false),
        bad("objects", every(json!({"": {"": []}})), false),
        bad("lists", every(json!([[], {}, null])), false),
        bad("numbers", every(json!(7)), false),
        bad("long texts", every(json!("é".repeat(400))), false),
        bad("duplicate keys", r#"{"type":"a","type":"b","body":"a","body":"b"}"#, false),
        Bad {
            name: "form",
            body: b"user=a&password=b".to_vec(),
            content_type: "application/x-www-form-urlencoded",
            must_refuse: true,
        },
        Bad { name: "XML", body: b"<a/>".to_vec(), content_type: "text/xml", must_refuse: true },
    ]
}

const QUERIES: [&str; 6] = [
    "?limit=-1&timeout=abc&dir=sideways&from=%00&since=%00&full_state=perhaps",
    "?limit=99999999999999999999&since=s999999999999999999999&from=t1&dir=b",
    "?limit=&since=&from=&to=&dir=&filter=&user_id=&username=&access_token=",
    "?filter=%7B%22room%22&since=..%2F..&at=x&membership=nobody&not_membership=&dir=f",
    "?%FF%FE=%FF&a=%ZZ&&&===",
    "?width=-5&height=huge&method=melt&allow_remote=7&timeout_ms=-1&animated=x&kind=x&ts=-1&dir=b",
];
const SEGMENTS: [&str; 7] =
    ["%00", "%FF%FE", "%F0%9F%A7%91", "..%2F..%2Fetc%2Fpasswd", "!:", "@%20:x", "LONG"];

/// A path with real values for its parameters.
fn real_path(template: &str, values: &BTreeMap<&str, String>) -> String {
    fill(template, |name| values.get(name).cloned().unwrap_or_else(|| "x".to_owned()))
}

fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    template
        .split('/')
        .map(|segment| match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
            Some(name) => value(name),
            None => segment.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("/")
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

struct Driver<'a> {
    server: &'a TestServer,
    client: Client,
    user: TestUser,
    failures: Vec<String>,
    requests: usize,
}

impl Driver<'_> {
    /// A room and a message of the user, as parameters.
    async fn values(&mut self) -> BTreeMap<&'static str, String> {
        if self.user.get("/_matrix/client/v3/account/whoami").await.status != 200 {
            self.user = self.server.login("root").await;
        }
        let room = self.user.create_room(json!({})).await;
        let event = self.user.say(&encode(&room), "hello").await;
        BTreeMap::from([
            ("room_id", encode(&room)),
            ("room_id_or_alias", encode(&room)),
            ("event_id", encode(&event)),
            ("user_id", encode(&self.user.user_id)),
            ("device_id", encode(&self.user.device_id)),
            ("room_alias", encode("#alias:pli.test")),
            ("event_type", "m.room.topic".to_owned()),
            ("rel_type", "m.reference".to_owned()),
            ("receipt_type", "m.read".to_owned()),
            ("state_key", String::new()),
            ("txn_id", format!("t{}", self.requests)),
            ("server_name", "pli.test".to_owned()),
            ("field", "displayname".to_owned()),
            ("kind", "override".to_owned()),
            ("scope", "global".to_owned()),
            ("medium", "email".to_owned()),
        ])
    }

    async fn send(&mut self, method: &Method, path: &str, what: &str, bad: Option<&Bad>) -> u16 {
        self.requests += 1;
        let url = format!("{}{path}", self.server.url);
        let mut request = self.client.request(method.clone(), &url).bearer_auth(&self.user.token);
        request = request.timeout(Duration::from_secs(20));
        if let Some(bad) = bad {
            request = request.header("content-type", bad.content_type).body(bad.body.clone());
        }
        let shown: String = path.chars().take(120).collect();
        let response = match request.send().await {
            Ok(response) => response,
            // A body above the limit may be refused before it is read to its end.
            Err(_) if what == "huge" => return 413,
            Err(error) => {
                self.failures.push(format!("{method} {shown} [{what}]: no answer: {error}"));
                return 0;
            }
        };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.unwrap_or_default().to_vec();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let reply = Reply { status, headers, bytes, body: body.clone() };
        let path = path.split('?').next().unwrap_or_default();
        for violation in spec().violations(method.as_str(), path, &reply, true) {
            self.failures.push(format!("[{what}] {violation}"));
        }
        let errcode = body["errcode"].as_str().unwrap_or_default();
        let is_uia = status == 401 && body["flows"].is_array();
        let is_page = PAGES.iter().any(|page| path.starts_with(page));
        if status >= 500 || (status >= 400 && !errcode.starts_with("M_") && !is_uia && !is_page) {
            let start: String = text.chars().take(160).collect();
            self.failures.push(format!("{method} {shown} [{what}]: {status} {start}"));
        }
        status
    }

    async fn route(&mut self, method: &Method, template: &str) {
        let values = self.values().await;
        let path = real_path(template, &values);
        let reads_a_body = READ_A_BODY.contains(&template);
        if *method != Method::GET {
            for bad in bodies() {
                let status = self.send(method, &path, bad.name, Some(&bad)).await;
                if reads_a_body && bad.must_refuse && status == 200 {
                    self.failures.push(format!("{method} {template} accepts [{}]", bad.name));
                }
            }
        }
        for query in QUERIES {
            self.send(method, &format!("{path}{query}"), "query", None).await;
        }
        if template.contains('{') {
            for segment in SEGMENTS {
                let long = "a".repeat(5_000);
                let value = if segment == "LONG" { &long } else { segment };
                let odd = fill(template, |_| value.to_owned());
                self.send(method, &odd, "segment", None).await;
                // One parameter at a time, among real ones.
                for name in values.keys().filter(|name| template.contains(**name)) {
                    let mut changed = values.clone();
                    changed.insert(name, value.to_owned());
                    self.send(method, &real_path(template, &changed), "one segment", None).await;
                }
            }
        }
        let patch = Method::PATCH;
        let status = self.send(&patch, &path, "wrong method", None).await;
        if status != 405 && status != 401 {
            self.failures.push(format!("PATCH {template}: {status}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_by_every_route_and_never_breaks_one() {
    let server = TestServer::start_with(|config| {
        config.registration.shared_secret = Some("secret".to_owned());
    })
    .await;
    let user = server.register_admin("root").await;
    let client = Client::new();
    let mut driver = Driver { server: &server, client, user, failures: Vec::new(), requests: 0 };
    let routes = pli_api::whole::routes().list();
    for route in &routes {
        let method: Method = route.method.parse().unwrap();
        driver.route(&method, &route.path).await;
    }
    println!("{} requests through {} routes", driver.requests, routes.len());
    let failures = driver.failures;
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn there_are_enough_mutations() {
    assert!(bodies().len() >= 20, "{}", bodies().len());
}
