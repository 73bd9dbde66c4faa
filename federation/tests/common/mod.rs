//! Rooms made up for tests: events are really built, so that their identifiers, references and
//! formats are those of the room version.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use std::{collections::HashMap, sync::Arc};

use pli_federation::{
    auth_rules::{self, Rejection},
    event_format::{NewEvent, Pdu, build, next_depth},
    keys::SigningKey,
    room_version,
    state_res::StateMap,
};
use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, RoomVersionId, UInt, UserId,
    events::{StateEventType, TimelineEventType},
};
use serde_json::{Value, json, value::RawValue};

pub const ALICE: &str = "@alice:a.example";
pub const BOB: &str = "@bob:a.example";
pub const CAROL: &str = "@carol:b.example";
pub const DAVE: &str = "@dave:b.example";
pub const EVE: &str = "@eve:b.example";

/// The number of a room version.
pub fn number(version: &RoomVersionId) -> u8 {
    version.as_str().parse().unwrap()
}

pub fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap()
}

/// A room: all its events, and the state and the last events of the branch that is written to.
#[derive(Clone)]
pub struct Room {
    pub version: RoomVersionId,
    pub events: HashMap<OwnedEventId, Arc<Pdu>>,
    pub state: StateMap,
    pub last: Vec<OwnedEventId>,
    /// The time of the next event, in milliseconds.
    pub clock: u32,
    /// Its power levels name many users besides.
    pub crowded: bool,
    made: u32,
}

impl Room {
    /// The create event of alice, with more content, and nothing else.
    pub fn created(version: &RoomVersionId, more: Value) -> Self {
        let mut room = Self {
            version: version.clone(),
            events: HashMap::new(),
            state: StateMap::new(),
            last: Vec::new(),
            clock: 1_000,
            crowded: false,
            made: 0,
        };
        let mut content = json!({"room_version": version, "creator": ALICE});
        content.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        room.put(ALICE, "m.room.create", Some(""), content);
        room
    }

    /// A room with alice (100, or creator), bob (50), carol (0) in it, eve banned, by invitation.
    pub fn standard(version: &RoomVersionId) -> Self {
        Self::standard_with(version, false)
    }

    /// As [`Self::standard`]; `crowded` has power levels for many users who are not there.
    pub fn standard_with(version: &RoomVersionId, crowded: bool) -> Self {
        let mut room = Self { crowded, ..Self::created(version, json!({})) };
        room.put(ALICE, "m.room.member", Some(ALICE), json!({"membership": "join"}));
        let levels = room.levels(json!({}));
        room.put(ALICE, "m.room.power_levels", Some(""), levels);
        room.put(ALICE, "m.room.join_rules", Some(""), json!({"join_rule": "invite"}));
        for user in [BOB, CAROL] {
            room.put(ALICE, "m.room.member", Some(user), json!({"membership": "invite"}));
            room.put(user, "m.room.member", Some(user), json!({"membership": "join"}));
        }
        room.put(ALICE, "m.room.member", Some(EVE), json!({"membership": "ban"}));
        room
    }

    /// Another branch of the same room, whose events differ from those of every other `number`.
    pub fn fork(&self, number: u32) -> Self {
        Self { made: self.made + 1000 * number, ..self.clone() }
    }

    /// The usual power levels, with changes.
    pub fn levels(&self, changes: Value) -> Value {
        let mut users = if number(&self.version) >= 12 {
            json!({BOB: 50})
        } else {
            json!({ALICE: 100, BOB: 50})
        };
        for n in 0..if self.crowded { 30 } else { 0 } {
            users[format!("@member{n}:crowd.example")] = json!(0);
        }
        let mut levels = json!({
            "users": users, "users_default": 0, "events_default": 0, "state_default": 50,
            "ban": 50, "kick": 50, "redact": 50, "invite": 0, "events": {"org.example.free": 0},
        });
        levels.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        levels
    }

    /// What [`build`] needs for the next event, with the auth events of the state.
    pub fn draft(
        &self,
        sender: &str,
        event_type: &str,
        state_key: Option<&str>,
        content: Value,
    ) -> NewEvent {
        let sender = UserId::parse(sender).unwrap();
        let event_type = TimelineEventType::from(event_type);
        let content = raw(&content);
        let auth_events: Vec<OwnedEventId> =
            auth_rules::auth_types_for(&event_type, &sender, state_key, &content, &self.version)
                .map(|types| types.iter().filter_map(|key| self.state.get(key).cloned()).collect())
                .unwrap_or_else(|_| self.minimal_auth_events());
        let create = event_type == TimelineEventType::RoomCreate;
        let room_id = if create && number(&self.version) >= 12 {
            None
        } else if create {
            Some("!room:a.example".try_into().unwrap())
        } else {
            Some(self.events.values().next().unwrap().room().to_owned())
        };
        let depths = self.last.iter().map(|id| self.events[id].depth);
        NewEvent {
            room_id,
            state_key: state_key.map(ToOwned::to_owned),
            depth: next_depth(depths, &self.version).unwrap(),
            prev_events: self.last.clone(),
            auth_events,
            event_id_localpart: Some(format!("event{}", self.made)),
            ..NewEvent::new(
                sender,
                event_type,
                content,
                MilliSecondsSinceUnixEpoch(UInt::from(self.clock)),
            )
        }
    }

    /// The create event where the version has it in `auth_events`.
    fn minimal_auth_events(&self) -> Vec<OwnedEventId> {
        let create = self.state.get(&(StateEventType::RoomCreate, String::new())).cloned();
        create.into_iter().filter(|_| number(&self.version) < 12).collect()
    }

    /// Builds a draft.
    pub fn finish(&self, mut new: NewEvent) -> Arc<Pdu> {
        for id in new.prev_events.iter().chain(&new.auth_events) {
            let hash = self
                .events
                .get(id)
                .map_or_else(|| "unknown".to_owned(), |e| e.reference_hash(&self.version).unwrap());
            new.reference_hashes.insert(id.clone(), hash);
        }
        let key = SigningKey::from_seed(&[7; 32], "1").unwrap();
        let server = new.sender.server_name().to_owned();
        Arc::new(build(new, &self.version, &key, &server).unwrap())
    }

    /// The next event, not yet in the room.
    pub fn event(
        &self,
        sender: &str,
        event_type: &str,
        state_key: Option<&str>,
        content: Value,
    ) -> Arc<Pdu> {
        self.finish(self.draft(sender, event_type, state_key, content))
    }

    /// A membership event, not yet in the room.
    pub fn member(&self, sender: &str, target: &str, membership: &str) -> Arc<Pdu> {
        self.event(sender, "m.room.member", Some(target), json!({"membership": membership}))
    }

    /// All authorization rules against the state of the branch.
    pub fn check(&self, pdu: &Pdu) -> Result<(), Rejection> {
        auth_rules::check(pdu, &self.version, self.fetch(), &self.view())
    }

    pub fn fetch(&self) -> impl Fn(&EventId) -> Option<Arc<Pdu>> {
        |id| self.events.get(id).cloned()
    }

    pub fn view(&self) -> impl Fn(&StateEventType, &str) -> Option<Arc<Pdu>> {
        |event_type, state_key| {
            let id = self.state.get(&(event_type.clone(), state_key.to_owned()))?;
            self.events.get(id).cloned()
        }
    }

    /// Appends an event without any check.
    pub fn append(&mut self, pdu: &Arc<Pdu>) -> OwnedEventId {
        self.made += 1;
        self.clock += 10;
        self.events.insert(pdu.event_id.clone(), Arc::clone(pdu));
        if let Some(state_key) = &pdu.state_key {
            let event_type = StateEventType::from(pdu.event_type.to_string());
            self.state.insert((event_type, state_key.clone()), pdu.event_id.clone());
        }
        self.last = vec![pdu.event_id.clone()];
        pdu.event_id.clone()
    }

    /// Makes an event, which must be allowed, and appends it.
    pub fn put(
        &mut self,
        sender: &str,
        event_type: &str,
        state_key: Option<&str>,
        content: Value,
    ) -> OwnedEventId {
        let pdu = self.event(sender, event_type, state_key, content);
        if let Err(rejection) = self.check(&pdu) {
            panic!("version {}: {} of {sender}: {rejection}", self.version, pdu.event_type);
        }
        self.append(&pdu)
    }

    /// [`Room::put`] of a membership.
    pub fn put_member(&mut self, sender: &str, target: &str, membership: &str) -> OwnedEventId {
        self.put(sender, "m.room.member", Some(target), json!({"membership": membership}))
    }

    /// [`Room::put`] of the join rule.
    pub fn put_join_rule(&mut self, rule: &str) -> OwnedEventId {
        self.put(ALICE, "m.room.join_rules", Some(""), json!({"join_rule": rule}))
    }

    /// [`Room::put`] of the usual power levels with changes, by alice.
    pub fn put_levels(&mut self, changes: Value) -> OwnedEventId {
        let levels = self.levels(changes);
        self.put(ALICE, "m.room.power_levels", Some(""), levels)
    }
}

/// Runs `test` for every room version.
pub fn for_each_version(test: impl Fn(&RoomVersionId, u8)) {
    for version in &room_version::SUPPORTED {
        test(version, number(version));
    }
}
