//! Invites from other servers for users of this one.

use std::{collections::BTreeSet, sync::Arc};

use pli_federation::{event_format::Pdu, room_version};
use pli_schema::records::accounts::{AccountKey, AccountKind};
use ruma::{
    OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomVersionId, UserId,
    events::TimelineEventType,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{RemoteRooms, resident::membership};
use crate::{
    Error, Result,
    federation::Use,
    invite_permission::{InviteDecision, InvitePermission},
    policy::rooms::ACCESS_RULES,
    rooms::Told,
};

/// Events of a room that are told with an invite or after a knock, at most.
pub(super) const TOLD_MAX: usize = 50;
/// Their size at most, in bytes of JSON.
const TOLD_MAX_BYTES: usize = 512 * 1024;

/// An invite as another server hands it in.
#[derive(Clone, Debug)]
pub struct Invited {
    /// The room.
    pub room_id: OwnedRoomId,
    /// The event's id, as the path has it.
    pub event_id: OwnedEventId,
    /// The server that hands it in.
    pub origin: OwnedServerName,
    /// The room's version, as that server says.
    pub version: RoomVersionId,
    /// The event.
    pub json: String,
    /// What is told of the room.
    pub state: Vec<String>,
}

fn invalid(error: impl std::fmt::Display) -> Error {
    Error::InvalidParam(error.to_string())
}

impl RemoteRooms {
    /// Signs an invite for a user of this server, and shows it to them if this server is not in the room
    /// (else the event comes as any other). The signed event.
    ///
    /// # Errors
    /// [`Error::IncompatibleRoomVersion`]; [`Error::InvalidParam`] for what is no invite;
    /// [`Error::NotFound`] for a user who is not here; [`Error::InviteBlocked`] if they take no invites
    /// of the sender; [`Error::Forbidden`] for what a policy list bans.
    pub async fn invited(&self, invited: Invited) -> Result<String> {
        if !room_version::is_supported(&invited.version) {
            return Err(Error::IncompatibleRoomVersion {
                message: "This server does not speak the room's version".to_owned(),
                room_version: invited.version.to_string(),
            });
        }
        let (room_id, version) = (&invited.room_id, &invited.version);
        let pdu = self.signed.check_pdu(room_id, version, invited.json.clone()).await?;
        let pdu = pdu.map_err(invalid)?;
        let target = self.require_invite(&pdu, &invited).await?;
        self.rooms.refuse_listed_event(&pdu, version).await?;
        let store = self.rooms.store();
        let decision = InvitePermission::read(store, &target).await?.decide(&pdu.sender);
        if decision == InviteDecision::Block {
            return Err(Error::InviteBlocked("This user does not take invites".to_owned()));
        }
        let resident = self.rooms.resident_room(room_id).await?;
        let told = match &resident {
            Some(_) => None,
            None => Some(self.told(&invited, &target).await?),
        };
        let signed = self.rooms.countersign(&pdu.json, version)?;
        if let Some(told) = told {
            let pdu = Pdu::parse(None, &signed, version).map_err(invalid)?;
            let place = (&*invited.room_id, version);
            self.rooms.take_outside(place, &Arc::new(pdu), Some(&told)).await?;
        }
        Ok(signed)
    }

    async fn require_invite(&self, pdu: &Pdu, invited: &Invited) -> Result<OwnedUserId> {
        let target = pdu.state_key.as_deref().and_then(|key| UserId::parse(key).ok());
        let target = target.filter(|target| self.rooms.is_local(target));
        let is_invite = pdu.event_type == TimelineEventType::RoomMember
            && membership(pdu).as_deref() == Some("invite");
        let Some(target) = target.filter(|_| is_invite) else {
            return Err(invalid("The event does not invite a user of this server"));
        };
        if pdu.sender.server_name() != invited.origin {
            return Err(invalid("The sender is not one of the server that sends the invite"));
        }
        if pdu.event_id != invited.event_id {
            return Err(invalid("The event has another id"));
        }
        let key = AccountKey { user_id: target.clone() };
        let account = self.rooms.store().get(&key).await?;
        let account = account.filter(|account| !account.deactivated);
        let account = account.ok_or_else(|| Error::not_found("There is no such user"))?;
        self.require_agreed(invited, account.kind).await?;
        Ok(target)
    }

    /// Requires what was agreed with the partner that invites.
    async fn require_agreed(&self, invited: &Invited, kind: AccountKind) -> Result<()> {
        let partners = self.signed.partners();
        if kind != AccountKind::Agent {
            partners.require(&invited.origin, Use::Guests).await?;
        }
        let is_rule = |event: &String| {
            let event: Value = serde_json::from_str(event).unwrap_or_default();
            event.get("type").and_then(Value::as_str) == Some(ACCESS_RULES)
        };
        if partners.requires_room_rules(&invited.origin).await?
            && !invited.state.iter().any(is_rule)
        {
            return Err(Error::forbidden("The room does not keep the rules that were agreed"));
        }
        Ok(())
    }

    /// What the user is told of the room. From version 12 on it must be the room's own events, which are
    /// checked; servers of older rooms told less.
    async fn told(&self, invited: &Invited, target: &UserId) -> Result<Told> {
        let (room_id, version) = (&invited.room_id, &invited.version);
        let bytes = invited.state.iter().map(String::len).fold(0, usize::saturating_add);
        if invited.state.len() > TOLD_MAX || bytes > TOLD_MAX_BYTES {
            return Err(invalid("Too much is told of the room"));
        }
        let rules = room_version::rules(version).map_err(invalid)?;
        if rules.authorization.room_create_event_id_as_room_id {
            let events = invited.state.clone();
            let mut has_create = false;
            for event in self.signed.check_pdus(room_id, version, events).await? {
                has_create |= event.map_err(invalid)?.is_create();
            }
            if !has_create {
                return Err(invalid("`m.room.create` is missing in `invite_room_state`"));
            }
        }
        let servers = vec![invited.origin.clone()];
        Ok(Told { events: stripped_state(&invited.state, target), servers })
    }
}

/// The events in the form for strangers, each type and key once, without the membership of the user
/// itself. What is no state event is left out.
pub(super) fn stripped_state(events: &[String], user_id: &UserId) -> Vec<String> {
    #[derive(Deserialize)]
    struct Event {
        #[serde(rename = "type")]
        event_type: String,
        state_key: String,
        sender: OwnedUserId,
        content: serde_json::Map<String, Value>,
    }
    let mut seen = BTreeSet::new();
    let mut stripped = Vec::new();
    for event in events.iter().take(TOLD_MAX) {
        let Ok(event) = serde_json::from_str::<Event>(event) else { continue };
        let is_own = event.event_type == "m.room.member" && event.state_key == *user_id;
        if is_own || !seen.insert((event.event_type.clone(), event.state_key.clone())) {
            continue;
        }
        let json = json!({
            "type": event.event_type,
            "state_key": event.state_key,
            "sender": event.sender,
            "content": event.content,
        });
        stripped.push(json.to_string());
    }
    stripped
}
