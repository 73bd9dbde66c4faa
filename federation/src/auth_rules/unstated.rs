//! What a room's state leaves unsaid, where `ruma-state-res` takes it otherwise than the servers
//! that most rooms are on: state that one server resolves must be what the others resolve.

use std::sync::Arc;

use ruma::{
    events::TimelineEventType,
    room_version_rules::RoomVersionRules,
    state_res::events::{RoomPowerLevelsEvent, RoomPowerLevelsIntField as Field},
};
use serde_json::{Map, Value, value::RawValue};

use super::{PowerLevel, PowerLevels, StateView, subject::Subject};
use crate::event_format::Pdu;

const FIELDS: [Field; 7] = [
    Field::UsersDefault,
    Field::EventsDefault,
    Field::StateDefault,
    Field::Ban,
    Field::Redact,
    Field::Kick,
    Field::Invite,
];

/// The join rules of a room that has none: those of a room by invitation.
pub(super) fn join_rules(pdu: &Pdu) -> Option<Subject> {
    let mut rules = pdu.clone();
    rules.event_type = TimelineEventType::RoomJoinRules;
    rules.state_key = Some(String::new());
    rules.content = RawValue::from_string(r#"{"join_rule":"invite"}"#.to_owned()).ok()?;
    Some(Subject::with_content(Arc::new(rules), None))
}

/// An `m.room.power_levels` event that adds or removes one of the levels outside of `users`,
/// `events` and `notifications`, as if it did not, where the sender may: the rules speak of the
/// current value and of the new one, and where there is none there is nothing to be higher than the
/// sender's power. `None` when there is nothing to leave aside.
pub(super) fn levels(
    pdu: &Pdu,
    rules: &RoomVersionRules,
    state: &(impl StateView + ?Sized),
) -> Option<Subject> {
    let rules = &rules.authorization;
    let current = state.get(&ruma::events::StateEventType::RoomPowerLevels, "")?;
    let sender = PowerLevels::by(rules, state).ok()?.of_user(&pdu.sender).ok()?;
    let subject = Subject::new(Arc::new(pdu.clone()), rules);
    let mut content: Map<String, Value> =
        serde_json::from_str(ruma::state_res::Event::content(&subject).get()).ok()?;
    let (old, new) = (
        RoomPowerLevelsEvent::new(Subject::new(current, rules)),
        RoomPowerLevelsEvent::new(subject),
    );
    let mut changed = false;
    for field in FIELDS {
        let may = |level: &ruma::Int| PowerLevel::Int((*level).into()) <= sender;
        match (old.get_as_int(field, rules), new.get_as_int(field, rules)) {
            (Ok(None), Ok(Some(level))) if may(&level) => {
                content.remove(field.as_str());
                changed = true;
            }
            (Ok(Some(level)), Ok(None)) if may(&level) => {
                content.insert(field.as_str().to_owned(), i64::from(level).into());
                changed = true;
            }
            _ => {}
        }
    }
    let content = changed.then(|| serde_json::value::to_raw_value(&content).ok()).flatten()?;
    Some(Subject::with_content(Arc::new(pdu.clone()), Some(content)))
}
