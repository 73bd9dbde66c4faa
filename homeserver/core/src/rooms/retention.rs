//! Deleting messages that are older than the room (`m.room.retention`, MSC1763) or the administration
//! keeps them. State stays; so do rooms on legal hold.
//!
//! A message goes in two steps. The first takes it out of the timeline and out of everything by which it
//! is found; from then on nobody sees it. The second, a while later, takes the event itself, when no
//! request that had found it before is under way any more.

use std::time::Duration;

use pli_schema::{
    Position, RoomNumber, Stamp,
    records::rooms::{
        EventByIdKey, EventKey, ExpiredEventKey, RelationKey, RoomHeadKey, RoomKey, TimelineKey,
    },
};
use pli_store::{Row, Scan, Tx};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Rooms, StoredEvent, relations::Relation, staging};
use crate::{
    Error, MilliSeconds, Result,
    policy::retention::{Limits, lifetime_ms},
};

/// Timeline entries looked at in one step.
const STEP: usize = 200;
/// Between two steps.
const STEP_PAUSE: Duration = Duration::from_millis(20);
/// Between two rounds.
const ROUND_PAUSE: Duration = Duration::from_secs(3_600);
/// Between the two steps in which a message goes.
const GRACE_MS: MilliSeconds = 30 * 60_000;

/// What is kept how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// The bounds of the administration.
    pub limits: Limits,
    /// Rooms in which nothing is deleted.
    pub legal_hold: Vec<String>,
}

impl Rooms {
    /// Deletes what has expired, one round after the other, until `stop`.
    pub async fn run_retention(self, retention: Retention, stop: CancellationToken) {
        loop {
            match stop.run_until_cancelled(self.retention_round(&retention)).await {
                None => return,
                Some(Ok(deleted)) => tracing::debug!(deleted, "expired messages were deleted"),
                Some(Err(error)) => tracing::warn!(%error, "expired messages could not be deleted"),
            }
            if stop.run_until_cancelled(tokio::time::sleep(ROUND_PAUSE)).await.is_none() {
                return;
            }
        }
    }

    /// One round through all rooms; returns how many messages were taken out of their timelines.
    ///
    /// # Errors
    /// Those of the store; what was deleted until then stays so.
    pub async fn retention_round(&self, retention: &Retention) -> Result<usize> {
        self.delete_expired_events().await?;
        let mut deleted: usize = 0;
        for row in self.store().scan(&Scan::<RoomKey>::prefix(())).await? {
            let room = row.key.room;
            if retention.legal_hold.iter().any(|held| row.record.room_id == *held) {
                continue;
            }
            let content: Option<Value> = self.current_content(room, "m.room.retention").await?;
            if let Some(lifetime_ms) = lifetime_ms(content.as_ref(), retention.limits) {
                let oldest_ms = self.clock().now_ms().saturating_sub(lifetime_ms);
                deleted = deleted.saturating_add(self.expire(room, oldest_ms).await?);
            }
        }
        Ok(deleted)
    }

    /// Takes the messages of a room that were sent before a time out of its timeline.
    async fn expire(&self, room: RoomNumber, oldest_ms: u64) -> Result<usize> {
        let mut deleted: usize = 0;
        let mut range = Scan::<TimelineKey>::prefix((room,)).limit(STEP);
        loop {
            let rows = self.store().scan(&range).await?;
            let Some(last) = rows.last().map(|row| row.key.clone()) else {
                return Ok(deleted);
            };
            let mut expired = Vec::new();
            let mut is_over = rows.len() < STEP;
            for row in rows {
                let event = self.existing_event(row.record.event).await?;
                if event.record.state_key.is_some() {
                    continue;
                }
                if u64::from(event.pdu()?.origin_server_ts.0) >= oldest_ms {
                    is_over = true;
                    break;
                }
                expired.push((row, event));
            }
            deleted = deleted.saturating_add(self.take_out(room, &expired).await?);
            if is_over {
                return Ok(deleted);
            }
            let position = last.at.position().unwrap_or_default();
            range = range.after((room, position, last.index));
            tokio::time::sleep(STEP_PAUSE).await;
        }
    }

    async fn take_out(
        &self,
        room: RoomNumber,
        expired: &[(Row<TimelineKey>, std::sync::Arc<StoredEvent>)],
    ) -> Result<usize> {
        if expired.is_empty() {
            return Ok(0);
        }
        let now_ms = self.clock().now_ms();
        self.store()
            .write(|tx| async move {
                let head = tx.get(&RoomHeadKey { room }).await?;
                let extremities = head.map(|head| head.extremities).unwrap_or_default();
                let mut deleted: usize = 0;
                for (row, event) in expired {
                    // The next event of the room names the newest one.
                    if extremities.iter().any(|newest| newest.event == event.number) {
                        continue;
                    }
                    take_out_one(&tx, &row.key, event)?;
                    let due_ms = now_ms.saturating_add(GRACE_MS);
                    tx.put(&ExpiredEventKey { due_ms, event: event.number }, &())?;
                    deleted = deleted.saturating_add(1);
                }
                Ok::<_, Error>(deleted)
            })
            .await
    }

    /// The second step: takes the events themselves.
    async fn delete_expired_events(&self) -> Result<()> {
        let due = Scan::<ExpiredEventKey>::prefix(()).up_to((self.clock().now_ms(),));
        for rows in self.store().scan(&due).await?.chunks(STEP) {
            self.store()
                .write(|tx| async move {
                    for row in rows {
                        tx.delete(&EventKey { event: row.key.event });
                        tx.delete(&row.key);
                    }
                    Ok::<_, Error>(())
                })
                .await?;
            for row in rows {
                self.caches.events.remove(&row.key.event);
            }
            tokio::time::sleep(STEP_PAUSE).await;
        }
        Ok(())
    }
}

/// Takes an event out of the timeline and of what finds it.
fn take_out_one(tx: &Tx, key: &TimelineKey, event: &StoredEvent) -> Result<()> {
    let pdu = event.pdu()?;
    let position: Position = key.at.position().unwrap_or_default();
    tx.delete(key);
    tx.delete(&EventByIdKey { event_id: event.record.event_id.clone() });
    if let Some(relation) = Relation::of(&pdu) {
        let (at, index) = (Stamp::At(position), key.index);
        tx.delete(&RelationKey { target: relation.target.clone(), at, index });
        if let Some(annotation) = staging::annotation(&pdu, &relation) {
            tx.delete(&annotation);
        }
    }
    staging::delete_words(tx, key.room, &pdu, (position, key.index));
    Ok(())
}

#[cfg(test)]
mod tests {
    use ruma::RoomVersionId;
    use serde_json::json;

    use super::*;
    use crate::{
        Clock,
        rooms::testing::{public_room, rooms, state, text, timeline},
    };

    fn wait(rooms: &Rooms, ms: u64) {
        let Clock::Test(clock) = rooms.clock() else { panic!("a clock for tests") };
        clock.advance_ms(ms);
    }

    #[tokio::test]
    async fn old_messages_go_and_state_and_rooms_on_hold_stay() {
        const DAY_MS: u64 = 24 * 3_600_000;
        let rooms = rooms();
        let room = public_room(&rooms, RoomVersionId::V12).await;
        let held = public_room(&rooms, RoomVersionId::V12).await;
        let other = public_room(&rooms, RoomVersionId::V12).await;
        for id in [&room, &held] {
            let content = json!({ "max_lifetime": 10 * DAY_MS });
            let retention = state("alice", "m.room.retention", "", &content);
            rooms.append(id, retention, None).await.unwrap();
        }
        let old = rooms.append(&room, text("alice", "old"), None).await.unwrap().event_id;
        rooms.append(&held, text("alice", "old"), None).await.unwrap();
        rooms.append(&other, text("alice", "old"), None).await.unwrap();
        wait(&rooms, 9 * DAY_MS);
        for id in [&room, &held, &other] {
            rooms.append(id, text("alice", "new"), None).await.unwrap();
        }
        let retention = Retention { limits: Limits::default(), legal_hold: vec![held.to_string()] };
        assert_eq!(rooms.retention_round(&retention).await.unwrap(), 0);
        wait(&rooms, 2 * DAY_MS);
        let before = timeline(&rooms, &room).await.len();
        assert_eq!(rooms.retention_round(&retention).await.unwrap(), 1);
        assert_eq!(timeline(&rooms, &room).await.len(), before - 1);
        assert!(rooms.event_by_id(&old).await.unwrap().is_none());
        let gone = rooms.store().scan(&Scan::<ExpiredEventKey>::prefix(())).await.unwrap();
        let number = gone[0].key.event;
        assert!(rooms.event(number).await.unwrap().is_some());
        wait(&rooms, GRACE_MS + 1);
        assert_eq!(rooms.retention_round(&retention).await.unwrap(), 0);
        assert!(rooms.event(number).await.unwrap().is_none());
        // The newest event stays, however old: the next one names it.
        wait(&rooms, 100 * DAY_MS);
        assert_eq!(rooms.retention_round(&retention).await.unwrap(), 0);
        rooms.append(&room, text("alice", "newer"), None).await.unwrap();
        assert_eq!(rooms.retention_round(&retention).await.unwrap(), 1);
        assert_eq!(timeline(&rooms, &held).await.len(), timeline(&rooms, &other).await.len() + 1);
    }
}
