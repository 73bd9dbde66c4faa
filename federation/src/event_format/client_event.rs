//! Events as clients see them
//! (<https://spec.matrix.org/v1.19/client-server-api/#room-event-format>).

use std::{borrow::Cow, fmt::Write as _};

use ruma::{EventId, RoomId, RoomVersionId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::FormatError;
use crate::{
    canonical_json::{Object, push_member, quote},
    room_version,
};

/// What goes into `unsigned` of an event for one client. What is `None` is left out, and
/// `unsigned` itself when nothing is left.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientUnsigned<'a> {
    /// Milliseconds since the event was sent.
    pub age: Option<i64>,
    /// The transaction identifier, for the device that sent the event.
    pub transaction_id: Option<&'a str>,
    /// The content of the state event that this one replaced.
    pub prev_content: Option<&'a RawValue>,
    /// The identifier of the state event that this one replaced.
    pub replaces_state: Option<&'a EventId>,
    /// The event that redacted this one, in client format.
    pub redacted_because: Option<&'a RawValue>,
    /// The membership of the reading user at the time of the event.
    pub membership: Option<&'a str>,
    /// The aggregated relations, `m.relations`.
    pub relations: Option<&'a RawValue>,
    /// The identifier under which the sender had scheduled the event (MSC4140).
    pub delay_id: Option<&'a str>,
    /// Milliseconds for which the event still sticks (MSC4354).
    pub sticky_ttl_ms: Option<u64>,
}

impl ClientUnsigned<'_> {
    fn write(&self, out: &mut String) {
        let mut json = String::from("{");
        if let Some(age) = self.age {
            push_member(&mut json, "age", &age.to_string());
        }
        if let Some(membership) = self.membership {
            push_member(&mut json, "membership", &quote(membership));
        }
        if let Some(transaction_id) = self.transaction_id {
            push_member(&mut json, "transaction_id", &quote(transaction_id));
        }
        if let Some(delay_id) = self.delay_id {
            push_member(&mut json, "org.matrix.msc4140.delay_id", &quote(delay_id));
        }
        if let Some(ttl) = self.sticky_ttl_ms {
            push_member(&mut json, "msc4354_sticky_duration_ttl_ms", &ttl.to_string());
        }
        if let Some(replaces_state) = self.replaces_state {
            push_member(&mut json, "replaces_state", &quote(replaces_state.as_str()));
        }
        let values = [
            ("prev_content", self.prev_content),
            ("redacted_because", self.redacted_because),
            ("m.relations", self.relations),
        ];
        for (key, value) in values {
            if let Some(value) = value {
                push_member(&mut json, key, value.get());
            }
        }
        if json.len() > 1 {
            json.push('}');
            push_member(out, "unsigned", &json);
        }
    }
}

#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    content: &'a RawValue,
    #[serde(borrow, rename = "type")]
    event_type: &'a RawValue,
    #[serde(borrow)]
    sender: &'a RawValue,
    #[serde(borrow)]
    origin_server_ts: &'a RawValue,
    #[serde(borrow, default)]
    state_key: Option<&'a RawValue>,
    #[serde(borrow, default)]
    redacts: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "msc4354_sticky")]
    sticky: Option<&'a RawValue>,
}

/// The client format of a stored event, as JSON text, written in one pass.
///
/// `room_id` is added where the response needs it (not in `/sync`). `redacts` of an
/// `m.room.redaction` stands both at the top level and in `content` in every room version, as the
/// specification asks for the sake of older and newer clients.
///
/// # Errors
/// [`FormatError`] when `json` is not an event.
pub fn client_event(
    json: &str,
    event_id: &EventId,
    room_id: Option<&RoomId>,
    version: &RoomVersionId,
    unsigned: &ClientUnsigned<'_>,
) -> Result<String, FormatError> {
    let stored: Stored<'_> = serde_json::from_str(json)?;
    let mut out = String::with_capacity(json.len() + 256);
    out.push('{');
    let redaction = stored.event_type.get() == "\"m.room.redaction\"";
    let (content, redacts) = if redaction {
        with_redacts(&stored, version)?
    } else {
        (Cow::Borrowed(stored.content.get()), None)
    };
    push_member(&mut out, "content", &content);
    push_member(&mut out, "event_id", &quote(event_id.as_str()));
    if let Some(sticky) = stored.sticky {
        push_member(&mut out, "msc4354_sticky", sticky.get());
    }
    push_member(&mut out, "origin_server_ts", stored.origin_server_ts.get());
    if let Some(redacts) = redacts {
        push_member(&mut out, "redacts", redacts);
    }
    if let Some(room_id) = room_id {
        push_member(&mut out, "room_id", &quote(room_id.as_str()));
    }
    push_member(&mut out, "sender", stored.sender.get());
    if let Some(state_key) = stored.state_key {
        push_member(&mut out, "state_key", state_key.get());
    }
    push_member(&mut out, "type", stored.event_type.get());
    unsigned.write(&mut out);
    out.push('}');
    Ok(out)
}

/// The content of a redaction with `redacts`, and `redacts` itself as JSON.
fn with_redacts<'a>(
    stored: &Stored<'a>,
    version: &RoomVersionId,
) -> Result<(Cow<'a, str>, Option<&'a str>), FormatError> {
    let content = stored.content.get();
    let object = Object::parse(content).map_err(|_| FormatError::Content)?;
    if room_version::rules(version)?.redaction.content_field_redacts {
        return Ok((Cow::Borrowed(content), object.get("redacts")));
    }
    let Some(redacts) = stored.redacts.map(RawValue::get) else {
        return Ok((Cow::Borrowed(content), None));
    };
    let mut out = object.filtered(|key| key != "redacts");
    out.pop();
    push_member(&mut out, "redacts", redacts);
    out.push('}');
    Ok((Cow::Owned(out), Some(redacts)))
}

/// The stripped form of a state event, for invited and knocking users
/// (<https://spec.matrix.org/v1.19/client-server-api/#stripped-state>), as JSON text.
///
/// # Errors
/// [`FormatError`] when `json` is not a state event.
pub fn stripped_state_event(json: &str) -> Result<String, FormatError> {
    let stored: Stored<'_> = serde_json::from_str(json)?;
    let state_key =
        stored.state_key.ok_or_else(|| FormatError::Property("state_key".to_owned()))?;
    let mut out = String::with_capacity(stored.content.get().len() + 256);
    // Writing into a string cannot fail.
    let _ = write!(
        out,
        "{{\"content\":{},\"sender\":{},\"state_key\":{},\"type\":{}}}",
        stored.content, stored.sender, state_key, stored.event_type
    );
    Ok(out)
}
