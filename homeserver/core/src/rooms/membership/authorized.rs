//! Joins that another room's membership allows
//! (<https://spec.matrix.org/v1.19/client-server-api/#restricted-rooms>).

use std::sync::Arc;

use pli_federation::{
    auth_rules::{PowerLevel, PowerLevels, Rejection},
    event_format::Pdu,
};
use pli_schema::records::rooms::Membership;
use ruma::{
    OwnedRoomId, OwnedUserId, UserId, events::StateEventType,
    state_res::events::RoomPowerLevelsIntField,
};

use crate::{
    Error, Result,
    rooms::{Room, Rooms},
};

impl Rooms {
    /// The user of this server who vouches for a restricted join; `None` if the join rule asks for
    /// nobody.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the user is in none of the rooms whose members may join;
    /// [`Error::UnableToAuthorizeJoin`] if this server cannot know that of a user of another one;
    /// [`Error::UnableToGrantJoin`] if nobody of this server may invite.
    pub(in crate::rooms) async fn authorizer(
        &self,
        room: &Room,
        user_id: &UserId,
    ) -> Result<Option<OwnedUserId>> {
        let rules = self.join_rules(self.head(room.number).await?.state).await?;
        if !rules.ways(&room.version)?.restricted {
            return Ok(None);
        }
        let rooms: Vec<OwnedRoomId> = rules.rooms().collect();
        // Of a room that all users of this server have left, nothing is known any more.
        let mut knows_one = self.is_local(user_id);
        for room_id in rooms {
            let Some(allowed) = self.room_number(&room_id).await? else { continue };
            let is_local = self.is_local(user_id);
            if is_local || self.is_resident(allowed).await? {
                knows_one = true;
                if self.is_joined(allowed, user_id).await? {
                    return self.who_may_invite(room).await.map(Some);
                }
            }
        }
        if knows_one {
            return Err(Error::forbidden("You are in none of the rooms whose members may join"));
        }
        let text = "This server is in none of the rooms whose members may join";
        Err(Error::UnableToAuthorizeJoin(text.to_owned()))
    }

    /// A joined user of this server who may invite.
    async fn who_may_invite(&self, room: &Room) -> Result<OwnedUserId> {
        let levels = self.power_levels(room).await?;
        let refused = |Rejection(reason)| Error::Forbidden(reason);
        let needed = levels.to_act(RoomPowerLevelsIntField::Invite).map_err(refused)?;
        for (user_id, _) in self.members(room.number, Some(Membership::Join)).await? {
            if self.is_local(&user_id) && levels.of_user(&user_id).map_err(refused)? >= needed {
                return Ok(user_id);
            }
        }
        let text = "Nobody of this server may invite into the room";
        Err(Error::UnableToGrantJoin(text.to_owned()))
    }

    /// The power levels of a room now.
    ///
    /// # Errors
    /// Those of the store; [`Error::Bug`] if the state has no readable create event.
    pub async fn power_levels(&self, room: &Room) -> Result<PowerLevels> {
        let state = self.head(room.number).await?.state;
        let mut events: Vec<Arc<Pdu>> = Vec::new();
        for event_type in ["m.room.create", "m.room.power_levels"] {
            if let Some(event) = self.state_event(state, event_type, "").await? {
                events.push(event.pdu()?);
            }
        }
        let view = |event_type: &StateEventType, _: &str| {
            let event_type = event_type.to_string();
            events.iter().find(|pdu| pdu.event_type.to_string() == event_type).map(Arc::clone)
        };
        PowerLevels::of(&room.version, &view)
            .map_err(|Rejection(reason)| Error::bug(format!("power levels: {reason}")))
    }

    /// Whether a joined user has the power to send this kind of state.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn may_send_state(
        &self,
        room: &Room,
        user_id: &UserId,
        event_type: &str,
    ) -> Result<bool> {
        if !self.is_joined(room.number, user_id).await? {
            return Ok(false);
        }
        let levels = self.power_levels(room).await?;
        let own = levels.of_user(user_id).unwrap_or(PowerLevel::Int(0));
        Ok(levels.to_send(&event_type.into(), true).is_ok_and(|needed| own >= needed))
    }
}
