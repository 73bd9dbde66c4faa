//! Which state of a room a client wants.

use std::collections::BTreeSet;

use pli_schema::{EventNumber, StateKeyNumber};
use ruma::UserId;

use super::request::RoomConfig;
use crate::{
    Result,
    rooms::{Rooms, StoredEvent},
    sync::view::StateView,
};

const ANY: &str = "*";
const MEMBER: &str = "m.room.member";

/// Which state of a room a client wants: a set of patterns, so that two wishes together are their
/// union. The pattern of everything does not match memberships: who wants all of them has their
/// pattern, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Required {
    patterns: BTreeSet<(String, String)>,
    /// Memberships of the timeline's senders are wanted.
    lazy: bool,
}

impl Required {
    /// What a list or a subscription asks for.
    pub(super) fn of(config: &RoomConfig, user_id: &UserId) -> Self {
        let mut required = Self::default();
        for (event_type, state_key) in &config.required_state {
            match (event_type.as_str(), state_key.as_str()) {
                (MEMBER, "$LAZY") => required.lazy = true,
                (_, "$LAZY") => {}
                (_, "$ME") => required.add(event_type, user_id.as_str()),
                _ => required.add(event_type, state_key),
            }
        }
        if !required.lazy && required.has(ANY, ANY) {
            required.add(MEMBER, ANY);
        }
        required
    }

    fn add(&mut self, event_type: &str, state_key: &str) {
        self.patterns.insert((event_type.to_owned(), state_key.to_owned()));
    }

    fn has(&self, event_type: &str, state_key: &str) -> bool {
        self.patterns.iter().any(|(t, k)| t == event_type && k == state_key)
    }

    /// Adds another wish.
    pub(super) fn join(&mut self, other: &Self) {
        self.patterns.extend(other.patterns.iter().cloned());
        self.lazy |= other.lazy;
    }

    /// Whether memberships come with the events of those who sent them, and not all at once.
    pub(super) fn is_lazy(&self) -> bool {
        self.lazy && !self.has(MEMBER, ANY)
    }

    /// What is wanted here and not in `older`.
    pub(super) fn beyond(&self, older: &Self) -> Self {
        let patterns = self.patterns.difference(&older.patterns).cloned().collect();
        Self { patterns, lazy: false }
    }

    /// Whether nothing is wanted at once.
    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a state key is wanted.
    pub(super) fn wants(&self, event_type: &str, state_key: &str) -> bool {
        self.patterns.iter().any(|(t, k)| {
            let everything = t == ANY && k == ANY;
            (t == ANY || t == event_type)
                && (k == ANY || k == state_key)
                && (!everything || event_type != MEMBER)
        })
    }

    /// Whether the state event of a stored event is wanted.
    pub(super) fn wants_event(&self, event: &StoredEvent) -> Result<bool> {
        let pdu = event.pdu()?;
        let state_key = pdu.state_key.as_deref().unwrap_or_default();
        Ok(self.wants(&pdu.event_type.to_string(), state_key))
    }

    /// The events of a state that are wanted.
    pub(super) async fn select(
        &self,
        rooms: &Rooms,
        view: &StateView,
    ) -> Result<BTreeSet<EventNumber>> {
        if self.patterns.iter().any(|(event_type, _)| event_type == ANY) {
            return self.select_of_all(rooms, view).await;
        }
        let mut found = BTreeSet::new();
        for (event_type, state_key) in &self.patterns {
            if state_key == ANY {
                let entries = view.entries_of_type(rooms, event_type).await?;
                found.extend(entries.into_iter().map(|(_, event)| event));
            } else {
                found.extend(view.get(rooms, event_type, state_key).await?);
            }
        }
        Ok(found)
    }

    /// Goes through the whole state, and through the memberships only by their own patterns.
    async fn select_of_all(
        &self,
        rooms: &Rooms,
        view: &StateView,
    ) -> Result<BTreeSet<EventNumber>> {
        let members = rooms.state_type_number(MEMBER).await?;
        let is_member = |key: StateKeyNumber| Some(key.type_number()) == members;
        let mut found = BTreeSet::new();
        for (key, number) in view.entries(rooms).await? {
            if !is_member(key) && self.wants_event(&*rooms.existing_event(number).await?)? {
                found.insert(number);
            }
        }
        for (event_type, state_key) in &self.patterns {
            if event_type != MEMBER && event_type != ANY {
                continue;
            }
            if state_key == ANY && event_type == MEMBER {
                let entries = view.entries_of_type(rooms, MEMBER).await?;
                found.extend(entries.into_iter().map(|(_, event)| event));
            } else if state_key != ANY {
                found.extend(view.get(rooms, MEMBER, state_key).await?);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    fn required(pairs: &[(&str, &str)]) -> Required {
        let pairs = pairs.iter().map(|(t, k)| ((*t).to_owned(), (*k).to_owned())).collect();
        let config = RoomConfig { timeline_limit: 0, required_state: pairs };
        Required::of(&config, user_id!("@me:x"))
    }

    #[test]
    fn patterns_match_types_and_keys() {
        let wanted = required(&[("m.room.name", ""), ("m.space.child", "*"), ("*", "k")]);
        assert!(wanted.wants("m.room.name", ""));
        assert!(!wanted.wants("m.room.name", "x"));
        assert!(wanted.wants("m.space.child", "!a:x"));
        assert!(wanted.wants("anything", "k"));
        assert!(!wanted.wants("m.room.topic", ""));
        assert!(required(&[("m.room.member", "$ME")]).wants("m.room.member", "@me:x"));
    }

    #[test]
    fn everything_without_lazy_members_has_all_members() {
        let all = required(&[("*", "*")]);
        assert!(all.wants("m.room.member", "@a:x") && !all.is_lazy());
        let lazy = required(&[("*", "*"), ("m.room.member", "$LAZY"), ("m.room.member", "$ME")]);
        assert!(lazy.is_lazy() && lazy.wants("m.room.topic", ""));
        assert!(!lazy.wants("m.room.member", "@a:x") && lazy.wants("m.room.member", "@me:x"));
        let mut both = lazy.clone();
        both.join(&all);
        assert!(!both.is_lazy() && both.wants("m.room.member", "@a:x"));
        assert!(both.beyond(&lazy).wants("m.room.member", "@a:x"));
        assert!(lazy.beyond(&both).is_empty());
    }
}
