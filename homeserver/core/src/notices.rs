//! Server notices: what the administrators tell one user, in a room of its own that clients mark.
//!
//! The room is made with the first notice; the user is invited into it and cannot turn the invite down.
//! Its other member is an account of the server itself, into which nobody can log in.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#server-notices>.

use std::sync::Arc;

use pli_schema::{
    Language, Text,
    records::{
        accounts::AccountKey,
        administration::{NoticeRoomKey, NoticeRoomRecord},
        policy::AuditRecord,
        rooms::Membership,
    },
};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId, events::TimelineEventType};
use serde_json::{Value, json, value::to_raw_value};
use tokio::sync::Mutex;

use crate::{
    AccountData, Error, Result, Rooms,
    accounts::Accounts,
    audit,
    policy::rooms::ACCESS_RULES,
    rooms::{Change, CreateRoom, Draft, InitialState, Preset},
};

/// The tag by which clients know the room.
pub const TAG: &str = "m.server_notice";
/// The local part of the server's own account. People cannot choose such a name.
const LOCALPART: &str = "_server";
/// Bytes of a notice, at most.
const BODY_MAX: usize = 32 * 1024;

const ROOM_NAME: Text = Text { fr: "Annonces du serveur", en: "Server notices" };

/// What kind of notice it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// Words of the administrators.
    Message,
    /// The server has reached a limit: pinned, until it is lifted.
    UsageLimitReached {
        /// Which limit, as `monthly_active_user`.
        limit_type: String,
        /// A URI by which the administrators are reached.
        admin_contact: String,
    },
}

/// A notice that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentNotice {
    /// The user's room for notices.
    pub room_id: OwnedRoomId,
    /// The notice.
    pub event_id: OwnedEventId,
}

/// Sends notices. Clones share it.
#[derive(Clone, Debug)]
pub struct Notices {
    rooms: Rooms,
    accounts: Accounts,
    account_data: AccountData,
    /// One room is made at a time, so that no user gets two.
    making: Arc<Mutex<()>>,
}

impl Notices {
    /// Notices to the users of this server.
    #[must_use]
    pub fn new(rooms: Rooms, accounts: Accounts, account_data: AccountData) -> Self {
        Self { rooms, accounts, account_data, making: Arc::default() }
    }

    /// The server's own account.
    fn own_user_id(&self) -> Result<OwnedUserId> {
        UserId::parse(format!("@{LOCALPART}:{}", self.rooms.server_name()))
            .map_err(|_| Error::bug("the id of the server's own account is not valid"))
    }

    /// Sends a notice to a user.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for a user of another server, [`Error::NotFound`] for nobody,
    /// [`Error::TooLarge`] for a long text.
    pub async fn send(
        &self,
        by: &UserId,
        user_id: &UserId,
        body: &str,
        kind: &NoticeKind,
    ) -> Result<SentNotice> {
        if body.is_empty() || body.len() > BODY_MAX {
            return Err(Error::TooLarge(format!("A notice has 1 to {BODY_MAX} bytes")));
        }
        let own = self.own_user_id()?;
        let room_id = self.room_of(&own, user_id).await?;
        let mut content = json!({ "msgtype": "m.text", "body": body });
        if let NoticeKind::UsageLimitReached { limit_type, admin_contact } = kind {
            content = json!({
                "msgtype": "m.server_notice",
                "body": body,
                "server_notice_type": "m.server_notice.usage_limit_reached",
                "limit_type": limit_type,
                "admin_contact": admin_contact,
            });
        }
        let content = to_raw_value(&content).map_err(|error| Error::bug(error.to_string()))?;
        let draft = Draft::message(own.clone(), TimelineEventType::RoomMessage, content)?;
        let event_id = self.rooms.append(&room_id, draft, None).await?.event_id;
        if *kind != NoticeKind::Message {
            self.pin(&own, &room_id, &[event_id.as_str()]).await?;
        }
        self.note(by, user_id, &event_id).await?;
        Ok(SentNotice { room_id, event_id })
    }

    /// Takes back that a limit is reached: nothing is pinned in the user's room any more.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the user has no such room.
    pub async fn lift(&self, user_id: &UserId) -> Result<()> {
        let key = NoticeRoomKey { user_id: user_id.to_owned() };
        let record = self.rooms.store().get(&key).await?;
        let record = record.ok_or_else(|| Error::not_found("The user has had no notices"))?;
        self.pin(&self.own_user_id()?, &record.room_id, &[]).await
    }

    async fn pin(&self, own: &UserId, room_id: &RoomId, events: &[&str]) -> Result<()> {
        let content = to_raw_value(&json!({ "pinned": events }))
            .map_err(|error| Error::bug(error.to_string()))?;
        let draft = Draft::state(own.to_owned(), "m.room.pinned_events", "", content)?;
        self.rooms.append(room_id, draft, None).await.map(drop)
    }

    async fn note(&self, by: &UserId, user_id: &UserId, event_id: &OwnedEventId) -> Result<()> {
        let entry = &AuditRecord {
            at_ms: self.rooms.clock().now_ms(),
            actor: Some(by.to_owned()),
            action: "notice.send".to_owned(),
            subject: user_id.to_string(),
            details_json: json!({ "event_id": event_id }).to_string(),
        };
        self.rooms.store().write(|tx| async move { audit::record(&tx, 0, entry) }).await
    }

    /// The user's room, made if there is none, with the user invited or inside.
    async fn room_of(&self, own: &UserId, user_id: &UserId) -> Result<OwnedRoomId> {
        self.accounts.require_local(user_id)?;
        let key = &AccountKey { user_id: user_id.to_owned() };
        let account = self.rooms.store().get(key).await?;
        let Some(account) = account.filter(|account| !account.deactivated) else {
            return Err(Error::not_found("There is no such user"));
        };
        let _making = self.making.lock().await;
        let key = NoticeRoomKey { user_id: user_id.to_owned() };
        let room_id = match self.rooms.store().get(&key).await? {
            Some(record) => record.room_id,
            None => self.make_room(own, user_id, account.language).await?,
        };
        let Some(room) = self.rooms.room_number(&room_id).await? else {
            return Err(Error::bug("the room of a user's notices is gone"));
        };
        let member = self.rooms.member(room, user_id).await?.map(|member| member.membership);
        if !matches!(member, Some(Membership::Join | Membership::Invite)) {
            let change = Change { sender: own, room_id: &room_id, target: user_id, reason: None };
            self.rooms.invite(change).await?;
        }
        Ok(room_id)
    }

    async fn make_room(
        &self,
        own: &UserId,
        user_id: &UserId,
        language: Language,
    ) -> Result<OwnedRoomId> {
        let name = ROOM_NAME.in_language(language);
        self.accounts.ensure_own_account(own, ROOM_NAME.in_language(Language::default())).await?;
        let raw =
            |value: Value| to_raw_value(&value).map_err(|error| Error::bug(error.to_string()));
        let mut room = CreateRoom::by(own.to_owned());
        room.preset = Some(Preset::Private);
        room.name = Some(name.to_owned());
        // Nobody but the server speaks; a suspended user may answer with what the rules allow.
        room.power_levels = Some(raw(json!({ "events_default": 0, "invite": 100 }))?);
        if self.rooms.settings().tchap_room_rules {
            let content = raw(json!({ "rule": "unrestricted", "visibility": "private" }))?;
            let event_type = ACCESS_RULES.to_owned();
            room.initial_state.push(InitialState { event_type, state_key: String::new(), content });
        }
        let room_id = self.rooms.create_for_server(room).await?;
        let key = &NoticeRoomKey { user_id: user_id.to_owned() };
        let record = &NoticeRoomRecord { room_id: room_id.clone() };
        self.rooms.store().write(|tx| async move { Ok::<_, Error>(tx.put(key, record)?) }).await?;
        self.account_data.set_tag(user_id, &room_id, TAG, &json!({})).await?;
        Ok(room_id)
    }
}
