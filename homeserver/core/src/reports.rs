//! What people report to the administrators: rooms, events, users.
//!
//! Nothing in the answers tells whether a room or a user exists; what does not exist is not kept.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#reporting-content>.

use pli_schema::{
    Position, Stamp,
    records::{
        accounts::AccountKey,
        administration::{ReportClosing, ReportKey, ReportRecord, ReportSubject},
        policy::AuditRecord,
    },
};
use pli_store::Scan;
use ruma::{EventId, RoomId, UserId};

use crate::{Error, History, Result, Rooms, audit};

/// Characters of a reason or a note, at most.
const TEXT_MAX: usize = 4_000;
/// Reports in one page, at most.
const PAGE_MAX: usize = 500;
/// Reports looked at for one page, at most: closed ones lie between open ones.
const LOOKED_AT_MAX: usize = 20_000;

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
