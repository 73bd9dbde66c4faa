//! Invitations of addresses that have got an owner
//! (<https://spec.matrix.org/v1.19/server-server-api/#third-party-invites>).

use ruma::{
    OwnedRoomId, OwnedUserId, ServerName, UserId, api::federation::thirdparty::exchange_invite,
};
use serde_json::{Map, Value, json};

use super::{RemoteRooms, candidates::told};
use crate::{
    Error, Result,
    federation::Bounds,
    rooms::{Draft, Room},
};

/// Invitations that one binding of an address may turn.
const BOUND_MAX: usize = 50;

/// An invitation of an address that has become one of a user.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Who invites.
    pub sender: OwnedUserId,
    /// The owner of the address.
    pub target: OwnedUserId,
    /// The proof of the identity server: `mxid`, `token`, `signatures`.
    pub signed: Value,
}

impl RemoteRooms {
    /// An identity server tells that a user of this server owns an address. Each invitation becomes one
    /// of the user: here if the inviter is one of this server, else by the inviter's server. The rules of
    /// the room check the proof.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for users of other servers; those of the store. An invitation that does
    /// not hold any more is left out.
    pub async fn bound(&self, owner: &UserId, invitations: Vec<Bound>) -> Result<()> {
        if !self.rooms.is_local(owner) || invitations.len() > BOUND_MAX {
            return Err(Error::invalid_param("These invitations are not for this server"));
        }
        for bound in invitations.into_iter().filter(|bound| bound.target == owner) {
            let room_id = bound.room_id.clone();
            let turned = if self.rooms.is_local(&bound.sender) {
                self.exchange(bound).await
            } else {
                self.have_exchanged(bound).await
            };
            match turned {
                Ok(()) => {}
                Err(error @ (Error::Store(_) | Error::Bug(_))) => return Err(error),
                Err(error) => {
                    tracing::info!(%room_id, %error, "an invitation of an address does not hold");
                }
            }
        }
        Ok(())
    }

    async fn have_exchanged(&self, bound: Bound) -> Result<()> {
        let server = bound.sender.server_name().to_owned();
        let name = bound.target.localpart().to_owned();
        let content = json!({
            "membership": "invite",
            "third_party_invite": { "display_name": name, "signed": bound.signed },
        });
        let content = serde_json::value::to_raw_value(&content)
            .map_err(|error| Error::bug(error.to_string()))?;
        let request = exchange_invite::v1::Request::new(
            bound.room_id,
            bound.sender,
            bound.target,
            ruma::serde::Raw::from_json(content),
        );
        let answer = self.signed.remote().request(&server, request, Bounds::SMALL).await;
        answer.map(drop).map_err(told)
    }

    /// As [`Self::exchange`], for a server whose user the owner is.
    ///
    /// # Errors
    /// As [`Self::exchange`]; [`Error::Forbidden`] for users of another server.
    pub async fn exchange_for(&self, origin: &ServerName, bound: Bound) -> Result<()> {
        self.rooms.room_for_server(&bound.room_id, origin).await.map(drop)?;
        if !self.rooms.is_local(&bound.sender) {
            return Err(Error::forbidden("The inviter is not one of this server"));
        }
        self.exchange(bound).await
    }

    /// Turns an invitation of an address that a user of this server has made into one of a user.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such invitation; [`Error::Forbidden`] if the rules refuse it,
    /// also for a wrong proof.
    async fn exchange(&self, bound: Bound) -> Result<()> {
        let unknown = || Error::not_found("There is no such invitation");
        let room = self.rooms.resident_room(&bound.room_id).await?.ok_or_else(unknown)?;
        let token = bound.signed.get("token").and_then(Value::as_str).ok_or_else(unknown)?;
        let content = self.invite_of_address(&room, &bound, token).await?;
        if self.is_elsewhere(&bound.target) {
            let who = (&*bound.sender, &*bound.target);
            return self.invite_elsewhere(&room, who, &content).await.map(drop);
        }
        let content = serde_json::value::to_raw_value(&content)
            .map_err(|error| Error::bug(error.to_string()))?;
        let event_type = "m.room.member".to_owned();
        let (sender, state_key) = (bound.sender, bound.target.to_string());
        let draft = Draft::state(sender, event_type, state_key, content)?;
        self.rooms.append_with(room.number, &draft, &|_| Ok(())).await
    }

    async fn invite_of_address(
        &self,
        room: &Room,
        bound: &Bound,
        token: &str,
    ) -> Result<Map<String, Value>> {
        let kind = "m.room.third_party_invite";
        let event = self.rooms.current_state_event(room.number, kind, token).await?;
        let unknown = || Error::not_found("There is no such invitation");
        let event = event.ok_or_else(unknown)?;
        if event.pdu()?.sender != bound.sender {
            return Err(Error::forbidden("Another user has made this invitation"));
        }
        let invitation: Map<String, Value> = event.content()?.unwrap_or_default();
        let display_name = invitation.get("display_name").ok_or_else(unknown)?;
        let mut content = self.rooms.invite_content(&bound.target, None).await?;
        let invite = json!({ "display_name": display_name, "signed": bound.signed });
        content.insert("third_party_invite".to_owned(), invite);
        Ok(content)
    }
}
