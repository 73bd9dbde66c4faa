//! What the standing of an account lets it put into rooms: suspended users, and guests.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#account-suspension>,
//! <https://spec.matrix.org/v1.19/client-server-api/#guest-access>.

use pli_schema::records::{
    accounts::{AccountKey, AccountKind},
    administration::{AccountValidityKey, NoticeRoomKey},
    rooms::Membership,
};
use ruma::UserId;
use serde_json::Value;

use super::{Draft, Room, Rooms, draft::membership_wished, staging::Staging};
use crate::{Error, Result};

const GUEST_ACCESS: &str = "m.room.guest_access";

impl Staging<'_> {
    /// Requires that the sender's account may do this: suspended users only leave, turn invites down and
    /// redact what is their own; guests join only rooms that let guests in.
    ///
    /// # Errors
    /// [`Error::UserSuspended`], [`Error::AccountExpired`], [`Error::GuestAccessForbidden`].
    pub(super) async fn check_standing(&self, draft: &Draft) -> Result<()> {
        let key = AccountKey { user_id: draft.sender.clone() };
        let Some(account) = self.rooms().store().get(&key).await? else {
            return Ok(());
        };
        if account.suspended && !self.is_open_to_suspended(draft).await? {
            return Err(Error::UserSuspended);
        }
        if self.rooms().has_expired(&draft.sender).await?
            && !self.is_open_to_suspended(draft).await?
        {
            return Err(Error::AccountExpired);
        }
        let joins = is_own(draft) && membership_wished(draft).as_deref() == Some("join");
        if account.kind == AccountKind::MatrixGuest && joins && !self.lets_guests_in().await? {
            let text = "This room does not let guests in".to_owned();
            return Err(Error::GuestAccessForbidden(text));
        }
        Ok(())
    }

    async fn is_open_to_suspended(&self, draft: &Draft) -> Result<bool> {
        if is_own(draft) && membership_wished(draft).as_deref() == Some("leave") {
            return Ok(true);
        }
        // Where the administrators speak to the person, the person may answer.
        let speaks = draft.state_key.is_none() || is_own(draft);
        if speaks && self.rooms().is_notice_room(&draft.sender, &self.room).await? {
            return Ok(true);
        }
        let Some(redacts) = &draft.redacts else { return Ok(false) };
        let target = self.rooms().event_of_room(self.room.number, redacts).await?;
        Ok(match target {
            Some(target) => target.pdu()?.sender == draft.sender,
            None => false,
        })
    }

    async fn lets_guests_in(&self) -> Result<bool> {
        let pdu = self.state_pdu(GUEST_ACCESS, "").await?;
        let content: Option<Value> =
            pdu.and_then(|pdu| serde_json::from_str(pdu.content.get()).ok());
        Ok(lets_in(content.as_ref()))
    }
}

/// Whether a member event is about its sender.
fn is_own(draft: &Draft) -> bool {
    draft.state_key.as_deref() == Some(draft.sender.as_str())
}

fn lets_in(content: Option<&Value>) -> bool {
    let access = content.and_then(|content| content.get("guest_access"));
    access.and_then(Value::as_str) == Some("can_join")
}

impl Rooms {
    /// After a change of `m.room.guest_access`: guests leave a room that no longer lets them in ("the
    /// server MUST set those users' `m.room.member` state to `leave`").
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn turn_guests_out(&self, room: &Room) -> Result<()> {
        let content: Option<Value> = self.current_content(room.number, GUEST_ACCESS).await?;
        if lets_in(content.as_ref()) {
            return Ok(());
        }
        for (user_id, _) in self.members(room.number, Some(Membership::Join)).await? {
            if self.is_guest(&user_id).await? {
                match self.leave(&user_id, &room.id, None).await {
                    Ok(()) | Err(Error::Forbidden(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Whether an account has ended and was not renewed.
    async fn has_expired(&self, user_id: &UserId) -> Result<bool> {
        if !self.settings().accounts_expire {
            return Ok(false);
        }
        let key = AccountValidityKey { user_id: user_id.to_owned() };
        let now_ms = self.clock().now_ms();
        Ok(self.store().get(&key).await?.is_some_and(|record| record.expires_at_ms <= now_ms))
    }

    /// Whether a room is that of the server's notices to a user.
    pub(super) async fn is_notice_room(&self, user_id: &UserId, room: &Room) -> Result<bool> {
        let key = NoticeRoomKey { user_id: user_id.to_owned() };
        Ok(self.store().get(&key).await?.is_some_and(|record| record.room_id == room.id))
    }

    pub(super) async fn is_guest(&self, user_id: &UserId) -> Result<bool> {
        if !self.is_local(user_id) {
            return Ok(false);
        }
        let account = self.store().get(&AccountKey { user_id: user_id.to_owned() }).await?;
        Ok(account.is_some_and(|account| account.kind == AccountKind::MatrixGuest))
    }
}
