//! What becomes of delayed events, kept for a while so that clients can ask.

use pli_schema::records::delayed::{
    DelayedEventKey, DelayedEventRecord, DelayedOfUserKey, FinalisedRecord,
};
use pli_store::{Scan, Tx};
use ruma::OwnedEventId;

use super::{DelayedEvents, delete_indexes, no_such_event, put, transaction_key};
use crate::{Error, Result};

/// For how long finalised events are kept: 7 days.
pub(super) const KEPT_MS: u64 = 7 * 24 * 3_600_000;
/// Finalised events of one user that are kept.
const KEPT_MAX: usize = 1_000;

/// How a delayed event ends.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Sent(OwnedEventId),
    Cancelled,
    Failed(String, String),
}

impl Outcome {
    /// The end of an event that was refused for good.
    pub(super) fn of_error(error: &Error) -> Self {
        let errcode = match error {
            Error::Forbidden(_) => "M_FORBIDDEN",
            Error::NotFound(_) => "M_NOT_FOUND",
            Error::BadJson(_) => "M_BAD_JSON",
            Error::InvalidParam(_) => "M_INVALID_PARAM",
            Error::TooLarge(_) => "M_TOO_LARGE",
            Error::LimitExceeded { .. } => "M_LIMIT_EXCEEDED",
            _ => "M_UNKNOWN",
        };
        let text = match error {
            Error::Bug(_) | Error::Store(_) => "Internal server error".to_owned(),
            other => other.to_string(),
        };
        Self::Failed(errcode.to_owned(), text)
    }
}

impl DelayedEvents {
    /// Notes the end of an event, unless it has ended already.
    pub(super) async fn finalise(&self, delay_id: &str, outcome: Outcome) -> Result<()> {
        let outcome = &outcome;
        self.store()
            .write(|tx| async move {
                let key = DelayedEventKey { delay_id: delay_id.to_owned() };
                let mut record = tx.get(&key).await?.ok_or_else(no_such_event)?;
                if record.finalised.is_some() {
                    return Ok(());
                }
                delete_indexes(&tx, delay_id, &record);
                let (event_id, error) = match outcome.clone() {
                    Outcome::Sent(event_id) => (Some(event_id), None),
                    Outcome::Cancelled => (None, None),
                    Outcome::Failed(errcode, text) => (None, Some((errcode, text))),
                };
                let at_ms = self.clock().now_ms();
                record.finalised = Some(FinalisedRecord { at_ms, event_id, error });
                put(&tx, delay_id, &record)?;
                forget_oldest(&tx, &record).await
            })
            .await
    }

    /// Forgets an event.
    pub(super) async fn forget(&self, delay_id: &str) -> Result<()> {
        self.store().write(|tx| async move { forget(&tx, delay_id).await }).await
    }
}

/// Keeps the finalised events of the user of a record within their bound.
async fn forget_oldest(tx: &Tx, record: &DelayedEventRecord) -> Result<()> {
    let finalised = Scan::<DelayedOfUserKey>::prefix((record.user_id.clone(), 1_u8));
    let rows = tx.scan(&finalised).await?;
    let surplus = rows.len().saturating_sub(KEPT_MAX);
    for row in rows.into_iter().take(surplus) {
        forget(tx, &row.key.delay_id).await?;
    }
    Ok(())
}

async fn forget(tx: &Tx, delay_id: &str) -> Result<()> {
    let key = DelayedEventKey { delay_id: delay_id.to_owned() };
    if let Some(record) = tx.get(&key).await? {
        delete_indexes(tx, delay_id, &record);
        if let Some(key) = transaction_key(&record) {
            tx.delete(&key);
        }
        tx.delete(&key);
    }
    Ok(())
}
