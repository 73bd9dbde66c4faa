//! What a server is told that was away for so long that its queue was full: of each room the newest
//! events that it missed, and where the room is now. From these it finds what is between.

use pli_schema::{
    EventNumber, Position,
    records::{
        rooms::TimelineKey,
        sending::{PendingSend, SendBehindKey},
    },
};
use pli_store::{Row, Scan};
use ruma::OwnedServerName;

use super::Sender;
use crate::Result;

/// Missed events of one room that are sent, the newest.
const EVENTS_MAX: usize = 45;
/// Entries of a room's timeline that are looked at for them.
const LOOKED_AT_MAX: usize = 500;
/// Ends of a room's graph that are sent besides.
const EXTREMITIES_MAX: usize = 5;

impl Sender {
    /// Adds what a server missed in the next room of which it is behind.
    pub(super) async fn catch_up(
        &self,
        destination: &OwnedServerName,
        (acked, singly): (&PendingSend, bool),
        pending: &mut PendingSend,
    ) -> Result<()> {
        let mut behind = Scan::<SendBehindKey>::prefix((destination.clone(),));
        if let Some((room, _)) = acked.caught_up {
            behind = behind.after((destination.clone(), room));
        }
        let Some(row) = self.store().scan(&behind.limit(1)).await?.into_iter().next() else {
            return Ok(());
        };
        let most = if singly { 1 } else { EVENTS_MAX };
        let mut events = self.missed(destination, &row, most).await?;
        if !singly {
            let ends = self.extremities(destination, &row).await?;
            events.extend(ends.into_iter().filter(|end| !events.contains(end)).collect::<Vec<_>>());
        }
        pending.events = events;
        pending.caught_up = Some((row.key.room, row.record.to));
        Ok(())
    }

    /// The newest events that a server missed in a room, in order.
    async fn missed(
        &self,
        destination: &OwnedServerName,
        row: &Row<SendBehindKey>,
        most: usize,
    ) -> Result<Vec<EventNumber>> {
        let room = row.key.room;
        let (from, to): (Position, Position) = (row.record.from, row.record.to);
        let timeline = Scan::<TimelineKey>::prefix((room,)).from((room, from)).up_to((room, to));
        let timeline = timeline.backward().limit(LOOKED_AT_MAX);
        let mut events = Vec::new();
        for entry in self.store().scan(&timeline).await? {
            if events.len() >= most {
                break;
            }
            let event = self.rooms().existing_event(entry.record.event).await?;
            if let Some(passed_on) = self.is_sent(&event).await?
                && self.destinations(&event, passed_on).await?.contains(destination)
            {
                events.push(event.number);
            }
        }
        events.reverse();
        Ok(events)
    }

    /// Where the room is now, if the server is still in it.
    async fn extremities(
        &self,
        destination: &OwnedServerName,
        row: &Row<SendBehindKey>,
    ) -> Result<Vec<EventNumber>> {
        let head = self.rooms().head(row.key.room).await?;
        if !self.rooms().residents_at(row.key.room, head.state).await?.contains(destination) {
            return Ok(Vec::new());
        }
        let ends = head.extremities.iter().rev().take(EXTREMITIES_MAX);
        Ok(ends.map(|extremity| extremity.event).collect())
    }
}
