//! Who may see which event.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use pli_schema::{
    Position, StateRoot,
    records::rooms::{MemberRecord, Membership, UserRoomKey},
};
use ruma::{OwnedUserId, RoomId, UserId, events::TimelineEventType};
use serde::Deserialize;

use super::History;
use crate::{
    Error, Result,
    rooms::{Room, Rooms, StoredEvent},
};

/// Membership changes of the reader that are followed back: beyond, older stays count as never.
const STAYS_MAX: usize = 1_000;

/// What `m.room.history_visibility` says (absent or malformed: `shared`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visibility {
    WorldReadable,
    Shared,
    Invited,
    Joined,
}

impl Visibility {
    fn parse(name: &str) -> Self {
        match name {
            "world_readable" => Self::WorldReadable,
            "invited" => Self::Invited,
            "joined" => Self::Joined,
            _ => Self::Shared,
        }
    }
}

#[derive(Deserialize)]
struct VisibilityContent {
    history_visibility: String,
}

#[derive(Deserialize)]
struct MemberContent {
    membership: String,
}

/// What counts at one state: the visibility and the reader's membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment {
    visibility: Visibility,
    membership: Option<Membership>,
}

/// A time during which the reader was joined.
#[derive(Clone, Copy, Debug)]
struct Stay {
    until: Option<Position>,
}

/// Somebody who reads in a room.
#[derive(Debug)]
pub struct Reader {
    rooms: Rooms,
    room: Arc<Room>,
    user_id: OwnedUserId,
    member: Option<MemberRecord>,
    stays: Vec<Stay>,
    moments: Mutex<HashMap<StateRoot, Moment>>,
}

impl History {
    /// Opens a room for a reader.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the room is not known, or the user has never been in it (or has forgotten
    /// it) and it is not world-readable now.
    pub async fn open(&self, room_id: &RoomId, user_id: &UserId) -> Result<Reader> {
        match self.opened(room_id, user_id).await? {
            (reader, true) => Ok(reader),
            _ => Err(Error::forbidden("You are not in this room")),
        }
    }

    /// Opens a room for a reader of its timeline: as [`Self::open`], and for those who are invited where
    /// that lets them see what happens.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_timeline(&self, room_id: &RoomId, user_id: &UserId) -> Result<Reader> {
        match self.opened(room_id, user_id).await? {
            (reader, true) => Ok(reader),
            (reader, false) if reader.sees_as_invited().await? => Ok(reader),
            _ => Err(Error::forbidden("You are not in this room")),
        }
    }

    /// A reader, and whether they have been in the room or everyone may read it.
    async fn opened(&self, room_id: &RoomId, user_id: &UserId) -> Result<(Reader, bool)> {
        let room = self.rooms.room_or_forbidden(room_id).await?;
        let key = UserRoomKey { user_id: user_id.to_owned(), room: room.number };
        let forgotten = self.rooms.store().get(&key).await?.is_some_and(|record| record.forgotten);
        let reader = self.reader(room, user_id).await?;
        let allowed = (!reader.stays.is_empty() && !forgotten) || reader.world_readable().await?;
        Ok((reader, allowed))
    }
}

impl History {
    /// A reader of a room, whether the user may read anything in it or not.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn reader(&self, room: Arc<Room>, user_id: &UserId) -> Result<Reader> {
        let member = self.rooms.member(room.number, user_id).await?;
        let stays = stays(&self.rooms, member.as_ref()).await?;
        Ok(Reader {
            rooms: self.rooms.clone(),
            room,
            user_id: user_id.to_owned(),
            member,
            stays,
            moments: Mutex::default(),
        })
    }
}

/// The times during which the user was joined, newest first, from the chain of membership events.
async fn stays(rooms: &Rooms, member: Option<&MemberRecord>) -> Result<Vec<Stay>> {
    let mut stays = Vec::new();
    let mut until = None;
    let mut next = member.map(|member| member.event);
    for _ in 0..STAYS_MAX {
        let Some(number) = next else { break };
        let event = rooms.existing_event(number).await?;
        if membership(&event)? == Some(Membership::Join) {
            stays.push(Stay { until });
            if until.is_none() {
                // Joined now: nothing older says more.
                break;
            }
        }
        let pointer = rooms.pointer(&event.record.event_id).await?;
        until = pointer.map(|pointer| pointer.position);
        next = event.record.replaces;
    }
    Ok(stays)
}

fn membership(event: &StoredEvent) -> Result<Option<Membership>> {
    let content = event.content::<MemberContent>()?;
    Ok(content.and_then(|content| Membership::parse(&content.membership)))
}

impl Reader {
    /// The room.
    #[must_use]
    pub const fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// Who reads.
    #[must_use]
    pub fn user_id(&self) -> &UserId {
        &self.user_id
    }

    /// The reader's membership now.
    #[must_use]
    pub fn membership(&self) -> Option<Membership> {
        self.member.as_ref().map(|member| member.membership)
    }

    /// Whether the reader has ever been joined.
    #[must_use]
    pub fn was_joined(&self) -> bool {
        !self.stays.is_empty()
    }

    /// Whether the reader is joined now.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.membership() == Some(Membership::Join)
    }

    /// The state that the reader may see as a whole: the current one for members and in world-readable
    /// rooms, else that at the end of the last stay.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn state(&self) -> Result<Vec<Arc<StoredEvent>>> {
        match self.end_of_stay().await? {
            Some(end) => {
                let mut state = self.rooms.full_state(end.record.state_before).await?;
                if let Some(key) = end.record.state_key {
                    state.retain(|event| event.record.state_key != Some(key));
                    state.push(end);
                }
                Ok(state)
            }
            None => self.rooms.current_state(self.room.number).await,
        }
    }

    /// One event of [`Self::state`].
    ///
    /// # Errors
    /// Those of the store.
    pub async fn state_event(
        &self,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Arc<StoredEvent>>> {
        match self.end_of_stay().await? {
            Some(end) => self.rooms.state_event_after(&end, event_type, state_key).await,
            None => self.rooms.current_state_event(self.room.number, event_type, state_key).await,
        }
    }

    /// The event that ended the reader's last stay; `None` if the reader sees the present.
    async fn end_of_stay(&self) -> Result<Option<Arc<StoredEvent>>> {
        if self.is_joined() || self.world_readable().await? {
            return Ok(None);
        }
        // What ended the stay may have been followed by another membership event, such as a ban
        // after a leave: the one right after the join counts.
        let mut next = self.member.as_ref().map(|member| member.event);
        let mut end = None;
        for _ in 0..STAYS_MAX {
            let Some(number) = next else { break };
            let event = self.rooms.existing_event(number).await?;
            if membership(&event)? == Some(Membership::Join) {
                break;
            }
            next = event.record.replaces;
            end = Some(event);
        }
        Ok(end)
    }

    async fn world_readable(&self) -> Result<bool> {
        Ok(self.visibility_now().await? == Visibility::WorldReadable)
    }

    async fn sees_as_invited(&self) -> Result<bool> {
        Ok(self.membership() == Some(Membership::Invite)
            && self.visibility_now().await? == Visibility::Invited)
    }

    async fn visibility_now(&self) -> Result<Visibility> {
        let event = self
            .rooms
            .current_state_event(self.room.number, "m.room.history_visibility", "")
            .await?;
        visibility(event.as_deref())
    }

    /// Whether the reader may see an event of the room.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn may_see(&self, event: &StoredEvent) -> Result<bool> {
        if event.record.rejected
            || event.record.soft_failed
            || event.record.room != self.room.number
        {
            return Ok(false);
        }
        let before = self.moment(event.record.state_before).await?;
        if self.allows(before, event).await? {
            return Ok(true);
        }
        match self.after(before, event)? {
            Some(after) => self.allows(after, event).await,
            None => Ok(false),
        }
    }

    /// The reader's membership just after an event (MSC4115).
    ///
    /// # Errors
    /// Those of the store.
    pub async fn membership_at(&self, event: &StoredEvent) -> Result<Option<Membership>> {
        let before = self.moment(event.record.state_before).await?;
        Ok(self.after(before, event)?.unwrap_or(before).membership)
    }

    async fn allows(&self, moment: Moment, event: &StoredEvent) -> Result<bool> {
        Ok(match (moment.visibility, moment.membership) {
            (Visibility::WorldReadable, _)
            | (_, Some(Membership::Join))
            | (Visibility::Invited, Some(Membership::Invite)) => true,
            (Visibility::Shared, _) => self.joined_after(event).await?,
            _ => false,
        })
    }

    /// Whether the reader was joined at any time after an event.
    async fn joined_after(&self, event: &StoredEvent) -> Result<bool> {
        if self.stays.iter().any(|stay| stay.until.is_none()) {
            return Ok(true);
        }
        let Some(pointer) = self.rooms.pointer(&event.record.event_id).await? else {
            return Ok(false);
        };
        let at = pointer.position;
        Ok(self.stays.iter().any(|stay| stay.until.is_none_or(|until| until > at)))
    }

    /// What counts after an event that changes it: the visibility, or the reader's own membership.
    fn after(&self, before: Moment, event: &StoredEvent) -> Result<Option<Moment>> {
        let pdu = event.pdu()?;
        Ok(match (&pdu.event_type, pdu.state_key.as_deref()) {
            (TimelineEventType::RoomHistoryVisibility, Some("")) => {
                Some(Moment { visibility: visibility(Some(event))?, ..before })
            }
            (TimelineEventType::RoomMember, Some(user)) if user == self.user_id.as_str() => {
                Some(Moment { membership: membership(event)?, ..before })
            }
            _ => None,
        })
    }

    async fn moment(&self, root: StateRoot) -> Result<Moment> {
        let known = self.moments.lock().unwrap_or_else(PoisonError::into_inner).get(&root).copied();
        if let Some(moment) = known {
            return Ok(moment);
        }
        let setting = self.rooms.state_event(root, "m.room.history_visibility", "").await?;
        let member = self.rooms.state_event(root, "m.room.member", self.user_id.as_str()).await?;
        let moment = Moment {
            visibility: visibility(setting.as_deref())?,
            membership: match member {
                Some(event) => membership(&event)?,
                None => None,
            },
        };
        self.moments.lock().unwrap_or_else(PoisonError::into_inner).insert(root, moment);
        Ok(moment)
    }
}

fn visibility(event: Option<&StoredEvent>) -> Result<Visibility> {
    let Some(event) = event else {
        return Ok(Visibility::Shared);
    };
    let content = event.content::<VisibilityContent>()?;
    Ok(content.map_or(Visibility::Shared, |content| Visibility::parse(&content.history_visibility)))
}
