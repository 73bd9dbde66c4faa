//! One parsed event.

use std::{borrow::Cow, sync::Arc};

use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId,
    RoomVersionId, UserId, events::TimelineEventType, room_version_rules::RoomVersionRules,
    state_res::Event,
};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{FormatError, hashes, limits, redaction, user_levels::KeptLevels};
use crate::{
    canonical_json::{Object, canonicalize},
    room_version,
};

/// An event as servers exchange it, parsed once and never changed.
#[derive(Clone, Debug)]
pub struct Pdu {
    /// The identifier.
    pub event_id: OwnedEventId,
    /// `room_id` as the event has it: the create event of a version 12 room has none. The room of
    /// any event is [`Pdu::room`].
    pub room_id: Option<OwnedRoomId>,
    /// The user who sent it.
    pub sender: OwnedUserId,
    /// The type.
    pub event_type: TimelineEventType,
    /// The state key, of state events.
    pub state_key: Option<String>,
    /// `content`, an object.
    pub content: Box<RawValue>,
    /// When the sender's server says it was made.
    pub origin_server_ts: MilliSecondsSinceUnixEpoch,
    /// One more than the greatest depth of the previous events.
    pub depth: u64,
    /// The events that were last in the room for the sender's server.
    pub prev_events: Vec<OwnedEventId>,
    /// The events that authorize it.
    pub auth_events: Vec<OwnedEventId>,
    /// The event an `m.room.redaction` redacts: of the top level, since version 11 of `content`.
    pub redacts: Option<OwnedEventId>,
    /// `unsigned`, where the stored event has it.
    pub unsigned: Option<Box<RawValue>>,
    /// The event as it is stored and sent to other servers; canonical JSON for events made here
    /// or parsed without a known identifier.
    pub json: Arc<str>,
    /// Whether the event did not pass the checks on receipt. `false` after parsing.
    pub rejected: bool,
    room: OwnedRoomId,
    /// Of a power levels event: what it says of its users, once a rule has asked.
    pub(crate) user_levels: KeptLevels,
}

/// What is read of the JSON, borrowing what is long.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(default, deserialize_with = "present")]
    event_id: Option<OwnedEventId>,
    #[serde(default, deserialize_with = "present")]
    room_id: Option<OwnedRoomId>,
    sender: OwnedUserId,
    #[serde(rename = "type", borrow)]
    event_type: Cow<'a, str>,
    #[serde(default, deserialize_with = "present")]
    state_key: Option<String>,
    #[serde(borrow)]
    content: &'a RawValue,
    origin_server_ts: MilliSecondsSinceUnixEpoch,
    depth: u64,
    #[serde(borrow)]
    prev_events: &'a RawValue,
    #[serde(borrow)]
    auth_events: &'a RawValue,
    #[serde(borrow, default)]
    redacts: Option<&'a RawValue>,
    #[serde(borrow, default)]
    unsigned: Option<&'a RawValue>,
}

/// A property that may be missing but not `null`.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

impl Pdu {
    /// Parses an event.
    ///
    /// With `event_id` the text is trusted (it was stored here): it is read in one pass, neither
    /// hashed nor brought into canonical form, and the limits are not checked again. Without, the
    /// text may come from anywhere: it is brought into canonical form, its identifier computed
    /// (versions 1 and 2: read), and the limits and the format of its room version are checked.
    /// Signatures and hashes are for [`super::verify`].
    ///
    /// # Errors
    /// See [`FormatError`].
    pub fn parse(
        event_id: Option<OwnedEventId>,
        json: &str,
        version: &RoomVersionId,
    ) -> Result<Self, FormatError> {
        let rules = room_version::rules(version)?;
        if let Some(event_id) = event_id {
            return Self::read(Some(event_id), json.into(), &rules);
        }
        limits::check_text(json)?;
        let canonical = canonicalize(json, room_version::numbers(&rules))?;
        let event_id = if room_version::has_own_event_ids(&rules) {
            None
        } else {
            let signed = redaction::signed_part(&Object::parse(&canonical)?, &rules)?;
            Some(hash_id(&hashes::of_signed_part(&signed, &rules)?)?)
        };
        let pdu = Self::read(event_id, canonical.into(), &rules)?;
        limits::check(&pdu, &rules)?;
        Ok(pdu)
    }

    /// Reads an event whose identifier is known or inside.
    pub(super) fn read(
        event_id: Option<OwnedEventId>,
        json: Arc<str>,
        rules: &RoomVersionRules,
    ) -> Result<Self, FormatError> {
        let wire: Wire<'_> = serde_json::from_str(&json)?;
        let event_id = event_id
            .or(wire.event_id)
            .ok_or_else(|| FormatError::Property("event_id".to_owned()))?;
        if !wire.content.get().starts_with('{') {
            return Err(FormatError::Content);
        }
        let event_type = TimelineEventType::from(wire.event_type.as_ref());
        let redacts = match event_type {
            TimelineEventType::RoomRedaction => redacts(wire.redacts, wire.content, rules),
            _ => None,
        };
        let room = match &wire.room_id {
            Some(room_id) => room_id.clone(),
            None if event_type == TimelineEventType::RoomCreate => room_of_create(&event_id)?,
            None => return Err(FormatError::RoomId),
        };
        Ok(Self {
            event_id,
            room_id: wire.room_id,
            sender: wire.sender,
            event_type,
            state_key: wire.state_key,
            content: wire.content.to_owned(),
            origin_server_ts: wire.origin_server_ts,
            depth: wire.depth,
            prev_events: references(wire.prev_events, rules)?,
            auth_events: references(wire.auth_events, rules)?,
            redacts,
            unsigned: wire.unsigned.map(ToOwned::to_owned),
            rejected: false,
            room,
            user_levels: KeptLevels::default(),
            json: Arc::clone(&json),
        })
    }

    /// The room of the event; of a version 12 create event its own identifier with `!`.
    pub fn room(&self) -> &RoomId {
        &self.room
    }

    /// Whether this is a state event.
    pub fn is_state(&self) -> bool {
        self.state_key.is_some()
    }

    /// Whether the type is `m.room.create`.
    pub fn is_create(&self) -> bool {
        self.event_type == TimelineEventType::RoomCreate
    }

    /// The reference hash, which versions 1 and 2 need in [`super::NewEvent::reference_hashes`].
    ///
    /// # Errors
    /// [`FormatError`] as of [`super::reference_hash`].
    pub fn reference_hash(&self, version: &RoomVersionId) -> Result<String, FormatError> {
        hashes::reference_hash(&self.json, version)
    }
}

/// `$` and a reference hash.
pub(super) fn hash_id(hash: &str) -> Result<OwnedEventId, FormatError> {
    EventId::parse(format!("${hash}")).map_err(|_| FormatError::Property("event_id".to_owned()))
}

fn room_of_create(event_id: &EventId) -> Result<OwnedRoomId, FormatError> {
    let hash = event_id.as_str().strip_prefix('$').ok_or(FormatError::RoomId)?;
    OwnedRoomId::try_from(format!("!{hash}")).map_err(|_| FormatError::RoomId)
}

fn redacts(
    top: Option<&RawValue>,
    content: &RawValue,
    rules: &RoomVersionRules,
) -> Option<OwnedEventId> {
    if !rules.redaction.content_field_redacts {
        return top.and_then(|raw| serde_json::from_str(raw.get()).ok());
    }
    let object = Object::parse(content.get()).ok()?;
    object.get("redacts").and_then(|raw| serde_json::from_str(raw).ok())
}

/// The identifiers in `prev_events` or `auth_events`.
fn references(raw: &RawValue, rules: &RoomVersionRules) -> Result<Vec<OwnedEventId>, FormatError> {
    if !room_version::has_own_event_ids(rules) {
        return Ok(serde_json::from_str(raw.get())?);
    }
    let pairs: Vec<(OwnedEventId, IgnoredAny)> = serde_json::from_str(raw.get())?;
    Ok(pairs.into_iter().map(|(event_id, _)| event_id).collect())
}

impl Event for Pdu {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        self.room_id.as_deref()
    }

    fn sender(&self) -> &UserId {
        &self.sender
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        self.origin_server_ts
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.event_type
    }

    fn content(&self) -> &RawValue {
        &self.content
    }

    fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.prev_events.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.auth_events.iter())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        self.redacts.as_ref()
    }

    fn rejected(&self) -> bool {
        self.rejected
    }
}
