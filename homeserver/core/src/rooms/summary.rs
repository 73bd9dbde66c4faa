//! What a room is called and how one gets in: what is told to those who are not in it
//! (<https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias>).

use std::sync::Arc;

use pli_schema::{
    RoomNumber, StateRoot,
    records::rooms::{Membership, RoomHeadRecord},
};
use ruma::{OwnedRoomAliasId, OwnedRoomId, RoomId, UserId};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Room, Rooms, join_rules::JoinRules};
use crate::{Error, Result};

/// What is told of a room. Absent values are left out of the JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoomSummary {
    /// The room's id.
    pub room_id: OwnedRoomId,
    /// Members that are joined.
    pub num_joined_members: u64,
    /// What its state says.
    #[serde(flatten)]
    pub description: Arc<Description>,
    /// The room version; other servers may leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_version: Option<String>,
}

/// What the state of a room says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Description {
    /// The canonical alias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical_alias: Option<OwnedRoomAliasId>,
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The topic as plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The avatar, an `mxc:` URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    /// The type, as `m.space`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_type: Option<String>,
    /// The join rule.
    pub join_rule: String,
    /// The rooms whose members may join, where the rule asks for that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_room_ids: Vec<OwnedRoomId>,
    /// Everyone may read it.
    pub world_readable: bool,
    /// Guests may join it.
    pub guest_can_join: bool,
    /// The algorithm of its encryption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// It is encrypted, whatever the algorithm.
    #[serde(skip)]
    pub encrypted: bool,
}

/// The state that a description is made of, apart from the join rules.
const DESCRIBES: [&str; 8] = [
    "m.room.create",
    "m.room.canonical_alias",
    "m.room.name",
    "m.room.topic",
    "m.room.avatar",
    "m.room.history_visibility",
    "m.room.guest_access",
    "m.room.encryption",
];

impl Description {
    /// Takes over what one state event says; what is empty or of a wrong type is left out.
    fn take(&mut self, event_type: &str, content: &Map<String, Value>) {
        let text = |key: &str| {
            let text = content.get(key).and_then(Value::as_str);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        match event_type {
            "m.room.create" => self.room_type = text("type"),
            "m.room.canonical_alias" => {
                self.canonical_alias = text("alias").and_then(|alias| alias.try_into().ok());
            }
            "m.room.name" => self.name = text("name"),
            "m.room.topic" => self.topic = plain_topic(content),
            "m.room.avatar" => self.avatar_url = text("url"),
            "m.room.history_visibility" => {
                self.world_readable =
                    text("history_visibility").as_deref() == Some("world_readable");
            }
            "m.room.guest_access" => {
                self.guest_can_join = text("guest_access").as_deref() == Some("can_join");
            }
            "m.room.encryption" => {
                self.encrypted = true;
                self.encryption = text("algorithm");
            }
            _ => {}
        }
    }

    fn take_join_rules(&mut self, rules: &JoinRules) {
        rules.name().clone_into(&mut self.join_rule);
        if matches!(rules.name(), "restricted" | "knock_restricted") {
            self.allowed_room_ids = rules.rooms().collect();
        }
    }

    /// Whether the room is a space.
    #[must_use]
    pub fn is_space(&self) -> bool {
        self.room_type.as_deref() == Some("m.space")
    }
}

/// The plain text of a topic: of its representations the one that is plain text, if it says more than
/// the old form.
fn plain_topic(content: &Map<String, Value>) -> Option<String> {
    let representations = content.get("m.topic").and_then(|topic| topic.get("m.text"));
    let text = match representations.and_then(Value::as_array) {
        Some(texts) => texts
            .iter()
            .find(|text| match text.get("mimetype") {
                None => true,
                Some(kind) => kind.as_str() == Some("text/plain"),
            })?
            .get("body"),
        None => content.get("topic"),
    };
    text.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

impl Rooms {
    /// The summary of a room for a user, or for nobody in particular, with the user's membership.
    ///
    /// # Errors
    /// [`Error::NotFound`] if this server does not know the room, or it is not to be found by the user.
    pub async fn summary(
        &self,
        room_id: &RoomId,
        user_id: Option<&UserId>,
    ) -> Result<(RoomSummary, Option<Membership>)> {
        let hidden = || Error::not_found("The room was not found");
        let room = self.room_by_id(room_id).await?.ok_or_else(hidden)?;
        let summary = self.visible_summary(&room, user_id).await?.ok_or_else(hidden)?;
        let membership = match user_id {
            Some(user_id) => {
                let member = self.member(room.number, user_id).await?;
                Some(member.map_or(Membership::Leave, |member| member.membership))
            }
            None => None,
        };
        Ok((summary, membership))
    }

    /// The membership of a user in a room that may not be known here: who has none has left.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn membership_in(&self, room_id: &RoomId, user_id: &UserId) -> Result<Membership> {
        let Some(room) = self.room_number(room_id).await? else { return Ok(Membership::Leave) };
        let member = self.member(room, user_id).await?;
        Ok(member.map_or(Membership::Leave, |member| member.membership))
    }

    /// The summary of a room, if the user may find it: as a member, as someone who is invited, may join
    /// or may knock, or because everyone may read it.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn visible_summary(
        &self,
        room: &Room,
        user_id: Option<&UserId>,
    ) -> Result<Option<RoomSummary>> {
        let head = self.head(room.number).await?;
        let description = self.description(head.state).await?;
        let visible = description.world_readable
            || match user_id {
                Some(user_id) => self.may_find(room, head.state, user_id).await?,
                None => {
                    let ways = self.join_rules(head.state).await?.ways(&room.version)?;
                    ways.open || ways.knock
                }
            };
        Ok(visible.then(|| self.summary_of(room, &head, description)))
    }

    /// The summary of a room, whoever asks.
    pub(super) fn summary_of(
        &self,
        room: &Room,
        head: &RoomHeadRecord,
        description: Arc<Description>,
    ) -> RoomSummary {
        RoomSummary {
            room_id: room.id.clone(),
            num_joined_members: head.joined_members,
            description,
            room_version: Some(room.version.to_string()),
        }
    }

    /// Whether a user may find a room of which another server tells.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn may_find_elsewhere(
        &self,
        told: &RoomSummary,
        user_id: Option<&UserId>,
    ) -> Result<bool> {
        let description = &told.description;
        if description.world_readable
            || matches!(description.join_rule.as_str(), "public" | "knock" | "knock_restricted")
        {
            return Ok(true);
        }
        let Some(user_id) = user_id else { return Ok(false) };
        if self.membership_in(&told.room_id, user_id).await? == Membership::Invite {
            return Ok(true);
        }
        let restricted = description.join_rule == "restricted";
        Ok(restricted && self.is_in_any(&description.allowed_room_ids, user_id).await?)
    }

    async fn may_find(&self, room: &Room, state: StateRoot, user_id: &UserId) -> Result<bool> {
        let member = self.member(room.number, user_id).await?;
        match member.map(|member| member.membership) {
            Some(Membership::Join | Membership::Invite | Membership::Knock) => return Ok(true),
            // They can neither join nor knock.
            Some(Membership::Ban) => return Ok(false),
            Some(Membership::Leave) | None => {}
        }
        let rules = self.join_rules(state).await?;
        let ways = rules.ways(&room.version)?;
        if ways.open || ways.knock {
            return Ok(true);
        }
        let rooms: Vec<OwnedRoomId> = rules.rooms().collect();
        Ok(ways.restricted && self.is_in_any(&rooms, user_id).await?)
    }

    /// What a state says of its room. Kept by the state's root: equal states say the same.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn description(&self, root: StateRoot) -> Result<Arc<Description>> {
        let key = (root, self.caches.redactions());
        if let Some(known) = self.caches.descriptions.get(&key) {
            return Ok(known);
        }
        let mut description = Description::default();
        for event_type in DESCRIBES {
            if let Some(event) = self.state_event(root, event_type, "").await?
                && let Some(content) = event.content()?
            {
                description.take(event_type, &content);
            }
        }
        description.take_join_rules(&self.join_rules(root).await?);
        Ok(self.caches.descriptions.put_read(key, Arc::new(description), 1))
    }

    /// Whether a room is encrypted now.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn is_encrypted(&self, room: RoomNumber) -> Result<bool> {
        let state = self.head(room).await?.state;
        Ok(self.description(state).await?.encrypted)
    }

    /// What the directory and invitations say of a room, whoever asks.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn described(
        &self,
        room: RoomNumber,
    ) -> Result<(Arc<Room>, u64, Arc<Description>)> {
        let head = self.head(room).await?;
        let description = self.description(head.state).await?;
        Ok((self.room(room).await?, head.joined_members, description))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_topic_is_its_plain_text() {
        let cases = [
            (json!({ "topic": "old" }), Some("old")),
            (json!({ "topic": "old", "m.topic": { "m.text": [{ "body": "new" }] } }), Some("new")),
            (
                json!({ "topic": "old", "m.topic": { "m.text": [
                    { "mimetype": "text/html", "body": "<b>x</b>" },
                    { "mimetype": "text/plain", "body": "x" },
                ] } }),
                Some("x"),
            ),
            (
                json!({ "topic": "old", "m.topic": { "m.text": [
                    { "mimetype": "text/html", "body": "<b>x</b>" }
                ] } }),
                None,
            ),
            (json!({ "topic": 7 }), None),
            (json!({ "topic": "" }), None),
        ];
        for (content, expected) in cases {
            let topic = plain_topic(content.as_object().unwrap());
            assert_eq!(topic.as_deref(), expected, "{content}");
        }
    }
}
