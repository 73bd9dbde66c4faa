//! From the queue of a server to the server: one transaction after the other.

use pli_schema::records::sending::{DestinationKey, DestinationRecord, PendingSend};
use ruma::{
    OwnedServerName,
    api::federation::transactions::{edu::Edu, send_transaction_message::v1},
    serde::Raw,
};
use serde_json::value::RawValue;

use super::{Sender, outbound::Outbound, peers::Lane};
use crate::{
    Error, MilliSeconds, Result,
    federation::{Bounds, RemoteError},
};

/// The first pause after a failure, and the longest one.
const PAUSE_MS: (u64, u64) = (1_000, 3_600_000);
/// The pause after the store failed.
const STORE_PAUSE_MS: u64 = 1_000;
/// Bytes of the last error that are kept.
const ERROR_BYTES_MAX: usize = 200;

/// How the task of a server ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// Nothing waits any more.
    Nothing,
    /// The server does not take transactions.
    Failed {
        /// When it is tried again.
        retry_at_ms: MilliSeconds,
    },
}

/// What a server said to a transaction.
enum Answer {
    Taken,
    /// It was there, and said no.
    Refused(RemoteError),
    Failed(RemoteError),
    /// This server speaks with it no more.
    Gone,
}

impl Sender {
    /// Sends what waits for a server, until nothing waits or it does not answer.
    pub(super) async fn deliver_all(&self, destination: &OwnedServerName, lane: &Lane) -> Outcome {
        match self.deliver(destination, lane).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::error!(%destination, %error, "sending to a server was interrupted");
                let now_ms = self.clock().now_ms();
                Outcome::Failed { retry_at_ms: now_ms.saturating_add(STORE_PAUSE_MS) }
            }
        }
    }

    async fn deliver(&self, destination: &OwnedServerName, lane: &Lane) -> Result<Outcome> {
        let key = DestinationKey { destination: destination.clone() };
        let mut record = self.store().get(&key).await?.unwrap_or_default();
        let place = (destination, lane);
        let mut next = match record.pending.clone() {
            Some(pending) => Some(self.again(destination, pending).await?),
            None => self.next(place, &mut record, None).await?,
        };
        while let Some(mut outbound) = next {
            match self.send(destination, &mut outbound).await? {
                Answer::Taken => {
                    let is_news = outbound.is_stored() || record.failures > 0;
                    if record.failures > 0 {
                        self.parts.devices.is_back(destination).await?;
                    }
                    self.note_success(destination, &mut record);
                    let acked = is_news.then_some(outbound.pending);
                    next = self.next(place, &mut record, acked).await?;
                }
                Answer::Refused(error) => {
                    let acked = refused(destination, &mut record, &outbound, &error);
                    next = self.next(place, &mut record, Some(acked)).await?;
                }
                Answer::Failed(error) => {
                    lane.edus.lock().put_back(outbound.taken);
                    return self.note_failure(destination, record, &error).await;
                }
                Answer::Gone => {
                    self.forget(destination).await?;
                    lane.queued.store(0, std::sync::atomic::Ordering::Release);
                    return Ok(Outcome::Nothing);
                }
            }
        }
        Ok(Outcome::Nothing)
    }

    async fn send(&self, destination: &OwnedServerName, outbound: &mut Outbound) -> Result<Answer> {
        if outbound.pdus.is_empty() && outbound.edus.is_empty() {
            // Everything in it was deleted meanwhile, or there was nothing to catch up on.
            return Ok(Answer::Taken);
        }
        let remote = self.parts.signed.remote();
        let own = remote.own().server_name().to_owned();
        let txn_id = outbound.pending.txn_id.as_str().into();
        let mut request = v1::Request::new(txn_id, own, self.clock().now());
        request.pdus = outbound.pdus.drain(..).map(raw).collect::<Result<_>>()?;
        let edus = outbound.edus.drain(..);
        request.edus =
            edus.map(|edu| raw(edu).map(Raw::<Edu>::from_json)).collect::<Result<_>>()?;
        let permit = self.requests.acquire().await;
        let permit = permit.map_err(|error| Error::bug(format!("places for requests: {error}")))?;
        let answer = remote.request(destination, request, Bounds::EVENTS).await;
        drop(permit);
        Ok(match answer {
            Ok(response) => {
                for (event_id, result) in response.pdus {
                    if let Err(error) = result {
                        tracing::info!(%destination, %event_id, error, "a server did not take an event");
                    }
                }
                Answer::Taken
            }
            // It took the transaction, and what it says of the events cannot be read.
            Err(RemoteError::Malformed(_)) => Answer::Taken,
            Err(RemoteError::NotAdmitted) => Answer::Gone,
            Err(error) if is_final(&error) => Answer::Refused(error),
            Err(error) => Answer::Failed(error),
        })
    }

    fn note_success(&self, destination: &OwnedServerName, record: &mut DestinationRecord) {
        if record.failures > 0 {
            tracing::info!(%destination, "a server takes transactions again");
        }
        let singly = record.singly.saturating_sub(1);
        let last_success_ms = self.clock().now_ms();
        *record = DestinationRecord { last_success_ms, singly, ..DestinationRecord::default() };
    }

    async fn note_failure(
        &self,
        destination: &OwnedServerName,
        mut record: DestinationRecord,
        error: &RemoteError,
    ) -> Result<Outcome> {
        let now_ms = self.clock().now_ms();
        if record.failures == 0 {
            tracing::info!(%destination, %error, "a server does not take transactions");
            record.failing_since_ms = now_ms;
        } else {
            tracing::debug!(%destination, failures = record.failures, %error, "nor did it again");
        }
        let pause_ms = self.pause_ms(record.failures).max(asked_pause_ms(error));
        record.failures = record.failures.saturating_add(1);
        record.retry_at_ms = now_ms.saturating_add(pause_ms);
        record.last_error = shortened(&error.to_string());
        self.put(destination, &record, &PendingSend::default()).await?;
        Ok(Outcome::Failed { retry_at_ms: record.retry_at_ms })
    }

    /// The pause after so many failures: doubled each time, and jittered.
    pub(in crate::federation) fn pause_ms(&self, failures: u32) -> u64 {
        let (first, longest) = PAUSE_MS;
        let full = first.saturating_mul(1 << failures.min(20)).min(longest);
        let mut byte = [0_u8];
        self.parts.random.fill(&mut byte);
        let [byte] = byte;
        full / 2 + full.saturating_mul(u64::from(byte)) / 510
    }
}

/// Whether the server has judged the transaction: sending it again changes nothing. Who cannot check our
/// signature now (401) may be able to later; what does not speak Matrix (a proxy) judges nothing.
fn is_final(error: &RemoteError) -> bool {
    match error {
        RemoteError::Request(_) => true,
        RemoteError::Status { status: 401 | 408 | 429, .. } => false,
        RemoteError::Status { status, errcode, .. } => {
            (400..500).contains(status) && !errcode.is_empty()
        }
        _ => false,
    }
}

/// The server has refused a transaction: its parts are sent one by one, and what it refuses alone is
/// dropped. What leaves the queues.
fn refused(
    destination: &OwnedServerName,
    record: &mut DestinationRecord,
    outbound: &Outbound,
    error: &RemoteError,
) -> PendingSend {
    record.last_error = shortened(&error.to_string());
    record.pending = None;
    let items = outbound.stored_items();
    if items > 1 {
        tracing::info!(%destination, %error, items, "a server refused a transaction: one by one");
        record.singly = u32::try_from(items).unwrap_or(u32::MAX);
        return PendingSend::default();
    }
    tracing::warn!(%destination, %error, txn_id = outbound.pending.txn_id, "dropped what a server refused");
    record.singly = record.singly.saturating_sub(1);
    outbound.pending.clone()
}

/// How long the server asks to be left alone.
fn asked_pause_ms(error: &RemoteError) -> u64 {
    match error {
        RemoteError::Status { status: 429, body, .. } => {
            let asked = body.get("retry_after_ms").and_then(serde_json::Value::as_u64);
            asked.unwrap_or_default().min(PAUSE_MS.1)
        }
        _ => 0,
    }
}

fn shortened(text: &str) -> String {
    let mut end = ERROR_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default().to_owned()
}

fn raw(json: String) -> Result<Box<RawValue>> {
    RawValue::from_string(json).map_err(|error| Error::bug(format!("what is sent: {error}")))
}
