//! Who may do what in a room, for questions that no event stands behind: whether to offer an
//! action, who can authorize a restricted join, whether `@room` notifies.

use std::{cmp::Ordering, collections::HashSet, sync::Arc};

use ruma::{
    OwnedUserId, RoomVersionId, UserId,
    events::{StateEventType, TimelineEventType},
    room_version_rules::AuthorizationRules,
    state_res::events::{RoomCreateEvent, RoomPowerLevelsEvent, RoomPowerLevelsIntField},
};

use super::{Rejection, StateView, subject::Subject};
use crate::room_version;

/// The power level of a user: since version 12 creators stand above every number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerLevel {
    /// A number.
    Int(i64),
    /// More than any number.
    Infinite,
}

impl PartialOrd for PowerLevel {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PowerLevel {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Infinite, Self::Infinite) => Ordering::Equal,
            (Self::Infinite, Self::Int(_)) => Ordering::Greater,
            (Self::Int(_), Self::Infinite) => Ordering::Less,
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
        }
    }
}

/// The power levels of a room at some point
/// (<https://spec.matrix.org/v1.19/client-server-api/#mroompower_levels>).
pub struct PowerLevels {
    rules: AuthorizationRules,
    creators: HashSet<OwnedUserId>,
    event: Option<RoomPowerLevelsEvent<Subject>>,
}

impl PowerLevels {
    /// The levels of a state.
    ///
    /// # Errors
    /// [`Rejection`] when the state has no readable create event.
    pub fn of(
        version: &RoomVersionId,
        state: &(impl StateView + ?Sized),
    ) -> Result<Self, Rejection> {
        Self::by(&room_version::rules(version)?.authorization, state)
    }

    /// The levels of a state by the rules of its version.
    pub(super) fn by(
        rules: &AuthorizationRules,
        state: &(impl StateView + ?Sized),
    ) -> Result<Self, Rejection> {
        let create = state
            .get(&StateEventType::RoomCreate, "")
            .ok_or_else(|| Rejection("no create event in the state".to_owned()))?;
        let creators =
            RoomCreateEvent::new(Arc::clone(&create)).creators(rules).map_err(Rejection)?;
        let event = state
            .get(&StateEventType::RoomPowerLevels, "")
            .map(|event| RoomPowerLevelsEvent::new(Subject::new(event, rules)));
        Ok(Self { rules: rules.clone(), creators, event })
    }

    /// The level of a user.
    ///
    /// # Errors
    /// [`Rejection`] when the power levels event is not readable.
    pub fn of_user(&self, user_id: &UserId) -> Result<PowerLevel, Rejection> {
        let creator = self.creators.contains(user_id);
        if creator && self.rules.explicitly_privilege_room_creators {
            return Ok(PowerLevel::Infinite);
        }
        let level = match &self.event {
            Some(event) => event.user_power_level(user_id, &self.rules).map_err(Rejection)?,
            None if creator => 100.into(),
            None => RoomPowerLevelsIntField::UsersDefault.default_value(),
        };
        Ok(PowerLevel::Int(level.into()))
    }

    /// The level needed to send an event; `state` tells state events from others.
    ///
    /// # Errors
    /// [`Rejection`] when the power levels event is not readable.
    pub fn to_send(
        &self,
        event_type: &TimelineEventType,
        state: bool,
    ) -> Result<PowerLevel, Rejection> {
        let level = match &self.event {
            Some(event) => event
                .event_power_level(event_type, state.then_some(""), &self.rules)
                .map_err(Rejection)?,
            None if state => RoomPowerLevelsIntField::StateDefault.default_value(),
            None => RoomPowerLevelsIntField::EventsDefault.default_value(),
        };
        Ok(PowerLevel::Int(level.into()))
    }

    /// The level needed for an action: `ban`, `invite`, `kick` or `redact`.
    ///
    /// # Errors
    /// [`Rejection`] when the power levels event is not readable.
    pub fn to_act(&self, action: RoomPowerLevelsIntField) -> Result<PowerLevel, Rejection> {
        let level = match &self.event {
            Some(event) => event.get_as_int_or_default(action, &self.rules).map_err(Rejection)?,
            None => action.default_value(),
        };
        Ok(PowerLevel::Int(level.into()))
    }

    /// The level needed to notify everybody with a mention of the given kind (`room`); 50 unless
    /// the event says otherwise.
    ///
    /// # Errors
    /// [`Rejection`] when the power levels event is not readable.
    pub fn to_notify(&self, kind: &str) -> Result<PowerLevel, Rejection> {
        let levels = match &self.event {
            Some(event) => event.notifications(&self.rules).map_err(Rejection)?,
            None => None,
        };
        let level = levels.and_then(|levels| levels.get(kind).copied());
        Ok(PowerLevel::Int(level.map_or(50, Into::into)))
    }
}
