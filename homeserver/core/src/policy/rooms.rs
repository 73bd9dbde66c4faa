//! Rules of the administration for rooms: who may be in them, what may be changed in them. Pure
//! decisions on plain data, beside Matrix's authorization rules and after them.
//!
//! The rules are those of the French administration's messenger: each room has an access rule
//! (`im.vector.room.access_rules`) that says whether external people may be in it.

mod creation;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use self::creation::{Wishes, complete};

/// The type of the state event with the access rule.
pub const ACCESS_RULES: &str = "im.vector.room.access_rules";
/// How long messages of public rooms are kept at most: 90 days in milliseconds.
pub const PUBLIC_RETENTION_MS: u64 = 90 * 24 * 3_600 * 1_000;

/// Who may be in a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessRule {
    /// Agents only; what a room has that says nothing.
    #[default]
    Restricted,
    /// External people too, if they are invited.
    Unrestricted,
    /// Two people.
    Direct,
}

impl AccessRule {
    /// The rule as the event writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restricted => "restricted",
            Self::Unrestricted => "unrestricted",
            Self::Direct => "direct",
        }
    }

    /// The rule of an event's content; `None` if it has none that is known.
    #[must_use]
    pub fn of(content: &Value) -> Option<Self> {
        match content.get("rule").and_then(Value::as_str)? {
            "restricted" => Some(Self::Restricted),
            "unrestricted" => Some(Self::Unrestricted),
            "direct" => Some(Self::Direct),
            _ => None,
        }
    }
}

/// What is known of the room and the people, before the event.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The content of the access rule event; `None` if there is none yet.
    pub access_rules: Option<Value>,
    /// The join rule is `public`.
    pub is_public: bool,
    /// The room is encrypted.
    pub is_encrypted: bool,
    /// The room is in the directory.
    pub is_published: bool,
    /// Members that are joined or invited.
    pub members: u64,
    /// The person whose membership changes is external.
    pub target_is_external: bool,
    /// The person whose membership changes is joined or invited already.
    pub target_is_resident: bool,
    /// An external person is given a power level other than 0 by the event.
    pub gives_power_to_externals: bool,
    /// Who sends it is an admin of the server: free of these rules.
    pub sender_is_admin: bool,
}

impl Facts {
    /// The rule of the room.
    fn rule(&self) -> AccessRule {
        self.access_rules.as_ref().and_then(AccessRule::of).unwrap_or_default()
    }
}

/// A rule refuses; the text is for the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub &'static str);

fn refuse_if(condition: bool, text: &'static str) -> Result<(), Refusal> {
    if condition { Err(Refusal(text)) } else { Ok(()) }
}

/// Whether a state event may be sent.
///
/// # Errors
/// [`Refusal`] with the reason.
pub fn decide(event_type: &str, content: &Value, facts: &Facts) -> Result<(), Refusal> {
    if facts.sender_is_admin {
        return Ok(());
    }
    match event_type {
        "m.room.member" => membership(content, facts),
        "m.room.power_levels" => power_levels(content, facts),
        "m.room.name" | "m.room.avatar" | "m.room.topic" => refuse_if(
            facts.rule() == AccessRule::Direct,
            "A direct conversation has no name, picture or topic",
        ),
        "m.room.join_rules" => join_rules(content, facts),
        "m.room.encryption" => refuse_if(facts.is_public, "Public rooms are not encrypted"),
        "m.room.retention" => retention(content, facts),
        ACCESS_RULES => access_rules(content, facts),
        _ => Ok(()),
    }
}

/// Whether a room may be put into the directory.
///
/// # Errors
/// [`Refusal`] with the reason.
pub fn decide_publishing(facts: &Facts) -> Result<(), Refusal> {
    refuse_if(
        !facts.sender_is_admin && facts.rule() != AccessRule::Restricted,
        "Only rooms without external people may be published",
    )
}

fn membership(content: &Value, facts: &Facts) -> Result<(), Refusal> {
    let membership = content.get("membership").and_then(Value::as_str).unwrap_or_default();
    if !matches!(membership, "invite" | "join" | "knock") {
        return Ok(());
    }
    match facts.rule() {
        AccessRule::Restricted => {
            refuse_if(facts.target_is_external, "External people may not be in this room")
        }
        AccessRule::Unrestricted => refuse_if(
            membership != "invite" && facts.target_is_external && !facts.target_is_resident,
            "External people need an invitation to this room",
        ),
        AccessRule::Direct => refuse_if(
            !facts.target_is_resident && facts.members >= 2,
            "A direct conversation has two members",
        ),
    }
}

fn power_levels(content: &Value, facts: &Facts) -> Result<(), Refusal> {
    if facts.rule() != AccessRule::Unrestricted {
        return Ok(());
    }
    let by_default = content.get("users_default").and_then(Value::as_i64).unwrap_or(0);
    refuse_if(
        by_default != 0 || facts.gives_power_to_externals,
        "External people may not have power in a room",
    )
}

fn join_rules(content: &Value, facts: &Facts) -> Result<(), Refusal> {
    let becomes_public = content.get("join_rule").and_then(Value::as_str) == Some("public");
    refuse_if(
        becomes_public && facts.rule() == AccessRule::Direct,
        "A direct conversation cannot be public",
    )?;
    refuse_if(
        facts.is_public && !becomes_public && !facts.is_encrypted,
        "A public room cannot become private",
    )
}

fn retention(content: &Value, facts: &Facts) -> Result<(), Refusal> {
    let lifetime = content.get("max_lifetime").and_then(Value::as_u64);
    let kept_too_long = lifetime.is_none_or(|lifetime| lifetime > PUBLIC_RETENTION_MS);
    refuse_if(
        facts.is_public && kept_too_long,
        "Messages of public rooms are kept for 90 days at most",
    )
}

fn access_rules(content: &Value, facts: &Facts) -> Result<(), Refusal> {
    let Some(new) = AccessRule::of(content) else {
        return Err(Refusal("Unknown access rule"));
    };
    let Some(current) = &facts.access_rules else {
        return refuse_if(
            new == AccessRule::Direct && facts.members > 2,
            "A direct conversation has two members",
        );
    };
    let old = facts.rule();
    let opens = (old, new) == (AccessRule::Restricted, AccessRule::Unrestricted);
    refuse_if(old != new && !opens, "The access rule of a room cannot be changed this way")?;
    refuse_if(
        new != AccessRule::Restricted && facts.is_published,
        "A room in the directory is for agents only",
    )?;
    for key in ["visibility", "force_unencrypted_at_creation"] {
        refuse_if(
            current.get(key) != content.get(key),
            "This part of the access rule is set for good when the room is created",
        )?;
    }
    Ok(())
}
