//! What the rules add to a room when it is created, and what they refuse of it.

use serde_json::{Map, Value, json};

use super::{ACCESS_RULES, AccessRule, PUBLIC_RETENTION_MS, Refusal, refuse_if};

/// What is wished of a new room, as far as the rules look at it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wishes {
    /// It is a direct conversation.
    pub is_direct: bool,
    /// It goes into the directory.
    pub is_published: bool,
    /// Its preset makes it public.
    pub is_public: bool,
    /// The state events with an empty state key that are given, by type.
    pub state: Vec<(String, Value)>,
    /// The power levels that are given.
    pub power_levels: Map<String, Value>,
    /// The power level for closing the room.
    pub tombstone_level: i64,
}

impl Wishes {
    fn given(&self, event_type: &str) -> Option<&Value> {
        self.state.iter().rev().find(|(given, _)| given == event_type).map(|(_, content)| content)
    }

    fn add(&mut self, event_type: &str, content: Value) {
        if self.given(event_type).is_none() {
            self.state.push((event_type.to_owned(), content));
        }
    }

    fn joins_publicly(&self) -> bool {
        let rule = self.given("m.room.join_rules").and_then(|content| content.get("join_rule"));
        rule.and_then(Value::as_str).map_or(self.is_public, |rule| rule == "public")
    }
}

/// Completes the wishes with what the rules want.
///
/// # Errors
/// [`Refusal`] for wishes that contradict the rules.
pub fn complete(mut wishes: Wishes) -> Result<Wishes, Refusal> {
    let public = wishes.joins_publicly();
    let access = access_rules(&wishes, public)?;
    let unencrypted = access.get("force_unencrypted_at_creation") == Some(&Value::Bool(true));
    wishes.state.retain(|(event_type, _)| event_type != ACCESS_RULES);
    wishes.state.insert(0, (ACCESS_RULES.to_owned(), access));
    if public {
        let encrypted = wishes.given("m.room.encryption").is_some();
        refuse_if(encrypted, "Public rooms are not encrypted")?;
        let kept = wishes.given("m.room.retention").and_then(|c| c.get("max_lifetime")?.as_u64());
        let asked = wishes.given("m.room.retention").is_some();
        let too_long = kept.is_none_or(|kept| kept > PUBLIC_RETENTION_MS);
        refuse_if(asked && too_long, "Messages of public rooms are kept for 90 days at most")?;
        wishes.add("m.room.retention", json!({ "max_lifetime": PUBLIC_RETENTION_MS }));
    } else if !unencrypted {
        wishes.add("m.room.encryption", json!({ "algorithm": "m.megolm.v1.aes-sha2" }));
    }
    let visibility = if public { "shared" } else { "invited" };
    wishes.add("m.room.history_visibility", json!({ "history_visibility": visibility }));
    wishes.add("m.room.guest_access", json!({ "guest_access": "forbidden" }));
    complete_levels(&mut wishes.power_levels, wishes.tombstone_level)?;
    Ok(wishes)
}

/// The content of the access rule event.
fn access_rules(wishes: &Wishes, public: bool) -> Result<Value, Refusal> {
    let fitting = if wishes.is_direct { AccessRule::Direct } else { AccessRule::Restricted };
    let given = wishes.given(ACCESS_RULES);
    let rule = match given {
        Some(content) => AccessRule::of(content).ok_or(Refusal("Unknown access rule"))?,
        None => fitting,
    };
    refuse_if(
        (rule == AccessRule::Direct) != wishes.is_direct,
        "The access rule `direct` is that of direct conversations",
    )?;
    refuse_if(rule == AccessRule::Direct && public, "A direct conversation cannot be public")?;
    refuse_if(
        rule != AccessRule::Restricted && wishes.is_published,
        "Only rooms without external people may be published",
    )?;
    let visibility = if wishes.is_published { "public" } else { "private" };
    let mut content = given.cloned().unwrap_or_else(|| json!({}));
    let stated = content.get("visibility").and_then(Value::as_str);
    refuse_if(
        stated.is_some_and(|stated| stated != visibility),
        "The access rule contradicts the room's visibility",
    )?;
    if let Some(content) = content.as_object_mut() {
        content.insert("rule".to_owned(), Value::from(rule.as_str()));
        content.insert("visibility".to_owned(), Value::from(visibility));
    }
    Ok(content)
}

/// Fills in the levels that are not given.
fn complete_levels(levels: &mut Map<String, Value>, tombstone: i64) -> Result<(), Refusal> {
    let below = |key: &str, least: i64| {
        levels.get(key).and_then(Value::as_i64).is_some_and(|level| level < least)
    };
    refuse_if(below("invite", 50), "Inviting needs a power level of at least 50")?;
    refuse_if(below("state_default", 100), "Changing a room needs a power level of 100")?;
    let defaults = json!({
        "users_default": 0, "events_default": 0, "state_default": 100,
        "invite": 50, "kick": 50, "ban": 50, "redact": 50,
    });
    let events = json!({
        "m.room.name": 50, "m.room.avatar": 50, "m.room.canonical_alias": 50,
        "m.room.power_levels": 100, "m.room.history_visibility": 100, "m.room.server_acl": 100,
        "m.room.encryption": 100, "m.room.tombstone": tombstone, "m.beacon_info": 0, "org.matrix.msc3672.beacon_info": 0,
        "m.call.member": 0, "org.matrix.msc3401.call.member": 0,
    });
    fill(levels, defaults);
    let given = levels.entry("events").or_insert_with(|| json!({}));
    if let Some(given) = given.as_object_mut() {
        fill(given, events);
    }
    Ok(())
}

fn fill(levels: &mut Map<String, Value>, defaults: Value) {
    if let Value::Object(defaults) = defaults {
        for (key, value) in defaults {
            levels.entry(key).or_insert(value);
        }
    }
}
