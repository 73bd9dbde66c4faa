//! The event that is closest to a time
//! (<https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event>).

use std::sync::Arc;

use pli_schema::{Position, RoomNumber, records::rooms::TimelineKey};
use pli_store::Scan;
use ruma::api::client::filter::RoomEventFilter;

use super::{Direction, History, MessagesQuery, Reader};
use crate::{Error, Result, rooms::StoredEvent, token::Boundary};

/// Events on either side of the place in question that are compared: events of application services may
/// stand where their time does not belong.
const WINDOW: usize = 500;
/// Pages of hidden events that are gone through beyond that.
const PAGES_MAX: usize = 20;
/// Events of such a page.
const PAGE: usize = 100;

/// What is looked for, and the best that was found so far.
struct Closest {
    at_ms: u64,
    direction: Direction,
    best: Option<(u64, Arc<StoredEvent>)>,
}

impl Closest {
    /// Takes an event if it is on the right side of the time and closer to it than the best one.
    fn offer(&mut self, event: Arc<StoredEvent>) -> Result<()> {
        let sent: u64 = event.pdu()?.origin_server_ts.0.into();
        let distance = match self.direction {
            Direction::Forward => sent.checked_sub(self.at_ms),
            Direction::Backward => self.at_ms.checked_sub(sent),
        };
        if let Some(distance) = distance
            && self.best.as_ref().is_none_or(|(best, _)| distance < *best)
        {
            self.best = Some((distance, event));
        }
        Ok(())
    }
}

impl History {
    /// The event with the closest timestamp at or after (or at or before) a time that the reader may
    /// see.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none.
    pub async fn event_by_time(
        &self,
        reader: &Reader,
        at_ms: u64,
        direction: Direction,
    ) -> Result<Arc<StoredEvent>> {
        let none = || Error::not_found("There is no event at that time");
        let place = self.place_of_time(reader.room().number, at_ms).await?;
        let mut closest = Closest { at_ms, direction, best: None };
        let mut next = None;
        // The direction asked for comes first: of events of one time the nearest to it counts.
        let other = match direction {
            Direction::Forward => Direction::Backward,
            Direction::Backward => Direction::Forward,
        };
        for way in [direction, other] {
            let walk = self.walk(reader, place, &query(way, WINDOW)).await?;
            if way == direction {
                next = walk.next;
            }
            for event in walk.events {
                closest.offer(event)?;
            }
        }
        for _ in 0..PAGES_MAX {
            let (None, Some(from)) = (&closest.best, next) else { break };
            let walk = self.walk(reader, from, &query(direction, PAGE)).await?;
            for event in walk.events {
                closest.offer(event)?;
            }
            next = walk.next;
        }
        closest.best.map(|(_, event)| event).ok_or_else(none)
    }

    /// The events of a timeline around a time, those on the side that is asked for first, whoever may see
    /// them.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn around_time(
        &self,
        room: RoomNumber,
        at_ms: u64,
        direction: Direction,
    ) -> Result<Vec<Arc<StoredEvent>>> {
        let place = self.place_of_time(room, at_ms).await?;
        let place = (room, place.position, place.index);
        let scan = || Scan::<TimelineKey>::prefix((room,)).limit(WINDOW);
        let (after, before) = (scan().from(place), scan().before(place).backward());
        let scans = match direction {
            Direction::Forward => [after, before],
            Direction::Backward => [before, after],
        };
        let mut events = Vec::new();
        for scan in scans {
            for row in self.rooms().store().scan(&scan).await? {
                events.push(self.rooms().existing_event(row.record.event).await?);
            }
        }
        Ok(events)
    }

    /// Where in a timeline the events begin that were sent at a time or later, as far as it is in the
    /// order of time: found by halving.
    async fn place_of_time(&self, room: RoomNumber, at_ms: u64) -> Result<Boundary> {
        let (mut low, mut high) = (0, self.rooms().store().position().next().0);
        while low < high {
            let middle = low.midpoint(high);
            let scan = Scan::<TimelineKey>::prefix((room,)).from((room, Position(middle))).limit(1);
            let rows = self.rooms().store().scan(&scan).await?;
            let Some(row) = rows.first() else {
                high = middle;
                continue;
            };
            let event = self.rooms().existing_event(row.record.event).await?;
            if u64::from(event.pdu()?.origin_server_ts.0) < at_ms {
                low = row.key.at.position().unwrap_or_default().next().0;
            } else {
                high = middle;
            }
        }
        Ok(Boundary { position: Position(low), index: 0 })
    }
}

fn query(direction: Direction, limit: usize) -> MessagesQuery {
    let filter = RoomEventFilter::default();
    MessagesQuery { from: None, to: None, direction, limit, filter }
}

#[cfg(test)]
mod tests {
    use ruma::{MilliSecondsSinceUnixEpoch, RoomVersionId, UInt};

    use super::*;
    use crate::rooms::testing::{public_room, rooms, text, user};

    #[tokio::test]
    async fn the_closest_event_is_found_also_where_time_goes_back() {
        let rooms = rooms();
        let history = History::new(rooms.clone());
        let room = public_room(&rooms, RoomVersionId::V12).await;
        let start = 1_700_000_000_000_u64;
        // The room's first events are of the start; one message of long ago came in between.
        let times = [start + 1_000, start + 2_000, 5_000, start + 3_000, start + 3_000];
        let mut ids = Vec::new();
        for (n, time) in times.into_iter().enumerate() {
            let mut draft = text("alice", &format!("m{n}"));
            let time = UInt::try_from(time).unwrap();
            draft.origin_server_ts = Some(MilliSecondsSinceUnixEpoch(time));
            ids.push(rooms.append(&room, draft, None).await.unwrap().event_id);
        }
        let reader = history.open(&room, &user("alice")).await.unwrap();
        let find = async |at_ms, direction| {
            let found = history.event_by_time(&reader, at_ms, direction).await;
            found.ok().map(|event| event.record.event_id.clone())
        };
        let (forward, backward) = (Direction::Forward, Direction::Backward);
        for (at_ms, direction, expected) in [
            (start + 500, forward, Some(0)),
            (start + 1_000, forward, Some(0)),
            (start + 1_001, forward, Some(1)),
            (start + 1_999, backward, Some(0)),
            (start + 2_500, forward, Some(3)),
            (start + 9_000, backward, Some(4)),
            (start + 9_000, forward, None),
            (4_999, forward, Some(2)),
            (6_000, backward, Some(2)),
            (4_999, backward, None),
        ] {
            let expected = expected.map(|n: usize| ids[n].clone());
            assert_eq!(find(at_ms, direction).await, expected, "{at_ms} {direction:?}");
        }
    }
}
