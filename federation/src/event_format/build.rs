//! Making events: hashed, signed, named, within the limits
//! (<https://spec.matrix.org/v1.19/server-server-api/#adding-hashes-and-signatures-to-outgoing-events>).

use std::{collections::BTreeMap, fmt::Write as _};

use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomVersionId, ServerName,
    events::TimelineEventType, room_version_rules::RoomVersionRules,
};
use serde_json::value::RawValue;

use super::{FormatError, MAX_EVENT_BYTES, Pdu, hashes, limits, pdu, redaction};
use crate::{
    canonical_json::{Numbers, Object, canonicalize, push_member, quote, write_string},
    keys::SigningKey,
    room_version,
};

/// What [`build`] makes an event of.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The room; none for the create event of a version 12 room.
    pub room_id: Option<OwnedRoomId>,
    /// The user who sends it.
    pub sender: OwnedUserId,
    /// The type.
    pub event_type: TimelineEventType,
    /// The state key, of state events.
    pub state_key: Option<String>,
    /// `content`: any JSON object without numbers that canonical JSON forbids.
    pub content: Box<RawValue>,
    /// The event to redact, of `m.room.redaction`; put where the room version has it.
    pub redacts: Option<OwnedEventId>,
    /// For how long the event sticks, in milliseconds (MSC4354).
    pub sticky_duration_ms: Option<u32>,
    /// `unsigned` to store with the event.
    pub unsigned: Option<Box<RawValue>>,
    /// When it is made.
    pub origin_server_ts: MilliSecondsSinceUnixEpoch,
    /// The depth, see [`super::next_depth`].
    pub depth: u64,
    /// The last events of the room.
    pub prev_events: Vec<OwnedEventId>,
    /// The events that authorize it.
    pub auth_events: Vec<OwnedEventId>,
    /// Versions 1 and 2 only: the random local part of the identifier.
    pub event_id_localpart: Option<String>,
    /// Versions 1 and 2 only: the reference hash ([`Pdu::reference_hash`]) of every event in
    /// `prev_events` and `auth_events`; empty where another server's template leaves it out.
    pub reference_hashes: BTreeMap<OwnedEventId, String>,
}

impl NewEvent {
    /// An event at the start of a room (depth 1, no previous events) with the rest left out; set
    /// the other fields as needed.
    pub fn new(
        sender: OwnedUserId,
        event_type: TimelineEventType,
        content: Box<RawValue>,
        origin_server_ts: MilliSecondsSinceUnixEpoch,
    ) -> Self {
        Self {
            room_id: None,
            sender,
            event_type,
            state_key: None,
            content,
            redacts: None,
            sticky_duration_ms: None,
            unsigned: None,
            origin_server_ts,
            depth: 1,
            prev_events: Vec::new(),
            auth_events: Vec::new(),
            event_id_localpart: None,
            reference_hashes: BTreeMap::new(),
        }
    }
}

/// Makes an event of `server_name`: writes it in the format of the room version, adds the content
/// hash and the signature of `key`, computes the identifier and checks the limits.
///
/// # Errors
/// See [`FormatError`]; too large events are [`FormatError::EventTooLarge`].
pub fn build(
    new: NewEvent,
    version: &RoomVersionId,
    key: &SigningKey,
    server_name: &ServerName,
) -> Result<Pdu, FormatError> {
    let rules = room_version::rules(version)?;
    let content = content(&new, &rules)?;
    let parts = Parts::of(&new, version, &rules, server_name)?;
    let event_type = new.event_type.to_string();

    let hashed = parts.write(&content, &Extra { whole: true, ..Extra::default() });
    let hashes = format!("{{\"sha256\":\"{}\"}}", hashes::standard_sha256(&hashed));

    let redacted = redaction::content(&content, &event_type, &rules.redaction)?;
    let signed = parts.write(&redacted, &Extra { hashes: Some(&hashes), ..Extra::default() });
    let mut signatures = String::from("{");
    write_string(server_name.as_str(), &mut signatures);
    let signature = key.sign(signed.as_bytes());
    // Writing into a string cannot fail.
    let _ = write!(signatures, ":{{\"{}\":\"{signature}\"}}}}", key.key_id());

    let unsigned = new
        .unsigned
        .as_deref()
        .map(|unsigned| canonicalize(unsigned.get(), Numbers::Strict))
        .transpose()?;
    let json = parts.write(
        &content,
        &Extra {
            whole: true,
            hashes: Some(&hashes),
            signatures: Some(&signatures),
            unsigned: unsigned.as_deref(),
        },
    );
    let event_id = match &parts.event_id {
        Some(_) => None,
        None => Some(pdu::hash_id(&hashes::of_signed_part(&signed, &rules)?)?),
    };
    if json.len() > MAX_EVENT_BYTES {
        return Err(FormatError::EventTooLarge(json.len()));
    }
    let pdu = Pdu::read(event_id, json.into(), &rules)?;
    limits::check(&pdu, &rules)?;
    Ok(pdu)
}

/// The canonical content, with `redacts` where the room version keeps it there.
fn content(new: &NewEvent, rules: &RoomVersionRules) -> Result<String, FormatError> {
    limits::check_text(new.content.get())?;
    let canonical = canonicalize(new.content.get(), Numbers::Strict)?;
    let object = Object::parse(&canonical).map_err(|_| FormatError::Content)?;
    match &new.redacts {
        Some(redacts) if rules.redaction.content_field_redacts => {
            Ok(with_member(&object, "redacts", &quote(redacts.as_str())))
        }
        _ => Ok(canonical),
    }
}

/// The properties that do not change between the three forms an event is written in, as JSON.
struct Parts {
    auth_events: String,
    depth: String,
    event_id: Option<String>,
    origin_server_ts: String,
    prev_events: String,
    redacts: Option<String>,
    room_id: Option<String>,
    sender: String,
    state_key: Option<String>,
    sticky: Option<String>,
    event_type: String,
}

/// The properties that do.
#[derive(Default)]
struct Extra<'a> {
    /// With what a redaction takes away.
    whole: bool,
    hashes: Option<&'a str>,
    signatures: Option<&'a str>,
    unsigned: Option<&'a str>,
}

impl Parts {
    fn of(
        new: &NewEvent,
        version: &RoomVersionId,
        rules: &RoomVersionRules,
        server_name: &ServerName,
    ) -> Result<Self, FormatError> {
        let own_ids = room_version::has_own_event_ids(rules);
        let missing = || FormatError::Version1Parts(version.clone());
        let event_id = if own_ids {
            let localpart = new.event_id_localpart.as_ref().ok_or_else(missing)?;
            Some(quote(&format!("${localpart}:{server_name}")))
        } else {
            None
        };
        let references = |ids: &[OwnedEventId]| -> Result<String, FormatError> {
            let mut items = Vec::with_capacity(ids.len());
            for id in ids {
                let quoted = quote(id.as_str());
                items.push(if own_ids {
                    match new.reference_hashes.get(id).ok_or_else(missing)?.as_str() {
                        "" => format!("[{quoted},{{}}]"),
                        hash => format!("[{quoted},{{\"sha256\":{}}}]", quote(hash)),
                    }
                } else {
                    quoted
                });
            }
            Ok(format!("[{}]", items.join(",")))
        };
        let redacts = new.redacts.as_ref().filter(|_| !rules.redaction.content_field_redacts);
        Ok(Self {
            auth_events: references(&new.auth_events)?,
            depth: new.depth.to_string(),
            event_id,
            origin_server_ts: new.origin_server_ts.get().to_string(),
            prev_events: references(&new.prev_events)?,
            redacts: redacts.map(|id| quote(id.as_str())),
            room_id: new.room_id.as_ref().map(|id| quote(id.as_str())),
            sender: quote(new.sender.as_str()),
            state_key: new.state_key.as_deref().map(quote),
            sticky: new.sticky_duration_ms.map(|ms| format!("{{\"duration_ms\":{ms}}}")),
            event_type: quote(&new.event_type.to_string()),
        })
    }

    /// The event as canonical JSON: the keys stand here in their order.
    fn write(&self, content: &str, extra: &Extra<'_>) -> String {
        let mut out = String::with_capacity(content.len() + 1024);
        out.push('{');
        let redacts = self.redacts.as_deref().filter(|_| extra.whole);
        let sticky = self.sticky.as_deref().filter(|_| extra.whole);
        let members = [
            ("auth_events", Some(self.auth_events.as_str())),
            ("content", Some(content)),
            ("depth", Some(self.depth.as_str())),
            ("event_id", self.event_id.as_deref()),
            ("hashes", extra.hashes),
            ("msc4354_sticky", sticky),
            ("origin_server_ts", Some(self.origin_server_ts.as_str())),
            ("prev_events", Some(self.prev_events.as_str())),
            ("redacts", redacts),
            ("room_id", self.room_id.as_deref()),
            ("sender", Some(self.sender.as_str())),
            ("signatures", extra.signatures),
            ("state_key", self.state_key.as_deref()),
            ("type", Some(self.event_type.as_str())),
            ("unsigned", extra.unsigned),
        ];
        for (key, value) in members {
            if let Some(value) = value {
                push_member(&mut out, key, value);
            }
        }
        out.push('}');
        out
    }
}

/// Adds a signature of `server_name` to an event that another server made, such as an invite or a
/// restricted join that this server authorizes. Signatures already there stay. The result is
/// canonical JSON.
///
/// # Errors
/// [`FormatError`] when `json` is not an event of the room version.
pub fn countersign(
    json: &str,
    version: &RoomVersionId,
    key: &SigningKey,
    server_name: &ServerName,
) -> Result<String, FormatError> {
    let rules = room_version::rules(version)?;
    let canonical = canonicalize(json, room_version::numbers(&rules))?;
    let event = Object::parse(&canonical)?;
    let signature = key.sign(redaction::signed_part(&event, &rules)?.as_bytes());

    let signatures = Object::parse(event.get("signatures").unwrap_or("{}"))?;
    let ours = Object::parse(signatures.get(server_name.as_str()).unwrap_or("{}"))?;
    let ours = with_member(&ours, key.key_id().as_str(), &quote(&signature));
    let signatures = with_member(&signatures, server_name.as_str(), &ours);
    Ok(with_member(&event, "signatures", &signatures))
}

/// The object with a member added or replaced.
fn with_member(object: &Object<'_>, key: &str, value: &str) -> String {
    let mut members: BTreeMap<&str, &str> = object.entries().collect();
    members.insert(key, value);
    let mut out = String::from("{");
    members.iter().for_each(|(key, value)| push_member(&mut out, key, value));
    out.push('}');
    out
}
