//! The redaction algorithm: what is left of an event when its content is taken away
//! (<https://spec.matrix.org/v1.19/client-server-api/#redactions> and the room versions).

use std::borrow::Cow;

use ruma::{
    RoomVersionId,
    room_version_rules::{RedactionRules, RoomVersionRules},
};

use super::FormatError;
use crate::{
    canonical_json::{Numbers, Object, canonicalize, push_member},
    room_version,
};

/// The redacted form of an event as canonical JSON. Hashes and signatures stay, and so the
/// identifier; `unsigned` goes, except that with `because` (the redaction event, as JSON) it
/// becomes `{"redacted_because": because}`.
///
/// # Errors
/// [`FormatError`] when `json` is not an event of the room version.
pub fn redact(
    json: &str,
    version: &RoomVersionId,
    because: Option<&str>,
) -> Result<String, FormatError> {
    let rules = room_version::rules(version)?;
    let canonical = canonicalize(json, room_version::numbers(&rules))?;
    let mut redacted = without(&Object::parse(&canonical)?, &rules, |_| false)?;
    if let Some(because) = because {
        // The last key of those that stay is `type`, so `unsigned` belongs at the end.
        let because = canonicalize(because, Numbers::Lenient)?;
        redacted.pop();
        push_member(&mut redacted, "unsigned", &format!("{{\"redacted_because\":{because}}}"));
        redacted.push('}');
    }
    Ok(redacted)
}

/// What a server signs of an event, and what the reference hash is made of: the redacted event
/// without `signatures`. `event` must hold canonical values.
pub(super) fn signed_part(
    event: &Object<'_>,
    rules: &RoomVersionRules,
) -> Result<String, FormatError> {
    without(event, rules, |key| key == "signatures")
}

fn without(
    event: &Object<'_>,
    rules: &RoomVersionRules,
    drop: impl Fn(&str) -> bool,
) -> Result<String, FormatError> {
    let event_type: Cow<'_, str> = event
        .get("type")
        .and_then(|raw| serde_json::from_str(raw).ok())
        .ok_or_else(|| FormatError::Property("type".to_owned()))?;
    let rules = &rules.redaction;
    let mut out = String::from("{");
    for (key, value) in event.entries().filter(|(key, _)| keeps(key, rules) && !drop(key)) {
        if key == "content" {
            push_member(&mut out, key, &content(value, &event_type, rules)?);
        } else {
            push_member(&mut out, key, value);
        }
    }
    out.push('}');
    Ok(out)
}

fn keeps(key: &str, rules: &RedactionRules) -> bool {
    match key {
        "event_id" | "type" | "room_id" | "sender" | "state_key" | "content" | "hashes"
        | "signatures" | "depth" | "prev_events" | "auth_events" | "origin_server_ts" => true,
        "origin" | "membership" | "prev_state" => rules.keep_origin_membership_prev_state,
        _ => false,
    }
}

/// The redacted `content` of an event; `content` must be canonical JSON of an object.
pub(super) fn content(
    content: &str,
    event_type: &str,
    rules: &RedactionRules,
) -> Result<String, FormatError> {
    let object = Object::parse(content).map_err(|_| FormatError::Content)?;
    if event_type == "m.room.create" && rules.keep_room_create_content {
        return Ok(object.filtered(|_| true));
    }
    if event_type != "m.room.member" || !rules.keep_room_member_third_party_invite_signed {
        return Ok(object.filtered(|key| keeps_in_content(event_type, key, rules)));
    }
    let mut out = String::from("{");
    for (key, value) in object.entries() {
        if keeps_in_content(event_type, key, rules) {
            push_member(&mut out, key, value);
        } else if key == "third_party_invite" {
            // A value that is no object has no `signed` to keep and stays as it is.
            match Object::parse(value) {
                Ok(invite) => push_member(&mut out, key, &invite.filtered(|key| key == "signed")),
                Err(_) => push_member(&mut out, key, value),
            }
        }
    }
    out.push('}');
    Ok(out)
}

fn keeps_in_content(event_type: &str, key: &str, rules: &RedactionRules) -> bool {
    match (event_type, key) {
        ("m.room.member", "membership")
        | ("m.room.create", "creator")
        | ("m.room.join_rules", "join_rule")
        | (
            "m.room.power_levels",
            "ban" | "events" | "events_default" | "kick" | "redact" | "state_default" | "users"
            | "users_default",
        )
        | ("m.room.history_visibility", "history_visibility") => true,
        ("m.room.member", "join_authorised_via_users_server") => {
            rules.keep_room_member_join_authorised_via_users_server
        }
        ("m.room.join_rules", "allow") => rules.keep_room_join_rules_allow,
        ("m.room.power_levels", "invite") => rules.keep_room_power_levels_invite,
        ("m.room.redaction", "redacts") => rules.keep_room_redaction_redacts,
        ("m.room.aliases", "aliases") => rules.keep_room_aliases_aliases,
        _ => false,
    }
}
