//! From the log to the queues of pushers: which events notify whom.

use std::collections::{HashMap, HashSet};

use pli_schema::{
    Position, RoomNumber,
    records::{
        push::{PushQueueKey, PushQueueRecord, PushWatermarkKey, PusherKey},
        rooms::{Membership, RoomActivityKey, UserRoomKey},
    },
};
use pli_store::Scan;
use ruma::{OwnedUserId, UserId};

use super::{
    Push,
    evaluate::{Eye, Placed},
};
use crate::{
    Error, Result,
    invite_permission::{InviteDecision, InvitePermission},
};

/// Commits looked at in one step.
const COMMITS_PER_STEP: usize = 200;

/// An event may be this much older, in seconds, than a pusher that is told of it: clocks differ.
const SLACK_S: u64 = 60;

/// Who has pushers, by the rooms they are in: what a new event has to be looked at for.
#[derive(Debug, Default)]
pub(super) struct PusherIndex {
    /// The newest commit that this takes into account.
    pub(super) known_to: Position,
    by_room: HashMap<RoomNumber, HashSet<OwnedUserId>>,
    rooms_of: HashMap<OwnedUserId, Vec<RoomNumber>>,
}

impl PusherIndex {
    fn set(&mut self, user_id: &UserId, rooms: Vec<RoomNumber>) {
        for room in self.rooms_of.remove(user_id).unwrap_or_default() {
            if let Some(users) = self.by_room.get_mut(&room) {
                users.remove(user_id);
                if users.is_empty() {
                    self.by_room.remove(&room);
                }
            }
        }
        for room in &rooms {
            self.by_room.entry(*room).or_default().insert(user_id.to_owned());
        }
        if !rooms.is_empty() {
            self.rooms_of.insert(user_id.to_owned(), rooms);
        }
    }
}

pub(super) type QueueRow = (PushQueueKey, PushQueueRecord);

impl Push {
    /// The index of all users.
    pub(super) async fn load_index(&self) -> Result<PusherIndex> {
        // What is committed while this reads may be in it or not: it comes through the feed.
        let known_to = self.store().position();
        let mut index = PusherIndex { known_to, ..PusherIndex::default() };
        let rows = self.store().scan(&Scan::<PusherKey>::prefix(())).await?;
        let users: HashSet<OwnedUserId> = rows.into_iter().map(|row| row.key.user_id).collect();
        for user_id in users {
            self.refresh_index(&mut index, &user_id).await?;
        }
        Ok(index)
    }

    /// Something of a user has changed: pushers or memberships.
    pub(super) async fn refresh_index(
        &self,
        index: &mut PusherIndex,
        user_id: &UserId,
    ) -> Result<()> {
        let pushers = Scan::<PusherKey>::prefix((user_id.to_owned(),)).limit(1);
        if self.store().scan(&pushers).await?.is_empty() {
            index.set(user_id, Vec::new());
            return Ok(());
        }
        let rooms = self.rooms.rooms_of(user_id, None).await?.into_iter();
        let rooms = rooms.filter(|(_, stored)| {
            matches!(stored.record.membership, Membership::Join | Membership::Invite)
        });
        index.set(user_id, rooms.map(|(room, _)| room).collect());
        Ok(())
    }

    /// Up to where the log was looked at. The first time that is its end: nobody wants to be notified
    /// of what is old.
    pub(super) async fn push_watermark(&self) -> Result<Position> {
        let now = self.store().position();
        self.store()
            .write(|tx| async move {
                let key = PushWatermarkKey {};
                if let Some(position) = tx.get(&key).await? {
                    return Ok(position);
                }
                tx.put(&key, &now)?;
                Ok(now)
            })
            .await
    }

    /// Looks at the commits after `from` that the index knows of and queues what notifies; returns how
    /// far it came, and whose pushers got something.
    pub(super) async fn queue_step(
        &self,
        index: &PusherIndex,
        from: Position,
    ) -> Result<(Position, HashSet<PusherKey>)> {
        let end = index.known_to.max(from);
        if index.by_room.is_empty() {
            return Ok((end, HashSet::new()));
        }
        let range = Scan::<RoomActivityKey>::prefix(()).after((from,)).up_to((end,));
        let commits = self.store().scan(&range.limit(COMMITS_PER_STEP)).await?;
        // A commit may be about several rooms: the last one, perhaps cut off, comes with the next step.
        let cut = (commits.len() == COMMITS_PER_STEP)
            .then(|| commits.last().and_then(|row| row.key.at.position()))
            .flatten();
        let mut rows = Vec::new();
        for row in commits {
            let at = row.key.at.position().unwrap_or_default();
            if Some(at) != cut {
                self.rows_of_commit(index, row.key.room, at, &mut rows).await?;
            }
        }
        let to = cut.map_or(end, |cut| Position(cut.0.saturating_sub(1)));
        if !rows.is_empty() {
            self.put_rows(&rows, to).await?;
        }
        let pushers = rows.into_iter().map(|(key, _)| {
            let PushQueueKey { user_id, app_id, pushkey, .. } = key;
            PusherKey { user_id, app_id, pushkey }
        });
        Ok((to, pushers.collect()))
    }

    /// Queues notifications and notes how far the log was looked at, in one commit.
    pub(super) async fn put_rows(&self, rows: &[QueueRow], to: Position) -> Result<()> {
        self.store()
            .write(|tx| async move {
                for (key, record) in rows {
                    tx.put(key, record)?;
                }
                tx.put(&PushWatermarkKey {}, &to)?;
                Ok(())
            })
            .await
    }

    async fn rows_of_commit(
        &self,
        index: &PusherIndex,
        room: RoomNumber,
        at: Position,
        rows: &mut Vec<QueueRow>,
    ) -> Result<()> {
        let Some(users) = index.by_room.get(&room) else {
            return Ok(());
        };
        let before = Position(at.0.saturating_sub(1));
        let events = self.events_between(room, before, at, usize::MAX).await?;
        let levels = self.levels_of_senders(room, &events).await?;
        for user_id in users {
            let key = UserRoomKey { user_id: user_id.clone(), room };
            let Some(own) = self.store().get_stored(&key).await? else { continue };
            let member = self.rooms.member(room, user_id).await?;
            let eye = self.eye(room, user_id, member.as_ref(), &levels).await?;
            let joined_at = match own.record.membership {
                Membership::Join => self.rooms.start_of_stay(own.record.event).await?,
                _ => Position::MAX,
            };
            for placed in &events {
                let visible = match own.record.membership {
                    Membership::Join => joined_at <= at,
                    Membership::Invite => {
                        own.record.event == placed.event.number
                            && self.takes_invite(user_id, placed).await?
                    }
                    _ => false,
                };
                if visible {
                    self.rows_of_event(user_id, &eye, placed, rows).await?;
                }
            }
        }
        Ok(())
    }

    /// Whether the user wants to see the invite.
    async fn takes_invite(&self, user_id: &OwnedUserId, invite: &Placed) -> Result<bool> {
        let permission = InvitePermission::read(self.store(), user_id).await?;
        Ok(permission.decide(&invite.event.pdu()?.sender) == InviteDecision::Allow)
    }

    async fn rows_of_event(
        &self,
        user_id: &OwnedUserId,
        eye: &Eye,
        placed: &Placed,
        rows: &mut Vec<QueueRow>,
    ) -> Result<()> {
        let Some(actions) = eye.actions(&placed.event).await? else {
            return Ok(());
        };
        let room = placed.event.record.room;
        let record = PushQueueRecord {
            room_id: self.rooms.room(room).await?.id.clone(),
            room,
            event: placed.event.number,
            actions: serde_json::to_string(actions)
                .map_err(|error| Error::bug(format!("push actions: {error}")))?,
            at_ms: self.clock().now_ms(),
        };
        let sent_s = u64::from(placed.event.pdu()?.origin_server_ts.get()) / 1_000;
        let pushers = Scan::<PusherKey>::prefix((user_id.clone(),));
        for row in self.store().scan(&pushers).await? {
            if sent_s.saturating_add(SLACK_S) < row.record.set_at_s {
                continue;
            }
            let PusherKey { user_id, app_id, pushkey } = row.key;
            let (at, index) = (placed.at, placed.index);
            let key = PushQueueKey { user_id, app_id, pushkey, at, room, index };
            rows.push((key, record.clone()));
        }
        Ok(())
    }
}
