//! Which servers may take part in a room
//! (<https://spec.matrix.org/v1.19/client-server-api/#server-access-control-lists-acls-for-rooms>).

use std::sync::Arc;

use pli_schema::RoomNumber;
use ruma::ServerName;
use serde_json::Value;

use super::Rooms;
use crate::{Result, policy::lists::glob_of};

/// Bytes of a server's name at most: a pattern with more characters matches none.
const NAME_BYTES_MAX: usize = 255;

/// What an `m.room.server_acl` event says, its patterns ready to be matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerAcl {
    allow_ip_literals: bool,
    allow: Vec<Vec<u8>>,
    deny: Vec<Vec<u8>>,
}

impl ServerAcl {
    /// Of the content of the event. What is missing or of a wrong type has its default: an empty list.
    fn of(content: &Value) -> Self {
        let patterns = |name: &str| {
            let list = content.get(name).and_then(Value::as_array);
            let texts = list.into_iter().flatten().filter_map(Value::as_str);
            texts.filter_map(pattern).collect()
        };
        let allow_ip_literals = content.get("allow_ip_literals").and_then(Value::as_bool);
        Self {
            allow_ip_literals: allow_ip_literals.unwrap_or(true),
            allow: patterns("allow"),
            deny: patterns("deny"),
        }
    }

    fn len(&self) -> usize {
        self.allow.len().saturating_add(self.deny.len())
    }

    fn allows(&self, server: &ServerName) -> bool {
        let host = server.host().to_ascii_lowercase();
        let listed = |patterns: &[Vec<u8>]| {
            patterns.iter().any(|pattern| glob_of(pattern, host.as_bytes(), (b'*', b'?')))
        };
        (self.allow_ip_literals || !server.is_ip_literal())
            && !listed(&self.deny)
            && listed(&self.allow)
    }
}

/// A pattern in small letters, with one star for several; `None` if it is longer than any name.
fn pattern(text: &str) -> Option<Vec<u8>> {
    let mut pattern = text.to_ascii_lowercase().into_bytes();
    pattern.dedup_by(|a, b| *a == b'*' && a == b);
    let fixed = pattern.iter().filter(|byte| **byte != b'*').count();
    (fixed <= NAME_BYTES_MAX).then_some(pattern)
}

impl Rooms {
    /// Whether the room's `m.room.server_acl` lets a server take part.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn acl_admits(&self, room: RoomNumber, server: &ServerName) -> Result<bool> {
        if server == self.server_name() {
            return Ok(true);
        }
        let Some(event) = self.current_state_event(room, "m.room.server_acl", "").await? else {
            return Ok(true);
        };
        let key = (event.number, self.caches.redactions());
        if let Some(acl) = self.caches.server_acls.get(&key) {
            return Ok(acl.allows(server));
        }
        let acl = Arc::new(ServerAcl::of(&event.content::<Value>()?.unwrap_or_default()));
        let weight = acl.len().saturating_add(1);
        Ok(self.caches.server_acls.put_read(key, acl, weight).allows(server))
    }
}

#[cfg(test)]
mod tests {
    use ruma::OwnedServerName;
    use serde_json::json;

    use super::*;

    fn allows(acl: &Value, server: &str) -> bool {
        ServerAcl::of(acl).allows(&OwnedServerName::try_from(server).unwrap())
    }

    #[test]
    fn the_lists_apply_in_the_order_of_the_specification() {
        let acl = json!({ "allow": ["*"], "deny": ["*.evil.com", "EVIL.com"] });
        for (server, allowed) in [
            ("good.com", true),
            ("evil.com", false),
            ("Evil.com:8448", false),
            ("a.b.evil.com:1", false),
            ("notevil.com", true),
            ("1.2.3.4", true),
            ("[::1]:8448", true),
        ] {
            assert_eq!(allows(&acl, server), allowed, "{server}");
        }
        let acl = json!({ "allow": ["*"], "allow_ip_literals": false });
        for server in ["1.2.3.4", "1.2.3.4:8448", "[::1]", "[1234:5678::abcd]:5678"] {
            assert!(!allows(&acl, server), "{server}");
        }
        assert!(allows(&acl, "good.com"));
        assert!(allows(&json!({ "allow": ["s?.example", 7] }), "s1.example"));
    }

    #[test]
    fn what_is_not_there_allows_nobody_and_what_is_malformed_is_not_there() {
        for acl in [json!({}), json!({ "allow": "*" }), json!({ "allow": [["*"]] }), json!(7)] {
            assert!(!allows(&acl, "good.com"), "{acl}");
        }
        assert!(allows(
            &json!({ "allow": ["*"], "deny": "*", "allow_ip_literals": "no" }),
            "1.2.3.4"
        ));
    }

    /// `quality.md`, Part IV, 14.
    #[test]
    fn cve_2023_45129_huge_access_lists_are_matched_in_linear_time() {
        let deny: Vec<&str> = std::iter::repeat_n("*?*?*!", 100_000).collect();
        let acl = ServerAcl::of(&json!({ "allow": ["*"], "deny": deny }));
        let server = OwnedServerName::try_from("a".repeat(230)).unwrap();
        let started = std::time::Instant::now();
        assert!(acl.allows(&server));
        // Unoptimized, on a machine that does other things too; quadratic matching would take hours.
        assert!(started.elapsed() < std::time::Duration::from_secs(20));
        let long = format!("*{}", "?".repeat(30_000));
        assert!(ServerAcl::of(&json!({ "allow": ["*"], "deny": [long] })).allows(&server));
        let stars = "*".repeat(30_000);
        assert!(!ServerAcl::of(&json!({ "allow": ["*"], "deny": [stars] })).allows(&server));
    }
}
