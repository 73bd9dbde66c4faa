//! Whose invites a user takes
//! (<https://spec.matrix.org/v1.19/client-server-api/#invite-permission>), with the finer lists of
//! [MSC4155](https://github.com/matrix-org/matrix-spec-proposals/pull/4155).

use pli_schema::records::sync::AccountDataKey;
use pli_store::Store;
use ruma::UserId;
use serde::Deserialize;

use crate::{Result, filters::matches_pattern};

/// The account data in which clients keep it: the name of the specification, and those that the
/// proposals gave it before.
const TYPES: [&str; 3] = [
    "m.invite_permission_config",
    "org.matrix.msc4380.invite_permission_config",
    "org.matrix.msc4155.invite_permission_config",
];

/// What happens to an invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteDecision {
    /// The user gets it.
    Allow,
    /// It is accepted, and the user is not told.
    Ignore,
    /// Whoever invites is refused.
    Block,
}

/// Whose invites a user takes.
#[derive(Clone, Debug, Default)]
pub struct InvitePermission {
    configs: Vec<Config>,
}

/// The content of one of the types. A content of another shape counts as none.
#[derive(Clone, Debug, Deserialize)]
struct Config {
    default_action: Option<String>,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    allowed_users: Vec<String>,
    #[serde(default)]
    ignored_users: Vec<String>,
    #[serde(default)]
    blocked_users: Vec<String>,
    #[serde(default)]
    allowed_servers: Vec<String>,
    #[serde(default)]
    ignored_servers: Vec<String>,
    #[serde(default)]
    blocked_servers: Vec<String>,
}

const fn yes() -> bool {
    true
}

impl InvitePermission {
    /// What a user of this server has set.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn read(store: &Store, user_id: &UserId) -> Result<Self> {
        let mut configs = Vec::new();
        for data_type in TYPES {
            let key = AccountDataKey {
                user_id: user_id.to_owned(),
                room_id: String::new(),
                data_type: data_type.to_owned(),
            };
            if let Some(record) = store.get(&key).await? {
                configs.extend(serde_json::from_str(&record.content).ok());
            }
        }
        Ok(Self { configs })
    }

    /// What happens to an invite of this user.
    #[must_use]
    pub fn decide(&self, sender: &UserId) -> InviteDecision {
        let decisions = self.configs.iter().map(|config| config.decide(sender));
        decisions
            .into_iter()
            .find(|one| *one != InviteDecision::Allow)
            .unwrap_or(InviteDecision::Allow)
    }
}

impl Config {
    fn decide(&self, sender: &UserId) -> InviteDecision {
        use InviteDecision::{Allow, Block, Ignore};
        if !self.enabled {
            return Allow;
        }
        let matches = |globs: &[String], text: &str| globs.iter().any(|glob| is_match(glob, text));
        let server = sender.server_name().host();
        let lists = [
            (&self.allowed_users, sender.as_str(), Allow),
            (&self.ignored_users, sender.as_str(), Ignore),
            (&self.blocked_users, sender.as_str(), Block),
            (&self.allowed_servers, server, Allow),
            (&self.ignored_servers, server, Ignore),
            (&self.blocked_servers, server, Block),
        ];
        let listed = lists.into_iter().find(|(globs, text, _)| matches(globs, text));
        match listed {
            Some((_, _, decision)) => decision,
            None if self.default_action.as_deref() == Some("block") => Block,
            None => Allow,
        }
    }
}

/// Whether a glob (`*` any characters, `?` one) matches the whole text, whatever the case
/// (<https://spec.matrix.org/v1.19/appendices/#glob-style-matching>).
fn is_match(glob: &str, text: &str) -> bool {
    let (glob, text) = (glob.to_lowercase(), text.to_lowercase());
    if !glob.contains('?') {
        return matches_pattern(&glob, &text);
    }
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut at, mut place) = (0_usize, 0_usize);
    let mut star: Option<(usize, usize)> = None;
    while let Some(here) = text.get(place) {
        match glob.get(at) {
            Some('*') => {
                star = Some((at, place));
                at = at.saturating_add(1);
            }
            Some(one) if *one == '?' || one == here => {
                (at, place) = (at.saturating_add(1), place.saturating_add(1));
            }
            _ => match star {
                // The last star takes one more.
                Some((star_at, taken)) => {
                    let taken = taken.saturating_add(1);
                    star = Some((star_at, taken));
                    (at, place) = (star_at.saturating_add(1), taken);
                }
                None => return false,
            },
        }
    }
    glob.iter().skip(at).all(|one| *one == '*')
}

#[cfg(test)]
mod tests {
    use ruma::user_id;
    use serde_json::{Value, json};

    use super::*;

    fn decide(configs: &[Value], sender: &UserId) -> InviteDecision {
        let parse = |config: &Value| serde_json::from_value(config.clone()).ok();
        InvitePermission { configs: configs.iter().filter_map(parse).collect() }.decide(sender)
    }

    #[test]
    fn users_go_before_servers_and_allowing_before_blocking() {
        use InviteDecision::{Allow, Block, Ignore};
        let (john, good, bad) = (
            user_id!("@john:good.example"),
            user_id!("@good:bad.example:8448"),
            user_id!("@bad:bad.example"),
        );
        for (config, expected) in [
            (json!({}), [Allow, Allow, Allow]),
            (json!({ "default_action": "block" }), [Block, Block, Block]),
            (json!({ "blocked_servers": ["*"] }), [Block, Block, Block]),
            (json!({ "blocked_servers": ["*"], "enabled": false }), [Allow, Allow, Allow]),
            (json!({ "blocked_servers": ["bad.example"] }), [Allow, Block, Block]),
            (
                json!({ "allowed_users": ["@good:*"], "ignored_servers": ["BAD.*"] }),
                [Allow, Allow, Ignore],
            ),
            (
                json!({ "allowed_servers": ["good.example"], "blocked_users": ["@j?hn:*"], "blocked_servers": ["*"] }),
                [Block, Block, Block],
            ),
            (
                json!({ "ignored_users": ["@bad:*"], "blocked_users": ["*"] }),
                [Block, Block, Ignore],
            ),
            (json!({ "blocked_servers": "no list" }), [Allow, Allow, Allow]),
        ] {
            let found = [john, good, bad].map(|user| decide(std::slice::from_ref(&config), user));
            assert_eq!(found, expected, "{config}");
        }
        let both = [json!({}), json!({ "blocked_users": ["@bad:*"] })];
        assert_eq!(decide(&both, bad), Block);
    }

    #[test]
    fn globs() {
        for (glob, text, expected) in [
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*?", "", false),
            ("*b?d*", "xxbbcdyy", true),
            ("?*?", "a", false),
            ("é?", "ÉA", true),
        ] {
            assert_eq!(is_match(glob, text), expected, "{glob} {text}");
        }
    }
}
