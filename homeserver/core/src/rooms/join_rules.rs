//! Who may join a room, as its state says
//! (<https://spec.matrix.org/v1.19/client-server-api/#mroomjoin_rules>).

use pli_federation::room_version;
use pli_schema::StateRoot;
use ruma::{OwnedRoomId, RoomVersionId, UserId};
use serde::Deserialize;

use super::{Rooms, authorize::format_error};
use crate::Result;

/// Rooms of one rule that are looked at: beyond, the conditions are met by nobody.
const CONDITIONS_MAX: usize = 100;

/// The content of `m.room.join_rules`, as far as it is looked at.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct JoinRules {
    join_rule: String,
    #[serde(default)]
    allow: serde_json::Value,
}

/// What a join rule means in a version of rooms. A rule that the version does not know lets in those
/// who are invited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ways {
    /// Everyone may join.
    pub(super) open: bool,
    /// Everyone may knock.
    pub(super) knock: bool,
    /// Those who meet a condition may join.
    pub(super) restricted: bool,
}

#[derive(Deserialize)]
struct Membered {
    #[serde(rename = "type")]
    kind: String,
    room_id: OwnedRoomId,
}

impl JoinRules {
    /// The name of the rule; `invite` if there is none.
    pub(super) fn name(&self) -> &str {
        if self.join_rule.is_empty() { "invite" } else { &self.join_rule }
    }

    /// The rooms whose members may join; conditions of other kinds are not met by anyone.
    pub(super) fn rooms(&self) -> impl Iterator<Item = OwnedRoomId> {
        let conditions = self.allow.as_array().into_iter().flatten().take(CONDITIONS_MAX);
        let conditions = conditions.filter_map(|c| Membered::deserialize(c).ok());
        conditions.filter(|c| c.kind == "m.room_membership").map(|c| c.room_id)
    }

    /// What the rule means.
    ///
    /// # Errors
    /// [`crate::Error::UnsupportedRoomVersion`].
    pub(super) fn ways(&self, version: &RoomVersionId) -> Result<Ways> {
        let rules = room_version::rules(version).map_err(format_error)?.authorization;
        let (knocks, restricts) = match self.name() {
            "knock" => (rules.knocking, false),
            "restricted" => (false, rules.restricted_join_rule),
            "knock_restricted" => {
                (rules.knock_restricted_join_rule, rules.knock_restricted_join_rule)
            }
            _ => (false, false),
        };
        Ok(Ways { open: self.name() == "public", knock: knocks, restricted: restricts })
    }
}

impl Rooms {
    /// The join rules in a state.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn join_rules(&self, root: StateRoot) -> Result<JoinRules> {
        let event = self.state_event(root, "m.room.join_rules", "").await?;
        let rules = event.map(|event| event.content::<JoinRules>()).transpose()?.flatten();
        Ok(rules.unwrap_or_default())
    }

    /// Whether a user is joined to one of these rooms.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn is_in_any(&self, rooms: &[OwnedRoomId], user_id: &UserId) -> Result<bool> {
        for room_id in rooms {
            if let Some(room) = self.room_number(room_id).await?
                && self.is_joined(room, user_id).await?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
