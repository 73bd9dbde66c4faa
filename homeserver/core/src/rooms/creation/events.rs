//! The first events of a room, in the order that the specification gives.

use pli_federation::room_version;
use ruma::{OwnedRoomAliasId, OwnedUserId, RoomVersionId};
use serde_json::{Map, Value, json, value::RawValue};

use super::{CreateRoom, Preset, power_levels};
use crate::{
    Error, Result,
    rooms::{Draft, Rooms, authorize::format_error},
};

impl Rooms {
    /// All events of a new room.
    pub(super) async fn first_events(
        &self,
        request: &CreateRoom,
        version: &RoomVersionId,
        alias: Option<&OwnedRoomAliasId>,
    ) -> Result<Vec<Draft>> {
        let creator = &request.creator;
        let state = |event_type: &str, content: &Value| {
            Draft::state_of(creator.clone(), event_type.to_owned(), "", content)
        };
        let profile = self.profile(creator).await?;
        let mut events = vec![
            state("m.room.create", &create_content(request, version)?)?,
            Draft::state_of(
                creator.clone(),
                "m.room.member".to_owned(),
                creator.as_str(),
                &profile.member_content("join"),
            )?,
            state("m.room.power_levels", &power_levels::content(request, version)?)?,
        ];
        if let Some(alias) = alias {
            events.push(state("m.room.canonical_alias", &json!({ "alias": alias }))?);
        }
        let given = |event_type: &str| {
            request
                .initial_state
                .iter()
                .any(|e| e.event_type == event_type && e.state_key.is_empty())
        };
        for (event_type, content) in preset_events(request.preset()) {
            if !given(event_type) {
                events.push(state(event_type, &content)?);
            }
        }
        let named = |event_type: &str| match event_type {
            "m.room.name" => request.name.is_some(),
            "m.room.topic" => request.topic.is_some(),
            _ => false,
        };
        for event in &request.initial_state {
            if !(event.state_key.is_empty() && named(&event.event_type)) {
                let (event_type, state_key) = (event.event_type.clone(), event.state_key.clone());
                let content = event.content.clone();
                events.push(Draft::state(creator.clone(), event_type, state_key, content)?);
            }
        }
        if let Some(name) = &request.name {
            events.push(state("m.room.name", &json!({ "name": name }))?);
        }
        if let Some(topic) = &request.topic {
            events.push(state("m.room.topic", &topic_content(topic))?);
        }
        for user_id in &request.invite {
            events.push(self.first_invite(request, user_id).await?);
        }
        Ok(events)
    }

    async fn first_invite(&self, request: &CreateRoom, user_id: &OwnedUserId) -> Result<Draft> {
        self.require_reachable(user_id)?;
        let mut content = self.profile(user_id).await?.member_content("invite");
        if request.is_direct {
            content.insert("is_direct".to_owned(), Value::Bool(true));
        }
        let event_type = "m.room.member".to_owned();
        Draft::state_of(request.creator.clone(), event_type, user_id.as_str(), &content)
    }
}

/// `m.room.topic` in its old and its new form ("`m.topic`", since v1.15).
fn topic_content(topic: &str) -> Value {
    json!({ "topic": topic, "m.topic": { "m.text": [{ "body": topic }] } })
}

fn preset_events(preset: Preset) -> [(&'static str, Value); 3] {
    let (join_rule, guest_access) = match preset {
        Preset::Private | Preset::TrustedPrivate => ("invite", "can_join"),
        Preset::Public => ("public", "forbidden"),
    };
    [
        ("m.room.join_rules", json!({ "join_rule": join_rule })),
        ("m.room.history_visibility", json!({ "history_visibility": "shared" })),
        ("m.room.guest_access", json!({ "guest_access": guest_access })),
    ]
}

/// The content of `m.room.create`: what the client wants in it, and what is the server's to say.
fn create_content(request: &CreateRoom, version: &RoomVersionId) -> Result<Value> {
    let rules = room_version::rules(version).map_err(format_error)?;
    let mut content = object(request.creation_content.as_deref())?;
    content.insert("room_version".to_owned(), Value::from(version.as_str()));
    content.remove("creator");
    if !rules.authorization.use_room_create_sender {
        content.insert("creator".to_owned(), Value::from(request.creator.as_str()));
    }
    let trusted = request.preset() == Preset::TrustedPrivate;
    if rules.authorization.additional_room_creators && trusted {
        let creators = content.entry("additional_creators").or_insert_with(|| json!([]));
        let Some(creators) = creators.as_array_mut() else {
            return Err(Error::InvalidRoomState("`additional_creators` is not a list".to_owned()));
        };
        for user_id in request.invite.iter().chain(&request.invite_later) {
            let user_id = Value::from(user_id.as_str());
            if !creators.contains(&user_id) {
                creators.push(user_id);
            }
        }
    }
    Ok(Value::Object(content))
}

/// A JSON object, empty if there is none.
pub(super) fn object(raw: Option<&RawValue>) -> Result<Map<String, Value>> {
    let Some(raw) = raw else {
        return Ok(Map::new());
    };
    serde_json::from_str(raw.get()).map_err(|error| Error::BadJson(error.to_string()))
}
