//! What the administration's rules want to know of a room, and asking them.

use pli_schema::records::{
    accounts::{AccountKey, AccountKind},
    rooms::{Membership, PublicRoomKey},
};
use ruma::UserId;
use serde_json::{Map, Value};

use super::{CreateRoom, Draft, InitialState, Rooms, draft::raw, staging::Staging};
use crate::{
    Error, Result,
    policy::rooms::{self as rules, ACCESS_RULES, Facts, Refusal, Wishes},
};

fn refused(Refusal(text): Refusal) -> Error {
    Error::forbidden(text)
}

impl Staging<'_> {
    /// Asks the administration's rules about a state event.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if they refuse it.
    pub(super) async fn check_policy(&self, draft: &Draft) -> Result<()> {
        let (true, Some(state_key)) = (self.rooms().settings().tchap_room_rules, &draft.state_key)
        else {
            return Ok(());
        };
        let content: Value = serde_json::from_str(draft.content.get()).unwrap_or_default();
        let event_type = draft.event_type.to_string();
        let mut facts = self.facts(&draft.sender).await?;
        if event_type == "m.room.member"
            && let Ok(target) = UserId::parse(state_key)
        {
            facts.target_is_external = self.rooms().is_external(&target).await?;
            let membership = self.membership(state_key).await?;
            facts.target_is_resident =
                matches!(membership, Some(Membership::Join | Membership::Invite));
        }
        if event_type == "m.room.power_levels" {
            facts.gives_power_to_externals = self.gives_power_to_externals(&content).await?;
        }
        rules::decide(&event_type, &content, &facts).map_err(refused)
    }

    async fn facts(&self, sender: &UserId) -> Result<Facts> {
        let content = async |event_type: &str| -> Result<Option<Value>> {
            let pdu = self.state_pdu(event_type, "").await?;
            Ok(pdu.and_then(|pdu| serde_json::from_str(pdu.content.get()).ok()))
        };
        let join_rules = content("m.room.join_rules").await?;
        let join_rule = join_rules.as_ref().and_then(|content| content.get("join_rule"));
        let published = PublicRoomKey { room: self.room.number };
        Ok(Facts {
            access_rules: content(ACCESS_RULES).await?,
            is_public: join_rule.and_then(Value::as_str) == Some("public"),
            is_encrypted: content("m.room.encryption").await?.is_some(),
            is_published: self.rooms().store().get(&published).await?.is_some(),
            members: self.head.joined_members.saturating_add(self.head.invited_members),
            sender_is_admin: self.rooms().is_server_admin(sender).await?,
            ..Facts::default()
        })
    }

    pub(super) async fn gives_power_to_externals(&self, content: &Value) -> Result<bool> {
        let users = content.get("users").and_then(Value::as_object);
        for (user_id, level) in users.into_iter().flatten() {
            if level.as_i64() != Some(0)
                && let Ok(user_id) = UserId::parse(user_id)
                && self.rooms().is_external(&user_id).await?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Rooms {
    /// Whether the rules let the room be published.
    pub(super) async fn check_publishing(&self, room: &super::Room) -> Result<()> {
        if !self.settings().tchap_room_rules {
            return Ok(());
        }
        let access_rules = self.current_content(room.number, ACCESS_RULES).await?;
        let facts = Facts { access_rules, ..Facts::default() };
        rules::decide_publishing(&facts).map_err(refused)
    }

    /// Completes what is wished of a new room with what the rules want.
    ///
    /// # Errors
    /// [`Error::InvalidRoomState`] for wishes that contradict the rules.
    pub(super) fn with_rules(&self, mut request: CreateRoom, is_12: bool) -> Result<CreateRoom> {
        if !self.settings().tchap_room_rules {
            return Ok(request);
        }
        let content = |event: &InitialState| {
            serde_json::from_str::<Value>(event.content.get())
                .map_err(|error| Error::bad_json(error.to_string()))
        };
        let (keyless, keyed): (Vec<_>, Vec<_>) =
            request.initial_state.into_iter().partition(|event| event.state_key.is_empty());
        let mut state = Vec::with_capacity(keyless.len());
        for event in keyless {
            state.push((event.event_type.clone(), content(&event)?));
        }
        let levels: Map<String, Value> = match &request.power_levels {
            Some(levels) => serde_json::from_str(levels.get())
                .map_err(|error| Error::bad_json(error.to_string()))?,
            None => Map::new(),
        };
        let public = super::Preset::Public;
        let wishes = Wishes {
            is_direct: request.is_direct,
            is_published: request.public,
            is_public: request.preset.map_or(request.public, |preset| preset == public),
            state,
            power_levels: levels,
            // Above the level that changes the rest of the state.
            tombstone_level: if is_12 { 150 } else { 100 },
        };
        let complete = rules::complete(wishes)
            .map_err(|Refusal(text)| Error::InvalidRoomState(text.into()))?;
        request.initial_state = keyed;
        for (event_type, content) in complete.state.into_iter().rev() {
            let state_key = String::new();
            let event = InitialState { event_type, state_key, content: raw(&content)? };
            request.initial_state.insert(0, event);
        }
        request.power_levels = Some(raw(&complete.power_levels)?);
        Ok(request)
    }

    /// Whether a user is an external person.
    pub(super) async fn is_external(&self, user_id: &UserId) -> Result<bool> {
        let account = self.store().get(&AccountKey { user_id: user_id.to_owned() }).await?;
        Ok(account.is_some_and(|account| account.kind != AccountKind::Agent))
    }

    /// Whether a user is an admin of this server.
    pub(super) async fn is_server_admin(&self, user_id: &UserId) -> Result<bool> {
        let account = self.store().get(&AccountKey { user_id: user_id.to_owned() }).await?;
        Ok(account.is_some_and(|account| account.admin))
    }
}

#[cfg(test)]
mod tests {
    use pli_schema::records::accounts::AccountRecord;
    use ruma::RoomVersionId;
    use serde_json::json;

    use super::*;
    use crate::rooms::{
        Preset, RoomSettings,
        testing::{raw, rooms_with, set_membership, state, user},
    };

    fn rooms() -> Rooms {
        rooms_with(RoomSettings { tchap_room_rules: true, ..RoomSettings::default() })
    }

    async fn account(rooms: &Rooms, name: &str, kind: AccountKind, admin: bool) {
        let key = &AccountKey { user_id: user(name) };
        let record = &AccountRecord {
            password_hash: None,
            kind,
            admin,
            from_email: true,
            created_ms: 0,
            language: pli_schema::Language::default(),
            deactivated: false,
            erased: false,
            locked: false,
            suspended: false,
        };
        let write = rooms.store().write(|tx| async move {
            tx.put(key, record)?;
            Ok::<_, Error>(())
        });
        write.await.unwrap();
    }

    #[tokio::test]
    async fn a_private_room_is_encrypted_and_for_agents_until_it_is_opened() {
        for version in [RoomVersionId::V6, RoomVersionId::V12] {
            let rooms = rooms();
            account(&rooms, "eve", AccountKind::Guest, false).await;
            account(&rooms, "bob", AccountKind::Agent, false).await;
            let mut request = CreateRoom::by(user("alice"));
            request.version = Some(version);
            request.name = Some("Projet".to_owned());
            let room = rooms.create(request).await.unwrap();
            let number = rooms.room_number(&room).await.unwrap().unwrap();
            let encryption = rooms.current_state_event(number, "m.room.encryption", "").await;
            assert!(encryption.unwrap().is_some());
            set_membership(&rooms, &room, ("alice", "bob"), "invite").await.unwrap();
            let eve = async || set_membership(&rooms, &room, ("alice", "eve"), "invite").await;
            assert!(matches!(eve().await, Err(Error::Forbidden(_))));
            let open = json!({ "rule": "unrestricted", "visibility": "private" });
            rooms.append(&room, state("alice", ACCESS_RULES, "", &open), None).await.unwrap();
            eve().await.unwrap();
            let levels = json!({ "users": { user("eve"): 50 } });
            let levels = state("alice", "m.room.power_levels", "", &levels);
            assert!(matches!(rooms.append(&room, levels, None).await, Err(Error::Forbidden(_))));
            let published = rooms.publish(&user("alice"), &room, true, false).await;
            assert!(matches!(published, Err(Error::Forbidden(_))), "{published:?}");
        }
    }

    #[tokio::test]
    async fn forums_are_open_and_direct_rooms_are_for_two() {
        let rooms = rooms();
        let mut request = CreateRoom::by(user("alice"));
        request.preset = Some(Preset::Public);
        request.public = true;
        let forum = rooms.create(request).await.unwrap();
        let encrypt = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
        let encrypt = state("alice", "m.room.encryption", "", &encrypt);
        let refused = rooms.append(&forum, encrypt.clone(), None).await;
        assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
        account(&rooms, "alice", AccountKind::Agent, true).await;
        rooms.append(&forum, encrypt, None).await.unwrap();
        let mut request = CreateRoom::by(user("carol"));
        request.is_direct = true;
        request.preset = Some(Preset::TrustedPrivate);
        request.invite = vec![user("bob")];
        let direct = rooms.create(request.clone()).await.unwrap();
        let third = set_membership(&rooms, &direct, ("carol", "dora"), "invite").await;
        assert!(matches!(third, Err(Error::Forbidden(_))), "{third:?}");
        request.power_levels = Some(raw(&json!({ "invite": 0 })));
        let refused = rooms.create(request).await;
        assert!(matches!(refused, Err(Error::InvalidRoomState(_))), "{refused:?}");
    }
}
