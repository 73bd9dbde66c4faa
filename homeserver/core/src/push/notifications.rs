//! The notifications of a user, newest first, worked out from the timelines.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3notifications>

use pli_schema::{Position, RoomNumber, records::rooms::Membership};
use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedRoomId, UserId, events::AnySyncTimelineEvent, push::Action,
    serde::Raw,
};

use super::Push;
use crate::{Error, Result};

/// Rooms looked at: those with the newest events.
const ROOMS_MAX: usize = 100;
/// Events looked at in each room.
const EVENTS_MAX: usize = 100;

/// A notification.
#[derive(Clone, Debug)]
pub struct Notification {
    /// The actions of the rule that matched.
    pub actions: Vec<Action>,
    /// The event, in the format of clients.
    pub event: Raw<AnySyncTimelineEvent>,
    /// A read receipt covers it.
    pub read: bool,
    /// The room.
    pub room_id: OwnedRoomId,
    /// When the event was sent.
    pub ts: MilliSecondsSinceUnixEpoch,
    at: Position,
}

/// A page of notifications.
#[derive(Clone, Debug, Default)]
pub struct Notifications {
    /// Newest first.
    pub notifications: Vec<Notification>,
    /// Where older ones begin.
    pub next: Option<Position>,
}

impl Push {
    /// Notifications of commits before `from` (all if it is `None`), at most `limit`, of the 100 rooms
    /// with the newest events.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn notifications(
        &self,
        user_id: &UserId,
        from: Option<Position>,
        limit: usize,
        highlights_only: bool,
    ) -> Result<Notifications> {
        let to = from.map_or(self.store().position(), |from| Position(from.0.saturating_sub(1)));
        let mut rooms = Vec::new();
        for (room, own) in self.rooms.rooms_of(user_id, Some(Membership::Join)).await? {
            rooms.push((self.rooms.room_position(room).await?, room, own.record.event));
        }
        rooms.sort_unstable_by(|a, b| b.cmp(a));
        let mut found = Vec::new();
        for (_, room, member) in rooms.into_iter().take(ROOMS_MAX) {
            let joined_at = self.rooms.start_of_stay(member).await?;
            self.notifications_in(user_id, room, (joined_at, to), &mut found).await?;
        }
        if highlights_only {
            found.retain(|one| one.actions.iter().any(Action::is_highlight));
        }
        found.sort_by_key(|one| std::cmp::Reverse(one.at));
        let next =
            (found.len() > limit).then(|| found.get(limit.saturating_sub(1)).map(|one| one.at));
        found.truncate(limit);
        Ok(Notifications { notifications: found, next: next.flatten() })
    }

    async fn notifications_in(
        &self,
        user_id: &UserId,
        room: RoomNumber,
        (after, to): (Position, Position),
        found: &mut Vec<Notification>,
    ) -> Result<()> {
        if after >= to {
            return Ok(());
        }
        let member = self.rooms.member(room, user_id).await?;
        let events = self.events_between(room, after, to, EVENTS_MAX).await?;
        let levels = self.levels_of_senders(room, &events).await?;
        let eye = self.eye(room, user_id, member.as_ref(), &levels).await?;
        let room_id = self.rooms.room(room).await?.id.clone();
        for placed in events {
            let Some(actions) = eye.actions(&placed.event).await? else { continue };
            let place = (placed.at, placed.index);
            let pdu = placed.event.pdu()?;
            let mut event = serde_json::json!({
                "event_id": placed.event.record.event_id,
                "type": pdu.event_type,
                "sender": pdu.sender,
                "origin_server_ts": pdu.origin_server_ts,
                "content": pdu.content,
            });
            if let (Some(state_key), Some(event)) = (&pdu.state_key, event.as_object_mut()) {
                event.insert("state_key".to_owned(), state_key.as_str().into());
            }
            let event = serde_json::value::to_raw_value(&event)
                .map_err(|error| Error::bug(format!("notification: {error}")))?;
            found.push(Notification {
                actions: actions.to_vec(),
                event: Raw::from_json(event),
                read: self.has_read(user_id, room, &placed.event, place).await?,
                room_id: room_id.clone(),
                ts: pdu.origin_server_ts,
                at: placed.at,
            });
        }
        Ok(())
    }
}
