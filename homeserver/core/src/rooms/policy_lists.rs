//! Applying the policy lists that the server follows: nobody whom they ban comes in or invites.

use std::sync::Arc;

use pli_schema::StateRoot;
use ruma::{OwnedRoomId, UserId};
use serde_json::Value;

use super::{Draft, Rooms, draft::membership_wished, staging::Staging};
use crate::{
    Error, Result,
    policy::lists::{Entity, PolicyList},
};

impl Staging<'_> {
    /// Refuses invites, joins and knocks that concern what a policy list bans.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub(super) async fn check_policy_lists(&self, draft: &Draft) -> Result<()> {
        let rooms = self.rooms();
        let comes_in =
            matches!(membership_wished(draft).as_deref(), Some("join" | "invite" | "knock"));
        if rooms.settings().policy_rooms.is_empty() || !comes_in {
            return Ok(());
        }
        if rooms.is_server_admin(&draft.sender).await? {
            return Ok(());
        }
        let target = draft.state_key.as_deref().and_then(|key| UserId::parse(key).ok());
        for list in rooms.policy_lists().await? {
            if list.bans(Entity::Room, self.room.id.as_str()) {
                return Err(Error::forbidden("This room is on a policy list of this server"));
            }
            for user_id in [Some(&draft.sender), target.as_ref()].into_iter().flatten() {
                refuse_listed(&list, user_id)?;
            }
        }
        Ok(())
    }
}

fn refuse_listed(list: &PolicyList, user_id: &UserId) -> Result<()> {
    let listed = list.bans(Entity::User, user_id.as_str())
        || list.bans(Entity::Server, user_id.server_name().host());
    if listed {
        return Err(Error::forbidden("This user is on a policy list of this server"));
    }
    Ok(())
}

impl Rooms {
    /// Refuses a user id that a policy list bans: nobody registers it.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub async fn refuse_listed_user(&self, user_id: &UserId) -> Result<()> {
        for list in self.policy_lists().await? {
            refuse_listed(&list, user_id)?;
        }
        Ok(())
    }

    /// The lists that the server follows, as they are now.
    async fn policy_lists(&self) -> Result<Vec<Arc<PolicyList>>> {
        let mut lists = Vec::new();
        for room in &self.settings().policy_rooms {
            let room_id = match OwnedRoomId::try_from(room.clone()) {
                Ok(room_id) => Some(room_id),
                Err(alias) => match self.resolve_alias(&alias).await {
                    Err(Error::NotFound(_)) => None,
                    other => Some(other?),
                },
            };
            // A list that is not there (yet) bans nobody.
            if let Some(room_id) = room_id
                && let Some(number) = self.room_number(&room_id).await?
            {
                lists.push(self.policy_list(self.head(number).await?.state).await?);
            }
        }
        Ok(lists)
    }

    async fn policy_list(&self, root: StateRoot) -> Result<Arc<PolicyList>> {
        let key = (root, self.caches.redactions());
        if let Some(known) = self.caches.policy_lists.get(&key) {
            return Ok(known);
        }
        let mut list = PolicyList::default();
        for (entity, event_type) in Entity::TYPES {
            for event in self.state_events_of_type(root, event_type).await? {
                list.take(entity, &event.content::<Value>()?.unwrap_or_default());
            }
        }
        Ok(self.caches.policy_lists.put_read(key, Arc::new(list), 1))
    }
}

#[cfg(test)]
mod tests {
    use ruma::RoomVersionId;
    use serde_json::json;

    use super::*;
    use crate::rooms::{
        CreateRoom, RoomSettings,
        testing::{public_room, rooms_with, set_membership, state, user},
    };

    #[tokio::test]
    async fn whom_a_list_bans_neither_comes_in_nor_invites() {
        let alias = "#bans:agents.example".try_into().unwrap();
        let settings = RoomSettings { policy_rooms: vec![alias], ..RoomSettings::default() };
        let rooms = rooms_with(settings);
        let room = public_room(&rooms, RoomVersionId::V12).await;
        set_membership(&rooms, &room, ("spam1", "spam1"), "join").await.unwrap();
        let mut list = CreateRoom::by(user("mod"));
        list.alias_name = Some("bans".to_owned());
        let list = rooms.create(list).await.unwrap();
        let rule = json!({ "entity": "@spam*:*", "recommendation": "m.ban", "reason": "spam" });
        let rule = state("mod", "m.policy.rule.user", "rule1", &rule);
        rooms.append(&list, rule, None).await.unwrap();
        for (sender, target, what) in
            [("spam2", "spam2", "join"), ("alice", "spam2", "invite"), ("spam1", "bob", "invite")]
        {
            let refused = set_membership(&rooms, &room, (sender, target), what).await;
            assert!(matches!(refused, Err(Error::Forbidden(_))), "{sender} {target} {what}");
        }
        assert!(rooms.refuse_listed_user(&user("spammer")).await.is_err());
        // Going is always possible, and a rule can be taken back.
        set_membership(&rooms, &room, ("spam1", "spam1"), "leave").await.unwrap();
        let empty = state("mod", "m.policy.rule.user", "rule1", &json!({}));
        rooms.append(&list, empty, None).await.unwrap();
        set_membership(&rooms, &room, ("spam2", "spam2"), "join").await.unwrap();
        assert!(rooms.refuse_listed_user(&user("spammer")).await.is_ok());
    }
}
