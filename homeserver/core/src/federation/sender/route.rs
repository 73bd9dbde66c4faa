//! From the log to the queues: which events which servers are told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

use pli_federation::event_format::Pdu;
use pli_schema::{
    EventNumber, Position, RoomNumber,
    records::{
        rooms::{RoomActivityKey, TimelineKey},
        sending::{SendBehindKey, SendBehindRecord, SendQueueKey, SendWatermarkKey},
    },
};
use pli_store::{Scan, Tx};
use ruma::{OwnedServerName, UserId, events::TimelineEventType};

use super::{
    PLACE_EVERY, Run, Sender,
    peers::{Lane, QUEUE_MAX},
};
use crate::{Error, Result, records::Membership, rooms::StoredEvent};

/// Commits looked at in one step.
const COMMITS_PER_STEP: usize = 200;
/// Rows put in one transaction, about.
const ROWS_PER_COMMIT: usize = 1_000;

/// An event that may have to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    at: Position,
    event: EventNumber,
    passed_on: bool,
}

/// A row for a queue.
struct RouteRow {
    destination: OwnedServerName,
    lane: Arc<Lane>,
    at: Position,
    event: EventNumber,
    room: RoomNumber,
}

impl Sender {
    /// Puts what is new in the log into the queues. Whether there is more.
    pub(super) async fn route(&self, run: &mut Run) -> Result<bool> {
        let end = self.store().position();
        if end <= run.at {
            return Ok(false);
        }
        let (candidates, to) = self.candidates(run.at, end).await?;
        self.parts.devices.follow_sharing(run.at, to).await?;
        self.note_devices(run, to).await?;
        let mut rows = Vec::new();
        let mut passed = run.at;
        for candidate in candidates {
            if candidate.at > passed {
                // Everything of the commits before is in `rows`.
                passed = Position(candidate.at.0.saturating_sub(1));
                if rows.len() >= ROWS_PER_COMMIT {
                    self.put_rows(run, std::mem::take(&mut rows), passed).await?;
                }
                passed = candidate.at;
            }
            let event = self.rooms().existing_event(candidate.event).await?;
            for destination in self.destinations(&event, candidate.passed_on).await? {
                let lane = run.peers.lane(&destination).await?;
                let (at, event, room) = (candidate.at, candidate.event, event.record.room);
                rows.push(RouteRow { destination, lane, at, event, room });
            }
        }
        if !rows.is_empty() {
            self.put_rows(run, rows, to).await?;
        }
        run.at = to;
        if to.0.saturating_sub(run.written.0) >= PLACE_EVERY {
            self.put_watermark(run).await?;
        }
        Ok(to < end)
    }

    /// The events after a place in the log, in order, and the place that they reach.
    async fn candidates(
        &self,
        from: Position,
        end: Position,
    ) -> Result<(Vec<Candidate>, Position)> {
        let activity = Scan::<RoomActivityKey>::prefix(()).after((from,)).up_to((end,));
        let rows = self.store().scan(&activity.limit(COMMITS_PER_STEP)).await?;
        let mut rooms: Vec<(Position, RoomNumber)> = rows
            .into_iter()
            .map(|row| (row.key.at.position().unwrap_or_default(), row.key.room))
            .collect();
        let mut to = end;
        if let Some((last, _)) = rooms.last().copied().filter(|_| rooms.len() >= COMMITS_PER_STEP) {
            // The rest of the last commit comes along.
            to = last;
            rooms.retain(|(at, _)| *at < last);
            let rest = self.store().scan(&Scan::<RoomActivityKey>::prefix((last,))).await?;
            rooms.extend(rest.into_iter().map(|row| (last, row.key.room)));
        }
        let mut candidates = Vec::new();
        for (at, room) in rooms {
            let timeline = Scan::<TimelineKey>::prefix((room, at));
            for entry in self.store().scan(&timeline).await? {
                let event = self.rooms().existing_event(entry.record.event).await?;
                if let Some(passed_on) = self.is_sent(&event).await? {
                    candidates.push(Candidate { at, event: event.number, passed_on });
                }
            }
        }
        candidates.sort_unstable();
        Ok((candidates, to))
    }

    /// Whether this server sends an event to others: its own users' (`false`), or those of another
    /// server that it lets in (`true`).
    pub(super) async fn is_sent(&self, event: &StoredEvent) -> Result<Option<bool>> {
        if self.rooms().is_local(&event.pdu()?.sender) {
            return Ok(Some(false));
        }
        Ok(self.rooms().is_sent_for_others(event.number).await?.then_some(true))
    }

    /// The servers that are to be told of an event: those with users in the room before it. An event
    /// that this server made without being in the room was brought into the room by another server,
    /// which sees to the others.
    pub(super) async fn destinations(
        &self,
        event: &StoredEvent,
        passed_on: bool,
    ) -> Result<BTreeSet<OwnedServerName>> {
        let own = self.rooms().server_name();
        let before =
            self.rooms().residents_at(event.record.room, event.record.state_before).await?;
        if !passed_on && !before.contains(own) {
            return Ok(BTreeSet::new());
        }
        let pdu = event.pdu()?;
        let origin = pdu.sender.server_name();
        let mut to: BTreeSet<OwnedServerName> =
            before.servers().filter(|name| **name != own && **name != origin).cloned().collect();
        if !passed_on {
            to.extend(self.outsider(event, &pdu).await?);
        }
        let mut admitted = BTreeSet::new();
        for server in to {
            if self.parts.signed.partners().admit(&server).await.is_ok() {
                admitted.insert(server);
            }
        }
        Ok(admitted)
    }

    /// The server of someone who was invited or has knocked and now is not let in, or banned.
    async fn outsider(&self, event: &StoredEvent, pdu: &Pdu) -> Result<Option<OwnedServerName>> {
        if pdu.event_type != TimelineEventType::RoomMember {
            return Ok(None);
        }
        let ends = matches!(membership(&pdu.content), Some(Membership::Leave | Membership::Ban));
        let (Some(replaced), true) = (event.record.replaces, ends) else { return Ok(None) };
        let before = self.rooms().existing_event(replaced).await?.pdu()?;
        let waited =
            matches!(membership(&before.content), Some(Membership::Invite | Membership::Knock));
        let user_id = pdu.state_key.as_deref().and_then(|key| UserId::parse(key).ok());
        let user_id = user_id.filter(|user_id| waited && !self.rooms().is_local(user_id));
        Ok(user_id.map(|user_id| user_id.server_name().to_owned()))
    }

    /// Puts rows into the queues, together with the place in the log that they reach.
    async fn put_rows(&self, run: &mut Run, rows: Vec<RouteRow>, to: Position) -> Result<()> {
        let shared = &rows;
        let queued = self
            .store()
            .write(|tx| async move {
                let mut queued: BTreeMap<&OwnedServerName, (usize, bool)> = BTreeMap::new();
                for row in shared {
                    let (count, behind) = queued.entry(&row.destination).or_default();
                    let before = row.lane.queued.load(Ordering::Acquire).saturating_add(*count);
                    let is_behind = *behind || row.lane.behind.load(Ordering::Acquire);
                    if put_row(&tx, row, before >= QUEUE_MAX, is_behind).await? {
                        *count = count.saturating_add(1);
                    } else {
                        *behind = true;
                    }
                }
                tx.put(&SendWatermarkKey {}, &to)?;
                Ok::<_, Error>(queued)
            })
            .await?;
        run.written = to;
        let mut told = BTreeSet::new();
        for row in shared {
            if let Some((count, behind)) = queued.get(&row.destination)
                && told.insert(&row.destination)
            {
                row.lane.queued.fetch_add(*count, Ordering::AcqRel);
                row.lane.behind.fetch_or(*behind, Ordering::AcqRel);
                run.peers.wake(&row.destination).await?;
            }
        }
        Ok(())
    }
}

/// Puts a row into its queue; `false` if only its room was noted, because the queue is full or events of
/// the room are missing in it already.
async fn put_row(tx: &Tx, row: &RouteRow, is_full: bool, is_behind: bool) -> Result<bool> {
    if is_full || is_behind {
        let key = SendBehindKey { destination: row.destination.clone(), room: row.room };
        let noted = tx.get(&key).await?;
        if is_full || noted.is_some() {
            let from = noted.map_or(row.at, |noted| noted.from);
            tx.put(&key, &SendBehindRecord { from, to: row.at })?;
            return Ok(false);
        }
    }
    let RouteRow { destination, at, event, room, .. } = row;
    let key = SendQueueKey { destination: destination.clone(), at: *at, event: *event };
    tx.put(&key, room)?;
    Ok(true)
}

/// The membership that the content of an `m.room.member` event sets.
fn membership(content: &serde_json::value::RawValue) -> Option<Membership> {
    #[derive(serde::Deserialize)]
    struct Content {
        membership: String,
    }
    let content: Content = serde_json::from_str(content.get()).ok()?;
    Membership::parse(&content.membership)
}
