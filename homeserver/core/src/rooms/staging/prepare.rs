//! From a draft to an event that may go into the room.

use std::{collections::BTreeMap, sync::Arc};

use pli_federation::{
    auth_rules::{PowerLevels, Rejection},
    canonical_json::{Numbers, canonicalize},
    event_format::{self, NewEvent, Pdu, next_depth},
    room_version,
};
use pli_schema::{
    EventNumber,
    records::rooms::{EventByIdKey, EventPointer, Place, RoomByIdKey},
};
use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedDeviceId, OwnedEventId, OwnedTransactionId, UInt,
    events::TimelineEventType, state_res::events::RoomPowerLevelsIntField,
};
use serde_json::value::RawValue;

use super::{Draft, Origin, Staging, StoredEvent};
use crate::{
    Error, Result,
    numbers::NumberKind,
    rooms::{
        authorize::{AuthState, format_error},
        relations::Relation,
    },
};

/// Rooms that one user may create in one millisecond.
const SAME_TIME_MAX: usize = 1_000;

/// An event that every rule allows, not yet written.
pub(super) struct Prepared {
    pub(super) number: EventNumber,
    pub(super) pdu: Arc<Pdu>,
    pub(super) transaction: Option<(OwnedDeviceId, OwnedTransactionId)>,
    pub(super) relation: Option<Relation>,
    /// Until when it sticks, in milliseconds since 1970.
    pub(super) sticky_until_ms: Option<u64>,
    /// The event that it redacts.
    pub(super) target: Option<Arc<StoredEvent>>,
}

/// Whether two contents are the same JSON; the first is canonical.
pub(super) fn same_content(canonical: &RawValue, other: &RawValue) -> Result<bool> {
    let other = canonicalize(other.get(), Numbers::Strict)
        .map_err(|error| Error::BadJson(error.to_string()))?;
    Ok(canonical.get() == other)
}

impl Staging<'_> {
    /// Makes the event and asks everyone who may refuse it. Writes nothing.
    pub(super) async fn prepare(&self, draft: &Draft, origin: Option<&Origin>) -> Result<Prepared> {
        let state = AuthState::of(self, draft).await?;
        let new = self.new_event(draft, &state).await?;
        let parts = &self.rooms.parts;
        let version = &self.room.version;
        let pdu = if draft.event_type == TimelineEventType::RoomCreate {
            self.build_create(new).await?
        } else {
            self.build(new)?
        };
        state.check(&pdu, version)?;
        self.check_standing(draft).await?;
        self.check_externals(draft).await?;
        self.check_policy_lists(draft).await?;
        self.check_policy(draft).await?;
        let target = self.redaction_target(&pdu, &state).await?;
        let relation = if draft.state_key.is_none() { Relation::of(&pdu) } else { None };
        let relation = self.within_room(relation).await?;
        if let Some(relation) = &relation {
            self.check_relation(&pdu, relation).await?;
        }
        Ok(Prepared {
            number: EventNumber(parts.numbers.next(NumberKind::Event).await?),
            pdu: Arc::new(pdu),
            transaction: origin.map(|o| (o.device_id.clone(), o.transaction_id.clone())),
            relation,
            sticky_until_ms: self.sticky_until_ms(draft),
            target,
        })
    }

    /// Until when the event of a draft sticks: from now or from when it says it was sent, whichever is
    /// earlier.
    fn sticky_until_ms(&self, draft: &Draft) -> Option<u64> {
        let duration_ms = u64::from(draft.sticky_duration_ms?);
        let now_ms = self.rooms.clock().now_ms();
        let start_ms = draft.origin_server_ts.map_or(now_ms, |ts| now_ms.min(ts.0.into()));
        Some(start_ms.saturating_add(duration_ms))
    }

    /// A relation to an event of this room. One to an event of another room is none: nobody may hang
    /// an edit or a thread onto an event of a room in which they are not.
    pub(super) async fn within_room(&self, relation: Option<Relation>) -> Result<Option<Relation>> {
        let Some(relation) = relation else {
            return Ok(None);
        };
        // Also an event of this transaction.
        let pointer = self.tx.get(&EventByIdKey { event_id: relation.target.clone() }).await?;
        let is_here = |pointer: &EventPointer| {
            pointer.room == self.room.number && pointer.place != Place::Nowhere
        };
        Ok(pointer.as_ref().is_some_and(is_here).then_some(relation))
    }

    pub(super) fn build(&self, new: NewEvent) -> Result<Pdu> {
        let parts = &self.rooms.parts;
        event_format::build(new, &self.room.version, &parts.signing_key, &parts.server_name)
            .map_err(format_error)
    }

    /// The first event of a room. From version 12 on its hash is the room's id, and two rooms that one
    /// user makes within a millisecond could have the same: the second is made a little later.
    async fn build_create(&self, mut new: NewEvent) -> Result<Pdu> {
        for _ in 0..SAME_TIME_MAX {
            let pdu = self.build(new.clone())?;
            let key = RoomByIdKey { room_id: pdu.room().to_owned() };
            if self.tx.get(&key).await?.is_none() {
                return Ok(pdu);
            }
            let later = new.origin_server_ts.0.saturating_add(UInt::from(1_u8));
            new.origin_server_ts = MilliSecondsSinceUnixEpoch(later);
        }
        Err(Error::bug("no free room id was found"))
    }

    pub(super) async fn new_event(&self, draft: &Draft, state: &AuthState) -> Result<NewEvent> {
        let rules = room_version::rules(&self.room.version).map_err(format_error)?;
        let is_create = draft.event_type == TimelineEventType::RoomCreate;
        let mut new = NewEvent::new(
            draft.sender.clone(),
            draft.event_type.clone(),
            draft.content.clone(),
            draft.origin_server_ts.unwrap_or_else(|| self.rooms.clock().now()),
        );
        if rules.event_format.require_room_create_room_id || !is_create {
            new.room_id = Some(self.room.id.clone());
        }
        new.state_key.clone_from(&draft.state_key);
        new.redacts.clone_from(&draft.redacts);
        new.sticky_duration_ms = draft.sticky_duration_ms;
        new.depth = next_depth([self.head.depth], &self.room.version).map_err(format_error)?;
        let previous = self.followed().iter();
        new.prev_events = previous.map(|extremity| extremity.event_id.clone()).collect();
        new.auth_events.clone_from(&state.auth_events);
        if room_version::has_own_event_ids(&rules) {
            new.event_id_localpart = Some(self.rooms.parts.random.letters(18));
            new.reference_hashes = self.reference_hashes(state).await?;
        }
        Ok(new)
    }

    /// What room versions 1 and 2 write beside the id of each event that they name.
    async fn reference_hashes(&self, state: &AuthState) -> Result<BTreeMap<OwnedEventId, String>> {
        let mut hashes = BTreeMap::new();
        let mut add = |pdu: &Pdu| -> Result<()> {
            let hash = pdu.reference_hash(&self.room.version).map_err(format_error)?;
            hashes.insert(pdu.event_id.clone(), hash);
            Ok(())
        };
        for pdu in state.events() {
            add(pdu)?;
        }
        for extremity in self.followed() {
            add(&*self.event(extremity.event).await?.pdu()?)?;
        }
        Ok(hashes)
    }

    /// The event that a redaction redacts: it must be of this room, and the sender must be allowed to.
    async fn redaction_target(
        &self,
        pdu: &Pdu,
        state: &AuthState,
    ) -> Result<Option<Arc<StoredEvent>>> {
        let Some(redacts) = &pdu.redacts else {
            return Ok(None);
        };
        let target = self.rooms.event_of_room(self.room.number, redacts).await?;
        let target =
            target.ok_or_else(|| Error::not_found("There is no such event in this room"))?;
        let target_pdu = target.pdu()?;
        let essential = [TimelineEventType::RoomCreate, TimelineEventType::RoomServerAcl];
        if essential.contains(&target_pdu.event_type) {
            return Err(Error::forbidden("Events of this type cannot be redacted"));
        }
        // The rules would let anyone of a server redact for others of it; that is for servers to do.
        if target_pdu.sender != pdu.sender && !self.has_redact_level(pdu, state)? {
            return Err(Error::forbidden("You may not redact this event"));
        }
        Ok(Some(target))
    }

    fn has_redact_level(&self, pdu: &Pdu, state: &AuthState) -> Result<bool> {
        let refused = |Rejection(reason)| Error::Forbidden(reason);
        let levels = PowerLevels::of(&self.room.version, state).map_err(refused)?;
        let own = levels.of_user(&pdu.sender).map_err(refused)?;
        Ok(own >= levels.to_act(RoomPowerLevelsIntField::Redact).map_err(refused)?)
    }
}
