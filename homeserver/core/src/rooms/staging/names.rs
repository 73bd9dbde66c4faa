//! Display names that are the server's to give: no member event says another one, whoever sends it and
//! through whatever endpoint. What it says is replaced, not refused: clients put a name into these events
//! by themselves, and a join that fails for it would help nobody.

use std::borrow::Cow;

use pli_schema::records::accounts::{AccountKey, ProfileKey};
use ruma::{UserId, events::TimelineEventType};
use serde_json::{Map, Value};

use super::Staging;
use crate::{
    Error, Result,
    rooms::{Draft, draft},
};

const DISPLAY_NAME: &str = "displayname";

impl Staging<'_> {
    /// The draft, with the given name if it is a member event of a person whose name is the server's to
    /// give.
    pub(super) async fn with_given_name<'d>(&self, draft: &'d Draft) -> Result<Cow<'d, Draft>> {
        if !self.rooms.settings().display_names_locked
            || draft.event_type != TimelineEventType::RoomMember
        {
            return Ok(Cow::Borrowed(draft));
        }
        let Some(target) = draft.state_key.as_deref().and_then(|key| UserId::parse(key).ok())
        else {
            return Ok(Cow::Borrowed(draft));
        };
        let account = self.tx.get(&AccountKey { user_id: target.clone() }).await?;
        if account.is_none_or(|account| !account.from_email || account.admin) {
            return Ok(Cow::Borrowed(draft));
        }
        let mut content: Map<String, Value> = serde_json::from_str(draft.content.get())
            .map_err(|error| Error::BadJson(error.to_string()))?;
        let before = content.remove(DISPLAY_NAME);
        let membership = content.get("membership").and_then(Value::as_str);
        if matches!(membership, Some("join" | "invite" | "knock")) {
            let key = ProfileKey { user_id: target, field: DISPLAY_NAME.to_owned() };
            if let Some(given) = self.tx.get(&key).await? {
                let given = serde_json::from_str(&given.json)
                    .map_err(|_| Error::bug("a profile field cannot be read"))?;
                content.insert(DISPLAY_NAME.to_owned(), given);
            }
        }
        if before == content.get(DISPLAY_NAME).cloned() {
            return Ok(Cow::Borrowed(draft));
        }
        Ok(Cow::Owned(Draft { content: draft::raw(&content)?, ..draft.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use pli_schema::records::accounts::{AccountKind, AccountRecord, ProfileRecord};
    use ruma::RoomVersionId;
    use serde_json::json;

    use super::*;
    use crate::rooms::{
        NewState, RoomSettings, Rooms,
        testing::{public_room, raw, rooms_with, user},
    };

    async fn person(rooms: &Rooms, name: &str, display_name: &str, from_email: bool) {
        let (user_id, field) = (user(name), DISPLAY_NAME.to_owned());
        let (key, profile) =
            (&AccountKey { user_id: user_id.clone() }, &ProfileKey { user_id, field });
        let json = json!(display_name).to_string();
        let account = &AccountRecord {
            password_hash: None,
            kind: AccountKind::Agent,
            admin: false,
            from_email,
            created_ms: 0,
            language: pli_schema::Language::default(),
            deactivated: false,
            erased: false,
            locked: false,
            suspended: false,
        };
        let value = &ProfileRecord { json };
        let write = rooms.store().write(|tx| async move {
            tx.put(key, account)?;
            tx.put(profile, value)?;
            Ok::<_, Error>(())
        });
        write.await.unwrap();
    }

    async fn named(rooms: &Rooms, room_id: &ruma::RoomId, who: &str) -> Option<String> {
        let room = rooms.room_number(room_id).await.unwrap().unwrap();
        rooms.member(room, &user(who)).await.unwrap().and_then(|member| member.display_name)
    }

    async fn set(rooms: &Rooms, room_id: &ruma::RoomId, who: (&str, &str), membership: &str) {
        let new = NewState {
            sender: user(who.0),
            event_type: "m.room.member".to_owned(),
            state_key: user(who.1).to_string(),
            content: raw(&json!({ "membership": membership, "displayname": "Minister" })),
        };
        rooms.send_state(room_id, new).await.unwrap();
    }

    #[tokio::test]
    async fn a_given_name_stands_in_every_room_whoever_writes_the_event() {
        for locked in [true, false] {
            let settings = RoomSettings { display_names_locked: locked, ..RoomSettings::default() };
            let rooms = rooms_with(settings);
            person(&rooms, "bob", "Bob [Agents]", true).await;
            person(&rooms, "free", "Free", false).await;
            let room = public_room(&rooms, RoomVersionId::V12).await;
            let expected = Some(if locked { "Bob [Agents]" } else { "Minister" }.to_owned());
            set(&rooms, &room, ("alice", "bob"), "invite").await;
            assert_eq!(named(&rooms, &room, "bob").await, expected);
            set(&rooms, &room, ("bob", "bob"), "join").await;
            assert_eq!(named(&rooms, &room, "bob").await, expected);
            // Once more, as a client that renames itself in one room.
            set(&rooms, &room, ("bob", "bob"), "join").await;
            assert_eq!(named(&rooms, &room, "bob").await, expected);
            set(&rooms, &room, ("alice", "bob"), "ban").await;
            let banned = (!locked).then(|| "Minister".to_owned());
            assert_eq!(named(&rooms, &room, "bob").await, banned);
            set(&rooms, &room, ("free", "free"), "join").await;
            assert_eq!(named(&rooms, &room, "free").await.as_deref(), Some("Minister"));
        }
    }
}
