//! Memberships of local users in rooms in which this server is not: invites from other servers, knocks,
//! and how both end. What other servers told about the room stands beside them; it is believed by nobody
//! but the user to whom it is shown.

use std::sync::Arc;

use pli_federation::event_format::{NewEvent, Pdu};
use pli_schema::records::{
    federation::{InviteStateKey, InviteStateRecord},
    rooms::{MemberRecord, Membership, RoomByIdKey},
};
use ruma::{OwnedServerName, RoomId, RoomVersionId, UserId, events::TimelineEventType};

use crate::{
    Error, Result,
    rooms::{Room, Rooms, draft, membership::bare, staging::Staging},
};

/// What another server told with an invite or after a knock.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The room's state in the form for strangers, as JSON, without the user's own membership.
    pub events: Vec<String>,
    /// Servers that can be asked to let the user in or out.
    pub servers: Vec<OwnedServerName>,
}

/// A local user's membership of a room in which this server is not.
#[derive(Clone, Debug)]
pub struct Outside {
    /// The room, as far as it is known.
    pub room: Arc<Room>,
    /// The membership.
    pub member: MemberRecord,
    /// Servers that can be asked about it.
    pub servers: Vec<OwnedServerName>,
}

impl Rooms {
    /// Takes a member event about a local user in a room in which this server is not. The caller has
    /// checked that its sender may say it; the rules cannot be asked without the room's state.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if this server is in the room: then the event has to come as any other.
    pub async fn take_outside(
        &self,
        (room_id, version): (&RoomId, &RoomVersionId),
        pdu: &Arc<Pdu>,
        told: Option<&Told>,
    ) -> Result<()> {
        let place = &(room_id.to_owned(), version.clone());
        let staged = self
            .store()
            .write(|tx| async move {
                let key = RoomByIdKey { room_id: place.0.clone() };
                let mut staging = match tx.get(&key).await? {
                    Some(number) if self.is_resident(number).await? => {
                        return Err(Error::forbidden("This server is in the room"));
                    }
                    Some(number) => Staging::open(self, &tx, number).await?,
                    None => {
                        let (id, version) = place.clone();
                        Staging::new_room(self, &tx, id, version).await?
                    }
                };
                staging.take_outside(pdu, told).await?;
                staging.close()
            })
            .await?;
        self.keep_staged(staged);
        Ok(())
    }

    /// The membership of a local user in a room in which this server is not; `None` if there is none, or
    /// this server knows the room itself.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn outside(&self, user_id: &UserId, room_id: &RoomId) -> Result<Option<Outside>> {
        let Some(room) = self.room_by_id(room_id).await? else { return Ok(None) };
        if self.is_resident(room.number).await? {
            return Ok(None);
        }
        let Some(member) = self.member(room.number, user_id).await? else { return Ok(None) };
        let told = self.told_of(room.number, user_id).await?;
        let told = told.filter(|told| told.event == member.event);
        if told.is_none() && self.is_current(room.number).await? {
            return Ok(None);
        }
        let sender = self.existing_event(member.event).await?.pdu()?.sender.clone();
        let mut servers = vec![sender.server_name().to_owned()];
        servers.extend(told.into_iter().flat_map(|told| told.servers));
        servers.retain(|server| server != self.server_name());
        Ok(Some(Outside { room, member, servers }))
    }

    /// What was told of a room with the member event of a user; `None` if this server knows its state.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn told_of(
        &self,
        room: pli_schema::RoomNumber,
        user_id: &UserId,
    ) -> Result<Option<InviteStateRecord>> {
        let key = InviteStateKey { room, user_id: user_id.to_owned() };
        Ok(self.store().get(&key).await?)
    }

    /// Ends an invite or a knock for this server only: nobody who could be told is there.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn end_outside(&self, user_id: &UserId, room: &Room) -> Result<()> {
        let content = draft::raw(&bare(Membership::Leave.name()))?;
        let (kind, now) = (TimelineEventType::RoomMember, self.clock().now());
        let mut new = NewEvent::new(user_id.to_owned(), kind, content, now);
        new.room_id = Some(room.id.clone());
        new.state_key = Some(user_id.to_string());
        let leave = self.build(new, &room.version)?;
        self.take_outside((&room.id, &room.version), &leave, None).await
    }
}
