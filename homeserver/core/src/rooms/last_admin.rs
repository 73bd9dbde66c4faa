//! What [`crate::policy::last_admin`] wants to know of a room, and doing what it says.

use pli_federation::auth_rules::PowerLevel;
use pli_schema::records::rooms::Membership;
use ruma::UserId;
use serde_json::{Map, Value};

use super::{Draft, Room, Rooms};
use crate::{
    Result,
    policy::last_admin::{ADMIN_LEVEL, Staying, successor},
};

/// Members that are looked at; in larger rooms somebody with power is among them.
const MEMBERS_MAX: usize = 5_000;

impl Rooms {
    /// What is to be sent before a user goes, so that the room is not left without anyone who can
    /// change it: power levels with a successor.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn succession(&self, room: &Room, leaving: &UserId) -> Result<Option<Draft>> {
        if !self.settings().last_admin_rule || !self.is_joined(room.number, leaving).await? {
            return Ok(None);
        }
        let levels = self.power_levels(room).await?;
        let level_of = |user_id: &UserId| match levels.of_user(user_id) {
            Ok(PowerLevel::Infinite) => None,
            Ok(PowerLevel::Int(level)) => Some(level),
            Err(_) => Some(0),
        };
        let mut staying = Vec::new();
        let members = self.members(room.number, Some(Membership::Join)).await?;
        for (user_id, member) in members.into_iter().take(MEMBERS_MAX) {
            if user_id == leaving {
                continue;
            }
            let level = level_of(&user_id);
            let eligible = self.is_local(&user_id)
                && !self.is_guest(&user_id).await?
                && !self.is_external(&user_id).await?;
            // Events are numbered in the order in which they came.
            staying.push(Staying { user: user_id, level, since: member.event.0, eligible });
        }
        let Some(successor) = successor(level_of(leaving), staying) else {
            return Ok(None);
        };
        let kind = "m.room.power_levels";
        let content: Option<Map<String, Value>> = self.current_content(room.number, kind).await?;
        let mut content = content.unwrap_or_default();
        let users = content.entry("users").or_insert_with(|| Value::Object(Map::new()));
        if let Some(users) = users.as_object_mut() {
            users.insert(successor.to_string(), Value::from(ADMIN_LEVEL));
        }
        Draft::state_of(leaving.to_owned(), kind.to_owned(), "", &content).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use ruma::RoomVersionId;

    use super::*;
    use crate::rooms::{
        RoomSettings,
        testing::{public_room, rooms_with, user},
    };

    #[tokio::test]
    async fn whoever_has_been_there_longest_takes_over_from_the_last_admin() {
        for version in [RoomVersionId::V6, RoomVersionId::V11, RoomVersionId::V12] {
            let settings = RoomSettings { last_admin_rule: true, ..RoomSettings::default() };
            let rooms = rooms_with(settings);
            let id = public_room(&rooms, version.clone()).await;
            for name in ["bob", "carol"] {
                rooms.join(&user(name), &id, None).await.unwrap();
            }
            rooms.leave(&user("alice"), &id, None).await.unwrap();
            let number = rooms.room_number(&id).await.unwrap().unwrap();
            let room = rooms.room(number).await.unwrap();
            let levels = rooms.power_levels(&room).await.unwrap();
            let level = |name: &str| levels.of_user(&user(name)).unwrap();
            assert!(level("bob") >= PowerLevel::Int(100), "{version}");
            assert!(level("carol") < PowerLevel::Int(100), "{version}");
            assert!(!rooms.is_joined(number, &user("alice")).await.unwrap());
            // The last one of all goes without a successor.
            rooms.leave(&user("bob"), &id, None).await.unwrap();
            rooms.leave(&user("carol"), &id, None).await.unwrap();
            assert_eq!(rooms.head(number).await.unwrap().joined_members, 0);
        }
    }
}
