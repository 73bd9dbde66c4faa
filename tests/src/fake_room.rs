//! A room as a [`FakeServer`] sees it: it has joined, and makes events of any shape.

use std::{collections::BTreeMap, sync::Arc};

use pli_federation::{
    auth_rules::auth_types_for,
    event_format::{self, NewEvent, Pdu},
};
use reqwest::Method;
use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomVersionId, UInt,
    events::TimelineEventType,
};
use serde_json::{Value, value::to_raw_value};

use crate::{fake_server::FakeServer, server::TestServer};

/// A room of a version from 3 on.
#[derive(Clone, Debug)]
pub struct FakeRoom {
    /// Its id.
    pub id: OwnedRoomId,
    /// Its version.
    pub version: RoomVersionId,
    /// The member of the fake server.
    pub user_id: OwnedUserId,
    /// The state, by type and state key.
    pub state: BTreeMap<(String, String), Arc<Pdu>>,
    /// What authorizes it.
    pub auth_chain: Vec<Arc<Pdu>>,
    /// The events that the next one follows.
    pub last: Vec<OwnedEventId>,
    /// The depth of the newest.
    pub depth: u64,
    /// When the next event is made, in milliseconds since 1970.
    pub now_ms: u64,
}

fn parsed(value: &Value, version: &RoomVersionId) -> Arc<Pdu> {
    let pdu = Pdu::parse(None, &value.to_string(), version);
    Arc::new(pdu.unwrap_or_else(|error| panic!("an event: {error}")))
}

impl FakeRoom {
    /// Joins a room of a server.
    pub async fn join(fake: &FakeServer, server: &TestServer, room_id: &str, who: &str) -> Self {
        let user_id = fake.user(who);
        let versions: String = (3..=12).map(|version| format!("&ver={version}")).collect();
        let versions = versions.trim_start_matches('&');
        let path = format!("/_matrix/federation/v1/make_join/{room_id}/{user_id}?{versions}");
        let made = fake.get(server, &path).await.ok();
        let version = made["room_version"].as_str().unwrap_or_default();
        let version = RoomVersionId::try_from(version).unwrap_or(RoomVersionId::V12);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let ids = |value: &Value| -> Vec<OwnedEventId> {
            let ids = value.as_array().into_iter().flatten();
            ids.filter_map(|id| OwnedEventId::try_from(text(id)).ok()).collect()
        };
        let template = &made["event"];
        let mut room = Self {
            id: OwnedRoomId::try_from(room_id).unwrap_or_else(|error| panic!("{error}")),
            version,
            user_id: OwnedUserId::try_from(user_id).unwrap_or_else(|error| panic!("{error}")),
            state: BTreeMap::new(),
            auth_chain: Vec::new(),
            last: ids(&template["prev_events"]),
            depth: template["depth"].as_u64().unwrap_or_default().saturating_sub(1),
            now_ms: template["origin_server_ts"].as_u64().unwrap_or_default(),
        };
        let mut new = room.new_event("m.room.member", Some(&fake.user(who)), &template["content"]);
        new.auth_events = ids(&template["auth_events"]);
        let join = room.build(fake, new);
        let event_id = join.event_id.as_str().replace('/', "%2F");
        let path = format!("/_matrix/federation/v2/send_join/{room_id}/{event_id}");
        let sent = fake.send(server, Method::PUT, &path, Some(&join.json)).await.ok();
        for event in sent["state"].as_array().into_iter().flatten() {
            room.set(&parsed(event, &room.version));
        }
        let chain = sent["auth_chain"].as_array().into_iter().flatten();
        room.auth_chain = chain.map(|event| parsed(event, &room.version)).collect();
        room.advance(&join);
        room
    }

    fn set(&mut self, pdu: &Arc<Pdu>) {
        if let Some(state_key) = &pdu.state_key {
            let key = (pdu.event_type.to_string(), state_key.clone());
            self.state.insert(key, Arc::clone(pdu));
        }
    }

    /// What the next event is made of.
    #[must_use]
    pub fn new_event(
        &self,
        event_type: &str,
        state_key: Option<&str>,
        content: &Value,
    ) -> NewEvent {
        let content = to_raw_value(content).unwrap_or_else(|error| panic!("{error}"));
        let event_type = TimelineEventType::from(event_type);
        let at = MilliSecondsSinceUnixEpoch(UInt::new_saturating(self.now_ms));
        let mut new = NewEvent::new(self.user_id.clone(), event_type, content, at);
        new.room_id = Some(self.id.clone());
        new.state_key = state_key.map(str::to_owned);
        new.prev_events = self.last.clone();
        new.depth = self.depth.saturating_add(1);
        new.auth_events = self.auth_events(&new);
        new
    }

    /// The events that authorize an event in the state that the fake server knows.
    #[must_use]
    pub fn auth_events(&self, new: &NewEvent) -> Vec<OwnedEventId> {
        let (kind, content) = (&new.event_type, &new.content);
        let key = new.state_key.as_deref();
        let types = auth_types_for(kind, &new.sender, key, content, &self.version);
        let types = types.unwrap_or_default();
        let events = types.into_iter().filter_map(|(event_type, state_key)| {
            let pdu = self.state.get(&(event_type.to_string(), state_key))?;
            Some(pdu.event_id.clone())
        });
        events.collect()
    }

    /// Makes an event, signed by the fake server.
    #[must_use]
    pub fn build(&self, fake: &FakeServer, new: NewEvent) -> Arc<Pdu> {
        let pdu = event_format::build(new, &self.version, &fake.key, &fake.name);
        Arc::new(pdu.unwrap_or_else(|error| panic!("an event: {error}")))
    }

    /// A text message after the last event, which it becomes.
    pub fn say(&mut self, fake: &FakeServer, text: &str) -> Arc<Pdu> {
        let content = serde_json::json!({ "msgtype": "m.text", "body": text });
        let pdu = self.build(fake, self.new_event("m.room.message", None, &content));
        self.advance(&pdu);
        pdu
    }

    /// A state event after the last event, which it becomes.
    pub fn put(&mut self, fake: &FakeServer, what: (&str, &str), content: &Value) -> Arc<Pdu> {
        let pdu = self.build(fake, self.new_event(what.0, Some(what.1), content));
        self.advance(&pdu);
        pdu
    }

    /// Makes an event the last one.
    pub fn advance(&mut self, pdu: &Arc<Pdu>) {
        self.set(pdu);
        self.last = vec![pdu.event_id.clone()];
        self.depth = pdu.depth;
        self.now_ms = self.now_ms.saturating_add(1);
    }
}
