//! Events as `ruma-state-res` is shown them.

use std::sync::Arc;

use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedUserId, RoomId, UserId,
    events::TimelineEventType, room_version_rules::AuthorizationRules, state_res::Event,
};
use serde_json::value::RawValue;

use super::{power_values, user_levels};
use crate::event_format::Pdu;

/// An event, of room versions 1 to 5 with the numbers of `m.room.power_levels` made readable.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pdu: Arc<Pdu>,
    content: Option<Arc<RawValue>>,
}

impl Subject {
    pub(crate) fn new(pdu: Arc<Pdu>, rules: &AuthorizationRules) -> Self {
        let old =
            !rules.strict_canonical_json && pdu.event_type == TimelineEventType::RoomPowerLevels;
        let content = old.then(|| power_values::normalized(&pdu.content)).flatten();
        Self::with_content(pdu, content)
    }

    /// An event with another content, or its own.
    pub(super) fn with_content(pdu: Arc<Pdu>, content: Option<Box<RawValue>>) -> Self {
        Self { pdu, content: content.map(Arc::from) }
    }

    /// A power levels event with the levels of some users only, for rules that ask for no others. What
    /// the event says of its users is read once, and kept with it.
    pub(super) fn with_levels_of(
        pdu: Arc<Pdu>,
        users: &[OwnedUserId],
        rules: &AuthorizationRules,
    ) -> Self {
        let read = || user_levels::read(Self::new(Arc::clone(&pdu), rules), rules);
        let levels = pdu.user_levels.get_or_read(read);
        match levels.and_then(|levels| user_levels::content_for(levels, users)) {
            Some(content) => Self { pdu, content: Some(Arc::from(content)) },
            None => Self::new(pdu, rules),
        }
    }
}

impl Event for Subject {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.pdu.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        self.pdu.room_id.as_deref()
    }

    fn sender(&self) -> &UserId {
        &self.pdu.sender
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        self.pdu.origin_server_ts
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.pdu.event_type
    }

    fn content(&self) -> &RawValue {
        self.content.as_deref().unwrap_or(&self.pdu.content)
    }

    fn state_key(&self) -> Option<&str> {
        self.pdu.state_key.as_deref()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.pdu.prev_events.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.pdu.auth_events.iter())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        self.pdu.redacts.as_ref()
    }

    fn rejected(&self) -> bool {
        self.pdu.rejected
    }
}
