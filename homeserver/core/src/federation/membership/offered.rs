//! Templates of events from other servers. Nothing of them is signed but what this server understands and
//! wants: the event is made anew from its place in the room's graph and this server's own content.

use std::collections::BTreeMap;

use pli_federation::{event_format::NewEvent, room_version};
use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, RoomVersionId,
    ServerName, UserId, events::TimelineEventType,
};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

/// What is read of a template.
#[derive(Debug, Deserialize)]
struct Offered<'a> {
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    state_key: OwnedUserId,
    #[serde(rename = "type")]
    event_type: String,
    content: Map<String, Value>,
    depth: u64,
    #[serde(borrow)]
    prev_events: &'a RawValue,
    #[serde(borrow)]
    auth_events: &'a RawValue,
}

/// The hash beside the id of an event that versions 1 and 2 name; Synapse leaves it out, and nobody looks
/// at it.
#[derive(Debug, Deserialize)]
struct Hashes {
    #[serde(default)]
    sha256: String,
}

/// What this server asked a template for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) room_id: &'a RoomId,
    pub(super) user_id: &'a UserId,
    pub(super) version: &'a RoomVersionId,
    /// The membership.
    pub(super) membership: &'a str,
    /// Who was asked.
    pub(super) server: &'a ServerName,
}

const AUTHORIZER: &str = "join_authorised_via_users_server";

/// Makes an event with this server's `content` at the place that a template gives it.
///
/// # Errors
/// A text that says what is wrong with the template.
pub(super) fn event_at(
    template: &RawValue,
    wanted: Wanted<'_>,
    content: &RawValue,
    now: MilliSecondsSinceUnixEpoch,
) -> Result<NewEvent, String> {
    let offered: Offered<'_> =
        serde_json::from_str(template.get()).map_err(|error| error.to_string())?;
    let is_asked_for = offered.room_id == wanted.room_id
        && offered.sender == wanted.user_id
        && offered.state_key == wanted.user_id
        && offered.event_type == "m.room.member"
        && offered.content.get("membership").and_then(Value::as_str) == Some(wanted.membership);
    if !is_asked_for {
        return Err("the template is not of what was asked for".to_owned());
    }
    let rules = room_version::rules(wanted.version).map_err(|error| error.to_string())?;
    let mut own: Map<String, Value> =
        serde_json::from_str(content.get()).map_err(|error| error.to_string())?;
    if rules.authorization.restricted_join_rule
        && wanted.membership == "join"
        && let Some(authorizer) = authorizer(&offered.content, wanted.server)?
    {
        own.insert(AUTHORIZER.to_owned(), Value::from(authorizer.as_str()));
    }
    let own = serde_json::value::to_raw_value(&own).map_err(|error| error.to_string())?;
    let mut new = NewEvent::new(wanted.user_id.to_owned(), TimelineEventType::RoomMember, own, now);
    new.room_id = Some(wanted.room_id.to_owned());
    new.state_key = Some(wanted.user_id.to_string());
    new.depth = offered.depth;
    let own_ids = room_version::has_own_event_ids(&rules);
    let (prev_events, mut hashes) = references(offered.prev_events, own_ids)?;
    let (auth_events, more) = references(offered.auth_events, own_ids)?;
    hashes.extend(more);
    new.prev_events = prev_events;
    new.auth_events = auth_events;
    new.reference_hashes = hashes;
    Ok(new)
}

/// The user who is said to vouch: one of the server that was asked, for only that one can sign for it.
fn authorizer(
    content: &Map<String, Value>,
    server: &ServerName,
) -> Result<Option<OwnedUserId>, String> {
    let Some(named) = content.get(AUTHORIZER) else { return Ok(None) };
    let named = named.as_str().and_then(|name| UserId::parse(name).ok());
    let named = named.filter(|user_id| user_id.server_name() == server);
    named.map(Some).ok_or_else(|| "a user of another server is to vouch".to_owned())
}

type References = (Vec<OwnedEventId>, BTreeMap<OwnedEventId, String>);

fn references(raw: &RawValue, own_ids: bool) -> Result<References, String> {
    let malformed = |error: serde_json::Error| error.to_string();
    if !own_ids {
        return Ok((serde_json::from_str(raw.get()).map_err(malformed)?, BTreeMap::new()));
    }
    let pairs: Vec<(OwnedEventId, Hashes)> = serde_json::from_str(raw.get()).map_err(malformed)?;
    let ids = pairs.iter().map(|(event_id, _)| event_id.clone()).collect();
    Ok((ids, pairs.into_iter().map(|(event_id, hashes)| (event_id, hashes.sha256)).collect()))
}

#[cfg(test)]
mod tests {
    use ruma::{UInt, room_id, server_name, user_id};
    use serde_json::json;

    use super::*;

    fn attempt(change: impl FnOnce(&mut Value)) -> Result<NewEvent, String> {
        let mut template = json!({
            "room_id": "!r:a.example", "sender": "@u:b.example", "state_key": "@u:b.example",
            "type": "m.room.member", "content": { "membership": "join", "displayname": "Evil" },
            "depth": 7, "prev_events": ["$p"], "auth_events": ["$a", "$b"], "origin_server_ts": 1,
        });
        change(&mut template);
        let template = serde_json::value::to_raw_value(&template).unwrap();
        let content =
            serde_json::value::to_raw_value(&json!({ "membership": "join", "reason": "x" }));
        let wanted = Wanted {
            room_id: room_id!("!r:a.example"),
            user_id: user_id!("@u:b.example"),
            version: &RoomVersionId::V10,
            membership: "join",
            server: server_name!("a.example"),
        };
        let now = MilliSecondsSinceUnixEpoch(UInt::from(5_u32));
        event_at(&template, wanted, &content.unwrap(), now)
    }

    #[test]
    fn a_reference_without_a_hash_is_one() {
        let raw = serde_json::value::to_raw_value(&json!([["$p:a.example", {}]])).unwrap();
        let (ids, hashes) = references(&raw, true).unwrap();
        assert_eq!(ids[0].as_str(), "$p:a.example");
        assert_eq!(hashes.get(&ids[0]).map(String::as_str), Some(""));
    }

    #[test]
    fn only_the_place_is_taken_from_a_template() {
        let new = attempt(|_| {}).unwrap();
        assert_eq!((new.depth, new.prev_events.len(), new.auth_events.len()), (7, 1, 2));
        assert_eq!(new.content.get(), r#"{"membership":"join","reason":"x"}"#);
        assert_eq!(new.origin_server_ts.0, UInt::from(5_u32));
    }

    #[test]
    fn a_template_of_something_else_is_not_signed() {
        for (key, other) in [
            ("room_id", json!("!other:a.example")),
            ("sender", json!("@v:b.example")),
            ("state_key", json!("@v:b.example")),
            ("type", json!("m.room.power_levels")),
            ("content", json!({ "membership": "leave" })),
            ("prev_events", json!([["$p", {}]])),
            ("depth", json!(-1)),
        ] {
            assert!(attempt(|template| template[key] = other).is_err(), "{key}");
        }
    }

    #[test]
    fn only_a_user_of_the_server_that_was_asked_vouches() {
        let vouch = |user: &str| attempt(|template| template["content"][AUTHORIZER] = json!(user));
        let new = vouch("@mod:a.example").unwrap();
        assert!(new.content.get().contains("@mod:a.example"));
        assert!(vouch("@mod:c.example").is_err());
    }
}
