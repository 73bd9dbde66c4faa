//! What people report to the administrators: rooms, events, users.
//!
//! Nothing in the answers tells whether a room or a user exists; what does not exist is not kept.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#reporting-content>.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    time::Duration,
};

use pli_schema::{
    Position, Stamp,
    records::{
        accounts::AccountKey,
        administration::{ReportClosing, ReportKey, ReportRecord, ReportSubject},
        policy::AuditRecord,
    },
};
use pli_store::{Scan, Tx};
use ruma::{EventId, OwnedUserId, RoomId, UserId};

use crate::{Error, History, Result, Rooms, audit};

/// Characters of a reason or a note, at most.
const TEXT_MAX: usize = 4_000;
/// Reports in one page, at most.
const PAGE_MAX: usize = 500;
/// Reports that are kept; [`Reports::sweep`] removes what is more.
const KEPT_MAX: usize = 20_000;
/// Reports looked at for one page, at most: closed ones lie between open ones.
const LOOKED_AT_MAX: usize = KEPT_MAX;
/// Reports looked at or removed in one step of a sweep.
const STEP: usize = 200;

/// Which reports are asked for.
#[derive(Clone, Copy, Debug)]
pub struct ReportsQuery {
    /// Those that are closed, too.
    pub with_closed: bool,
    /// Only those before this number.
    pub before: Option<u64>,
    /// So many, at most.
    pub limit: usize,
}

/// A report with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its number.
    pub number: u64,
    /// What it says.
    pub record: ReportRecord,
}

/// The reports. Clones share them.
#[derive(Clone, Debug)]
pub struct Reports {
    rooms: Rooms,
    history: History,
}

impl Reports {
    /// The reports about these rooms and the users of this server.
    #[must_use]
    pub const fn new(rooms: Rooms, history: History) -> Self {
        Self { rooms, history }
    }

    /// Reports a room, whether the user is in it or not. One that this server does not know is passed
    /// over.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a long reason.
    pub async fn report_room(
        &self,
        reporter: &UserId,
        room_id: &RoomId,
        reason: String,
    ) -> Result<()> {
        check_text(&reason)?;
        if self.rooms.room_number(room_id).await?.is_none() {
            return Ok(());
        }
        self.keep(reporter, ReportSubject::Room(room_id.to_owned()), Some(reason)).await
    }

    /// Reports an event of a room in which the user is joined.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the user is not joined or may not see such an event; [`Error::TooLarge`]
    /// for a long reason.
    pub async fn report_event(
        &self,
        reporter: &UserId,
        room_id: &RoomId,
        event_id: &EventId,
        reason: Option<String>,
    ) -> Result<()> {
        check_text(reason.as_deref().unwrap_or_default())?;
        let not_found =
            || Error::not_found("There is no such event, or you are not joined to its room");
        let reader = match self.history.open(room_id, reporter).await {
            Ok(reader) if reader.is_joined() => reader,
            Ok(_) | Err(Error::Forbidden(_)) => return Err(not_found()),
            Err(error) => return Err(error),
        };
        let event = match self.history.event(&reader, event_id).await {
            Err(Error::NotFound(_)) => return Err(not_found()),
            other => other?,
        };
        let sender = event.pdu()?.sender.clone();
        let (room_id, event_id) = (room_id.to_owned(), event_id.to_owned());
        self.keep(reporter, ReportSubject::Event { room_id, event_id, sender }, reason).await
    }

    /// Reports a user, of this server or another. Nobody of this server is passed over.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a long reason.
    pub async fn report_user(
        &self,
        reporter: &UserId,
        user_id: &UserId,
        reason: String,
    ) -> Result<()> {
        check_text(&reason)?;
        if self.rooms.is_local(user_id) {
            let key = AccountKey { user_id: user_id.to_owned() };
            if self.rooms.store().get(&key).await?.is_none() {
                return Ok(());
            }
        }
        self.keep(reporter, ReportSubject::User(user_id.to_owned()), Some(reason)).await
    }

    async fn keep(
        &self,
        reporter: &UserId,
        subject: ReportSubject,
        reason: Option<String>,
    ) -> Result<()> {
        let record = &ReportRecord {
            at_ms: self.rooms.clock().now_ms(),
            reporter: reporter.to_owned(),
            subject,
            reason: reason.filter(|reason| !reason.is_empty()),
            closing: None,
        };
        self.rooms
            .store()
            .write(|tx| async move { Ok(tx.put(&ReportKey { at: Stamp::Commit }, record)?) })
            .await
    }

    /// The newest reports first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(&self, query: ReportsQuery) -> Result<Vec<Report>> {
        let limit = query.limit.clamp(1, PAGE_MAX);
        let mut scan = Scan::<ReportKey>::prefix(()).backward().limit(LOOKED_AT_MAX);
        if let Some(before) = query.before {
            scan = scan.before((Stamp::At(Position(before)),));
        }
        let rows = self.rooms.store().scan(&scan).await?;
        let wanted = rows.into_iter().filter(|r| query.with_closed || r.record.closing.is_none());
        let reports = wanted
            .take(limit)
            .map(|row| Report { number: number_of(&row.key), record: row.record });
        Ok(reports.collect())
    }

    /// One report.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get(&self, number: u64) -> Result<Report> {
        let record = self.rooms.store().get(&key(number)).await?.ok_or_else(no_such_report)?;
        Ok(Report { number, record })
    }

    /// Closes a report. Closing it again replaces the note.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::TooLarge`] for a long note.
    pub async fn close(&self, by: &UserId, number: u64, note: Option<String>) -> Result<()> {
        check_text(note.as_deref().unwrap_or_default())?;
        let at_ms = self.rooms.clock().now_ms();
        let closing = &ReportClosing { by: by.to_owned(), at_ms, note };
        let entry = &AuditRecord {
            at_ms,
            actor: Some(by.to_owned()),
            action: "report.close".to_owned(),
            subject: number.to_string(),
            details_json: "{}".to_owned(),
        };
        self.rooms
            .store()
            .write(|tx| async move {
                let key = key(number);
                let mut record = tx.get(&key).await?.ok_or_else(no_such_report)?;
                record.closing = Some(closing.clone());
                tx.put(&key, &record)?;
                audit::record(&tx, 0, entry)
            })
            .await
    }
}

/// A report as a sweep looks at it.
struct Kept {
    number: u64,
    reporter: OwnedUserId,
    is_closed: bool,
}

impl Reports {
    /// Removes what is more than [`KEPT_MAX`]: closed reports, the oldest first; then the oldest of
    /// whoever has reported most, so that one person's flood does not wash away what others say. How many
    /// were removed.
    ///
    /// # Errors
    /// Those of the store; what was removed until then stays removed.
    pub async fn sweep(&self, pause: Duration) -> Result<usize> {
        let store = self.rooms.store();
        let mut scan = Scan::<ReportKey>::prefix(()).limit(STEP);
        let mut kept = Vec::new();
        loop {
            let rows = store.scan(&scan).await?;
            let Some(last) = rows.last().map(|row| row.key.at) else { break };
            kept.extend(rows.into_iter().map(|row| Kept {
                number: number_of(&row.key),
                reporter: row.record.reporter,
                is_closed: row.record.closing.is_some(),
            }));
            scan = scan.after((last,));
            tokio::time::sleep(pause).await;
        }
        let surplus = surplus(kept, KEPT_MAX);
        for step in surplus.chunks(STEP) {
            let remove = |tx: Tx| async move {
                step.iter().for_each(|number| tx.delete(&key(*number)));
                Ok::<_, Error>(())
            };
            store.write(remove).await?;
            tokio::time::sleep(pause).await;
        }
        if !surplus.is_empty() {
            tracing::warn!(removed = surplus.len(), "too many reports: old ones were removed");
        }
        Ok(surplus.len())
    }
}

/// The numbers of the reports that go, of all that are kept, the oldest first.
fn surplus(kept: Vec<Kept>, max: usize) -> Vec<u64> {
    let count = kept.len().saturating_sub(max);
    let (closed, open): (Vec<Kept>, Vec<Kept>) = kept.into_iter().partition(|it| it.is_closed);
    let mut gone: Vec<u64> = closed.iter().map(|it| it.number).take(count).collect();
    let mut by_reporter: HashMap<OwnedUserId, VecDeque<u64>> = HashMap::new();
    for report in open {
        by_reporter.entry(report.reporter).or_default().push_back(report.number);
    }
    // Of those who have reported equally often, whose report is the oldest comes first.
    let mut heap: BinaryHeap<(usize, Reverse<VecDeque<u64>>)> =
        by_reporter.into_values().map(|numbers| (numbers.len(), Reverse(numbers))).collect();
    while gone.len() < count {
        let Some((_, Reverse(mut numbers))) = heap.pop() else { break };
        gone.extend(numbers.pop_front());
        heap.push((numbers.len(), Reverse(numbers)));
    }
    gone
}

const fn key(number: u64) -> ReportKey {
    ReportKey { at: Stamp::At(Position(number)) }
}

const fn number_of(key: &ReportKey) -> u64 {
    match key.at {
        Stamp::At(Position(number)) => number,
        Stamp::Commit => 0,
    }
}

fn no_such_report() -> Error {
    Error::not_found("There is no such report")
}

fn check_text(text: &str) -> Result<()> {
    if text.chars().count() <= TEXT_MAX {
        return Ok(());
    }
    Err(Error::TooLarge(format!("The text has at most {TEXT_MAX} characters")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(number: u64, reporter: &str, is_closed: bool) -> Kept {
        let reporter = UserId::parse(format!("@{reporter}:x")).unwrap();
        Kept { number, reporter, is_closed }
    }

    #[test]
    fn closed_reports_go_first_then_those_of_whoever_reports_most() {
        let all = || {
            let mut all = vec![kept(1, "a", false), kept(2, "b", true), kept(3, "b", false)];
            all.extend((4..10).map(|number| kept(number, "flood", false)));
            all.push(kept(10, "a", true));
            all
        };
        assert_eq!(surplus(all(), 10), [0; 0]);
        assert_eq!(surplus(all(), 9), [2]);
        assert_eq!(surplus(all(), 5), [2, 10, 4, 5, 6]);
        assert_eq!(surplus(all(), 2), [2, 10, 4, 5, 6, 7, 8, 1]);
    }

    #[tokio::test]
    async fn a_sweep_removes_what_is_too_much() {
        let server_name = ruma::owned_server_name!("x");
        let clock = crate::Clock::system();
        let rooms = Rooms::for_tests(crate::Store::in_memory(), clock, server_name).unwrap();
        let reports = Reports::new(rooms.clone(), History::new(rooms));
        let eve = UserId::parse("@eve:elsewhere.example").unwrap();
        for reporter in ["@a:x", "@flood:x"] {
            let reporter = UserId::parse(reporter).unwrap();
            reports.report_user(&reporter, &eve, "spam".to_owned()).await.unwrap();
        }
        let flood = UserId::parse("@flood:x").unwrap();
        let record = &ReportRecord {
            at_ms: 0,
            reporter: flood,
            subject: ReportSubject::User(eve),
            reason: None,
            closing: None,
        };
        let store = reports.rooms.store();
        for start in (1_000_000_u64..).step_by(5_000).take(4) {
            let fill = |tx: Tx| async move {
                for number in start..start + 5_000 {
                    tx.put(&key(number), record)?;
                }
                Ok::<_, Error>(())
            };
            store.write(fill).await.unwrap();
        }
        assert_eq!(reports.sweep(Duration::ZERO).await.unwrap(), 2);
        assert_eq!(reports.sweep(Duration::ZERO).await.unwrap(), 0);
        let all = ReportsQuery { with_closed: true, before: Some(1_000_000), limit: 10 };
        let first = reports.list(all).await.unwrap();
        assert!(first.iter().any(|report| report.record.reporter.as_str() == "@a:x"));
    }
}
