//! Joining, leaving and everything else that changes a membership
//! (<https://spec.matrix.org/v1.19/client-server-api/#room-membership>).

mod authorized;
#[cfg(test)]
mod tests;

use pli_schema::{
    Topic,
    records::rooms::{Membership, UserRoomKey},
};
use ruma::{RoomId, UserId};
use serde_json::{Map, Value};

use super::{Appended, Draft, Room, Rooms, Sending, draft::Expects};
use crate::{
    Error, Result,
    invite_permission::{InviteDecision, InvitePermission},
};

/// Something that a user does to another one's membership.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Who does it.
    pub sender: &'a UserId,
    /// The room.
    pub room_id: &'a RoomId,
    /// To whom.
    pub target: &'a UserId,
    /// Why, if they say so.
    pub reason: Option<&'a str>,
}

impl Rooms {
    /// Joins a room. Nothing happens if the user is joined already.
    ///
    /// # Errors
    /// [`Error::NotFound`] if this server does not know the room; [`Error::Forbidden`] if the rules do
    /// not let the user in; [`Error::UnableToGrantJoin`] if nobody of this server can vouch for a
    /// restricted join.
    pub async fn join(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        reason: Option<&str>,
    ) -> Result<()> {
        let room = self.room_or_not_found(room_id).await?;
        let content = self.content_of("join", user_id, reason).await?;
        self.join_as(&room, user_id, content, Sending::default()).await.map(|_| ())
    }

    /// Joins with this content of the member event.
    async fn join_as(
        &self,
        room: &Room,
        user_id: &UserId,
        mut content: Map<String, Value>,
        sending: Sending,
    ) -> Result<Appended> {
        let membership = self.member(room.number, user_id).await?.map(|member| member.membership);
        if !matches!(membership, Some(Membership::Join | Membership::Invite))
            && let Some(authorizer) = self.authorizer(room, user_id).await?
        {
            let key = "join_authorised_via_users_server".to_owned();
            content.insert(key, Value::from(authorizer.as_str()));
        }
        let expects = Expects::Not(Membership::Join);
        let who = (user_id, user_id);
        self.set_membership_as(room, who, &content, expects, sending).await
    }

    /// Invites a user. Nothing happens if the user is invited already by the same person.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the rules refuse it, also for users who are joined or banned;
    /// [`Error::InviteBlocked`] if the target wants no invites.
    pub async fn invite(&self, change: Change<'_>) -> Result<()> {
        let room = self.room_or_forbidden(change.room_id).await?;
        self.check_invitee(change.sender, change.target).await?;
        let content = self.content_of("invite", change.target, change.reason).await?;
        let who = (change.sender, change.target);
        self.set_membership(&room, who, &content, Expects::Anything).await.map(|_| ())
    }

    /// Leaves a room, rejects an invite, or takes a knock back. Nothing happens if the user has left
    /// already.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the user was never in the room or is banned.
    pub async fn leave(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        reason: Option<&str>,
    ) -> Result<()> {
        let room = self.room_or_forbidden(room_id).await?;
        if self.member(room.number, user_id).await?.is_none() {
            return Err(Error::forbidden("You are not in this room"));
        }
        self.require_declinable(&room, user_id).await?;
        let content = with_reason(bare("leave"), reason);
        if self.leave_to_successor(&room, user_id, &content).await?.is_some() {
            return Ok(());
        }
        let expects = Expects::Not(Membership::Leave);
        self.set_membership(&room, (user_id, user_id), &content, expects).await.map(|_| ())
    }

    /// Leaves a room together with what makes a successor of the last admin; `None` if nobody has to
    /// take over.
    async fn leave_to_successor(
        &self,
        room: &Room,
        user_id: &UserId,
        content: &Map<String, Value>,
    ) -> Result<Option<Appended>> {
        let Some(levels) = self.succession(room, user_id).await? else {
            return Ok(None);
        };
        let event_type = "m.room.member".to_owned();
        let leave = Draft::state_of(user_id.to_owned(), event_type, user_id.as_str(), content)?;
        Ok(self.append_many(room.number, &[levels, leave]).await?.pop())
    }

    /// As [`Self::leave`], also out of the room of the server's notices: for accounts and rooms that are
    /// closed.
    pub(super) async fn leave_for_good(&self, user_id: &UserId, room: &Room) -> Result<()> {
        if self.outside(user_id, &room.id).await?.is_some() {
            return self.end_outside(user_id, room).await;
        }
        let content = bare("leave");
        if self.leave_to_successor(room, user_id, &content).await?.is_some() {
            return Ok(());
        }
        let expects = Expects::Not(Membership::Leave);
        self.set_membership(room, (user_id, user_id), &content, expects).await.map(|_| ())
    }

    /// Requires that this is no invite into the room of the server's notices: that one stays ("must
    /// result in a `M_CANNOT_LEAVE_SERVER_NOTICE_ROOM` error").
    async fn require_declinable(&self, room: &Room, user_id: &UserId) -> Result<()> {
        let member = self.member(room.number, user_id).await?;
        let invited = member.is_some_and(|member| member.membership == Membership::Invite);
        if invited && self.is_notice_room(user_id, room).await? {
            let text = "The invite into the room of the server's notices cannot be declined";
            return Err(Error::CannotLeaveServerNoticeRoom(text.to_owned()));
        }
        Ok(())
    }

    /// Makes another user leave.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the rules refuse it or the target is not in the room.
    pub async fn kick(&self, change: Change<'_>) -> Result<()> {
        let inside = &[Membership::Join, Membership::Invite, Membership::Knock];
        let outside = || Error::forbidden("The user is not in this room");
        self.change(change, "leave", Expects::OneOf(inside, outside)).await
    }

    /// Bans a user, in the room or not.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the rules refuse it.
    pub async fn ban(&self, change: Change<'_>) -> Result<()> {
        self.change(change, "ban", Expects::Anything).await
    }

    /// Takes a ban back.
    ///
    /// # Errors
    /// [`Error::BadState`] if the target is not banned, [`Error::Forbidden`] if the rules refuse it.
    pub async fn unban(&self, change: Change<'_>) -> Result<()> {
        let not_banned = || Error::bad_state("The user is not banned");
        self.change(change, "leave", Expects::OneOf(&[Membership::Ban], not_banned)).await
    }

    async fn change(&self, change: Change<'_>, membership: &str, expects: Expects) -> Result<()> {
        let room = self.room_or_forbidden(change.room_id).await?;
        let content = with_reason(bare(membership), change.reason);
        let who = (change.sender, change.target);
        self.set_membership(&room, who, &content, expects).await.map(|_| ())
    }

    /// Asks to be let in. Nothing happens if the user has asked already.
    ///
    /// # Errors
    /// [`Error::NotFound`] if this server does not know the room; [`Error::Forbidden`] if it is not set
    /// up for knocking, or the user is joined, invited or banned.
    pub async fn knock(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        reason: Option<&str>,
    ) -> Result<()> {
        let room = self.room_or_not_found(room_id).await?;
        let content = self.content_of("knock", user_id, reason).await?;
        let expects = Expects::Not(Membership::Knock);
        self.set_membership(&room, (user_id, user_id), &content, expects).await.map(|_| ())
    }

    /// The content of a member event with the profile of whom it is about.
    async fn content_of(
        &self,
        membership: &str,
        user_id: &UserId,
        reason: Option<&str>,
    ) -> Result<Map<String, Value>> {
        let content = self.profile(user_id).await?.member_content(membership);
        Ok(with_reason(content, reason))
    }

    /// Forgets a room that the user has left: it never appears again unless they come back.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] if the user is still in the room.
    pub async fn forget(&self, user_id: &UserId, room_id: &RoomId) -> Result<()> {
        let Some(room) = self.room_number(room_id).await? else {
            return Ok(());
        };
        let key = &UserRoomKey { user_id: user_id.to_owned(), room };
        self.store()
            .write(|tx| async move {
                let Some(mut record) = tx.get(key).await? else {
                    return Ok(());
                };
                if !matches!(record.membership, Membership::Leave | Membership::Ban) {
                    return Err(Error::invalid_param("You must leave the room first"));
                }
                if !record.forgotten {
                    record.forgotten = true;
                    tx.put(key, &record)?;
                    tx.wake(Topic::User(key.user_id.clone()));
                    tx.wake(Topic::Rooms(key.user_id.clone()));
                }
                Ok(())
            })
            .await
    }

    /// `m.room.member` as a state event of a client, with the checks that the other ways in make.
    pub(super) async fn send_member(
        &self,
        room: &Room,
        (sender, target): (&UserId, &UserId),
        mut content: Map<String, Value>,
        sending: Sending,
    ) -> Result<Appended> {
        // These vouch for something, so only the server may say them.
        content.remove("join_authorised_via_users_server");
        content.remove("third_party_invite");
        let membership = content.get("membership").and_then(Value::as_str);
        let membership = membership.and_then(Membership::parse).ok_or_else(|| {
            Error::bad_json("`membership` must be join, invite, knock, leave or ban")
        })?;
        if membership == Membership::Join && sender == target {
            if !self.is_joined(room.number, sender).await? {
                return self.join_as(room, sender, content, sending).await;
            }
        } else if membership == Membership::Invite {
            self.check_invitee(sender, target).await?;
        } else if membership == Membership::Leave && sender == target {
            self.require_declinable(room, sender).await?;
            if let Some(left) = self.leave_to_successor(room, sender, &content).await? {
                return Ok(left);
            }
        }
        self.set_membership_as(room, (sender, target), &content, Expects::Anything, sending).await
    }

    async fn set_membership(
        &self,
        room: &Room,
        who: (&UserId, &UserId),
        content: &Map<String, Value>,
        expects: Expects,
    ) -> Result<Appended> {
        self.set_membership_as(room, who, content, expects, Sending::default()).await
    }

    async fn set_membership_as(
        &self,
        room: &Room,
        (sender, target): (&UserId, &UserId),
        content: &Map<String, Value>,
        expects: Expects,
        sending: Sending,
    ) -> Result<Appended> {
        let event_type = "m.room.member".to_owned();
        let draft = Draft::state_of(sender.to_owned(), event_type, target.as_str(), content)?;
        let draft = sending.apply(draft.expecting(expects));
        self.through_lane(room.number, draft, sending.origin).await
    }

    /// Whether a user can be invited: their server can be told, and they take invites of the sender
    /// (<https://spec.matrix.org/v1.19/client-server-api/#invite-permission>).
    pub(super) async fn check_invitee(&self, sender: &UserId, target: &UserId) -> Result<()> {
        self.require_reachable(target)?;
        self.query_user(target).await?;
        match InvitePermission::read(self.store(), target).await?.decide(sender) {
            InviteDecision::Block => {
                Err(Error::InviteBlocked("This user does not take invites".to_owned()))
            }
            InviteDecision::Allow | InviteDecision::Ignore => Ok(()),
        }
    }

    async fn room_or_not_found(&self, room_id: &RoomId) -> Result<std::sync::Arc<Room>> {
        let room = self.room_by_id(room_id).await?;
        room.ok_or_else(|| Error::not_found("This server does not know the room"))
    }
}

/// The content of a member event without profile.
pub(super) fn bare(membership: &str) -> Map<String, Value> {
    let mut content = Map::new();
    content.insert("membership".to_owned(), Value::from(membership));
    content
}

pub(super) fn with_reason(
    mut content: Map<String, Value>,
    reason: Option<&str>,
) -> Map<String, Value> {
    if let Some(reason) = reason {
        content.insert("reason".to_owned(), Value::from(reason));
    }
    content
}
