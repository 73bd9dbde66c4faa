//! Moderation policy lists: which users, rooms and servers the server's admins do not want
//! (<https://spec.matrix.org/v1.19/client-server-api/#moderation-policy-lists>). Pure decisions on plain
//! data.

use serde_json::Value;

/// Rules of one kind that are taken from a list.
pub const RULES_MAX: usize = 10_000;

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entity {
    /// A user.
    User,
    /// A room, by id or alias.
    Room,
    /// A server, by name.
    Server,
}

impl Entity {
    /// The entities with the types of their rules: that of the specification, and the one under which
    /// older tools wrote it.
    pub const TYPES: [(Self, &'static str); 6] = [
        (Self::User, "m.policy.rule.user"),
        (Self::User, "org.matrix.mjolnir.rule.user"),
        (Self::Room, "m.policy.rule.room"),
        (Self::Room, "org.matrix.mjolnir.rule.room"),
        (Self::Server, "m.policy.rule.server"),
        (Self::Server, "org.matrix.mjolnir.rule.server"),
    ];
}

/// Patterns of what is banned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyList {
    users: Vec<String>,
    rooms: Vec<String>,
    servers: Vec<String>,
}

impl PolicyList {
    /// Takes a rule in, if it recommends a ban.
    pub fn take(&mut self, entity: Entity, content: &Value) {
        let text = |key: &str| content.get(key).and_then(Value::as_str);
        let bans = matches!(text("recommendation"), Some("m.ban" | "org.matrix.mjolnir.ban"));
        let patterns = match entity {
            Entity::User => &mut self.users,
            Entity::Room => &mut self.rooms,
            Entity::Server => &mut self.servers,
        };
        if let Some(pattern) = text("entity").filter(|_| bans && patterns.len() < RULES_MAX) {
            patterns.push(pattern.to_owned());
        }
    }

    /// Whether a rule bans this.
    #[must_use]
    pub fn bans(&self, entity: Entity, name: &str) -> bool {
        let patterns = match entity {
            Entity::User => &self.users,
            Entity::Room => &self.rooms,
            Entity::Server => &self.servers,
        };
        patterns.iter().any(|pattern| glob(pattern, name))
    }
}

/// Whether a pattern, in which `*` stands for any characters and `?` for one, matches the whole text
/// (<https://spec.matrix.org/v1.19/appendices/#glob-style-matching>).
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    glob_of(&pattern, &text, ('*', '?'))
}

/// As [`glob`], of any characters; `star` stands for any number of them and `any` for one.
pub(crate) fn glob_of<T: PartialEq>(pattern: &[T], text: &[T], (star_char, any): (T, T)) -> bool {
    let (mut at, mut in_text) = (0, 0);
    // Where to go on when a star has to stand for one more character.
    let mut star: Option<(usize, usize)> = None;
    while let Some(c) = text.get(in_text) {
        match pattern.get(at) {
            Some(p) if *p == star_char => {
                star = Some((at, in_text));
                at += 1;
            }
            Some(p) if p == c || *p == any => {
                at += 1;
                in_text += 1;
            }
            _ => match star {
                Some((star_at, eaten)) => {
                    star = Some((star_at, eaten + 1));
                    at = star_at + 1;
                    in_text = eaten + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|c| *c == star_char)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn globs_match_whole_texts() {
        for (pattern, text, expected) in [
            ("@spam*:x", "@spammer:x", true),
            ("@spam*:x", "@spammer:xy", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("@?:x", "@é:x", true),
            ("@?:x", "@ab:x", false),
            ("*.evil.example", "a.b.evil.example", true),
            ("*.evil.example", "evil.example", false),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn only_bans_count() {
        let mut list = PolicyList::default();
        list.take(
            Entity::User,
            &json!({ "entity": "@a:x", "recommendation": "m.ban", "reason": "r" }),
        );
        list.take(Entity::User, &json!({ "entity": "@b:x", "recommendation": "m.warn" }));
        list.take(Entity::User, &json!({}));
        list.take(
            Entity::Server,
            &json!({ "entity": "evil.*", "recommendation": "org.matrix.mjolnir.ban" }),
        );
        assert!(list.bans(Entity::User, "@a:x") && !list.bans(Entity::User, "@b:x"));
        assert!(list.bans(Entity::Server, "evil.example") && !list.bans(Entity::Room, "@a:x"));
    }
}
