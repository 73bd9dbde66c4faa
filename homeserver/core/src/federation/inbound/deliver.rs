//! Events on their way into one room, in order.

use std::{sync::Arc, time::Duration};

use pli_federation::event_format::Pdu;
use ruma::{OwnedEventId, ServerName};

use super::Inbound;
use crate::{
    Error, Result,
    rooms::{Missing, Room, Verdict},
};

/// How long the sender waits for a room that is busy; then the events are written down for later.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);

impl Inbound {
    /// Takes checked events of a room in their order: each is in the store or waits there when this
    /// returns, or there is a reason why not.
    pub(super) async fn deliver(
        &self,
        room: &Arc<Room>,
        origin: &ServerName,
        pdus: Vec<Arc<Pdu>>,
    ) -> Result<Vec<(OwnedEventId, Result<(), String>)>> {
        if pdus.is_empty() {
            return Ok(Vec::new());
        }
        let turn = tokio::time::timeout(TURN_TIMEOUT, self.in_rooms.take(room.number)).await;
        let Ok(Some(turn)) = turn else {
            let outcomes = self.put_waiting(room, origin, &pdus).await?;
            self.catch_up_soon(room);
            return Ok(outcomes);
        };
        let (mut outcomes, mut early, mut taken) = (Vec::new(), Vec::new(), Vec::new());
        for (pdu, verdict) in pdus.iter().zip(self.accept_each(room, &pdus).await?) {
            match verdict {
                Ok(Ok(verdict)) => {
                    if verdict == Verdict::Accepted {
                        taken.push(Arc::clone(pdu));
                    }
                    outcomes.push((pdu.event_id.clone(), outcome(room, pdu, verdict)));
                }
                Ok(Err(missing)) => {
                    tracing::debug!(event = %pdu.event_id, ?missing, "an event has to wait");
                    early.push(Arc::clone(pdu));
                }
                Err(error) => outcomes.push((pdu.event_id.clone(), Err(error))),
            }
        }
        outcomes.extend(self.put_waiting(room, origin, &early).await?);
        drop(turn);
        self.signed.note_names(&taken).await;
        if !early.is_empty() || self.has_waiting(room.number).await? {
            self.catch_up_soon(room);
        }
        Ok(outcomes)
    }

    /// Takes events in one transaction, or each in its own if that fails: one that breaks something must
    /// not keep the others out. The error is a text for the sender.
    pub(super) async fn accept_each(
        &self,
        room: &Room,
        pdus: &[Arc<Pdu>],
    ) -> Result<Vec<Result<Result<Verdict, Missing>, String>>> {
        match self.rooms.accept(room.number, pdus).await {
            Ok(verdicts) => return Ok(verdicts.into_iter().map(Ok).collect()),
            Err(Error::Store(error)) => return Err(Error::Store(error)),
            Err(error) => {
                tracing::warn!(room = %room.id, %error, "events are taken one by one");
            }
        }
        let mut verdicts = Vec::with_capacity(pdus.len());
        for pdu in pdus {
            match self.rooms.accept(room.number, std::slice::from_ref(pdu)).await {
                Ok(mut verdict) => {
                    let verdict = verdict.pop();
                    verdicts.push(verdict.ok_or_else(|| "The event was not judged".to_owned()));
                }
                Err(Error::Store(error)) => return Err(Error::Store(error)),
                Err(error) => {
                    tracing::error!(room = %room.id, event = %pdu.event_id, %error, "not taken");
                    verdicts.push(Err("The event could not be taken".to_owned()));
                }
            }
        }
        Ok(verdicts)
    }
}

/// What the sender is told.
fn outcome(room: &Room, pdu: &Pdu, verdict: Verdict) -> Result<(), String> {
    match verdict {
        Verdict::Known | Verdict::Accepted => Ok(()),
        Verdict::SoftFailed(reason) => {
            tracing::info!(room = %room.id, event = %pdu.event_id, reason, "soft-failed");
            Ok(())
        }
        Verdict::Rejected(reason) => {
            tracing::info!(room = %room.id, event = %pdu.event_id, reason, "rejected");
            Err(reason)
        }
    }
}
