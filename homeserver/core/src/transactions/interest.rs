//! Which rooms and events concern a service.
//!
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/#registration>

use std::{num::NonZeroUsize, sync::Arc};

use lru::LruCache;
use pli_schema::{
    Position, RoomNumber,
    records::rooms::{MemberKey, Membership},
};
use pli_store::Scan;
use ruma::{OwnedUserId, UserId, events::TimelineEventType};

use crate::{Result, Rooms, appservices::Appservice, rooms::StoredEvent};

/// Rooms of which it is kept how many users of the service are in them.
const ROOMS_CACHED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(49_999);

/// What concerns one service. Events are looked at in the order of the log.
#[derive(Debug)]
pub(super) struct Interest {
    rooms: Rooms,
    service: Arc<Appservice>,
    /// The joined users of the service by room, after the last event that was looked at.
    joined: LruCache<RoomNumber, u32>,
}

impl Interest {
    pub(super) fn new(rooms: Rooms, service: Arc<Appservice>) -> Self {
        Self { rooms, service, joined: LruCache::new(ROOMS_CACHED) }
    }

    /// The log is looked at from another place.
    pub(super) fn forget_all(&mut self) {
        self.joined.clear();
    }

    /// Whether an event of a commit concerns the service.
    pub(super) async fn wants(&mut self, event: &StoredEvent, at: Position) -> Result<bool> {
        let room = event.record.room;
        let before = match self.joined.get(&room).copied() {
            Some(joined) => joined,
            None => self.joined_before(event, at).await?,
        };
        let target = self.member(event)?;
        let after = match &target {
            Some(target) => {
                let was = self.was_joined(event, target).await?;
                let is = membership(event)? == Some(Membership::Join);
                let others = before.saturating_sub(u32::from(was));
                others.saturating_add(u32::from(is))
            }
            None => before,
        };
        self.joined.put(room, after);
        if event.record.rejected || event.record.soft_failed {
            return Ok(false);
        }
        let concerned =
            before > 0 || target.is_some() || self.service.covers_user(&event.pdu()?.sender);
        Ok(concerned || self.wants_place(room).await?)
    }

    /// Whether what happens in a room now concerns the service.
    pub(super) async fn wants_room(&mut self, room: RoomNumber) -> Result<bool> {
        let joined = match self.joined.get(&room).copied() {
            Some(joined) => joined > 0,
            None => self.has_joined(room).await?,
        };
        Ok(joined || self.wants_place(room).await?)
    }

    /// Whether the service wants a room for its id or one of its aliases.
    async fn wants_place(&self, room: RoomNumber) -> Result<bool> {
        let room = self.rooms.room(room).await?;
        if self.service.covers_room(&room.id) {
            return Ok(true);
        }
        if !self.service.has_aliases() {
            return Ok(false);
        }
        let aliases = self.rooms.aliases_of(&room).await?;
        Ok(aliases.iter().any(|alias| self.service.covers_alias(alias)))
    }

    async fn has_joined(&self, room: RoomNumber) -> Result<bool> {
        let rows = self.rooms.store().scan(&Scan::<MemberKey>::prefix((room,))).await?;
        Ok(rows.iter().any(|row| {
            row.record.membership == Membership::Join && self.service.covers_user(&row.key.user_id)
        }))
    }

    /// The users of the service who were joined before an event of a commit: those whose membership has
    /// not changed since, and of the others those who were in the state before it.
    async fn joined_before(&self, event: &StoredEvent, at: Position) -> Result<u32> {
        let rows =
            self.rooms.store().scan(&Scan::<MemberKey>::prefix((event.record.room,))).await?;
        let mut joined = 0_u32;
        for row in rows.into_iter().filter(|row| self.service.covers_user(&row.key.user_id)) {
            let is_joined = if row.position < at {
                row.record.membership == Membership::Join
            } else {
                self.was_joined(event, &row.key.user_id).await?
            };
            joined = joined.saturating_add(u32::from(is_joined));
        }
        Ok(joined)
    }

    async fn was_joined(&self, event: &StoredEvent, user_id: &UserId) -> Result<bool> {
        let root = event.record.state_before;
        let before = self.rooms.state_event(root, "m.room.member", user_id.as_str()).await?;
        Ok(match before {
            Some(before) => membership(&before)? == Some(Membership::Join),
            None => false,
        })
    }

    /// The user of the service whose membership an event changes.
    fn member(&self, event: &StoredEvent) -> Result<Option<OwnedUserId>> {
        let pdu = event.pdu()?;
        if pdu.event_type != TimelineEventType::RoomMember {
            return Ok(None);
        }
        let target = pdu.state_key.as_deref().and_then(|key| UserId::parse(key).ok());
        Ok(target.filter(|target| self.service.covers_user(target)))
    }
}

fn membership(event: &StoredEvent) -> Result<Option<Membership>> {
    #[derive(serde::Deserialize)]
    struct Content {
        membership: String,
    }
    let content: Option<Content> = event.content()?;
    Ok(content.and_then(|content| Membership::parse(&content.membership)))
}
