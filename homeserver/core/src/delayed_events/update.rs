//! What the owner of a delayed event does about it, and its sending.

use pli_schema::records::delayed::{DelayedEventKey, DelayedEventRecord};
use ruma::{MilliSecondsSinceUnixEpoch, OwnedEventId, UInt, UserId};
use serde_json::value::RawValue;

use super::{DelayedEvents, delete_indexes, no_such_event, outcome::Outcome, put};
use crate::{
    Error, Result,
    rooms::{NewMessage, NewState, Origin, Sending},
};

/// What is to be done about a delayed event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin to wait again.
    Restart,
    /// Send it now.
    Send,
    /// Never send it.
    Cancel,
}

impl DelayedEvents {
    /// Does something about a delayed event. The id is what allows it; if the caller is known, the event
    /// must be theirs as well.
    ///
    /// What is done already is done again without effect.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::DelayedEventFinalised`] if it has ended in another way; for
    /// [`Action::Send`] whatever refuses the event, which goes on waiting then.
    pub async fn update(
        &self,
        caller: Option<&UserId>,
        delay_id: &str,
        action: Action,
    ) -> Result<()> {
        let lane = match self.lane(delay_id) {
            Some(lane) => Some(lane.lock().await),
            None => None,
        };
        let record = self.record(delay_id).await?;
        if caller.is_some_and(|caller| *caller != record.user_id) {
            return Err(no_such_event());
        }
        if let Some(finalised) = &record.finalised {
            return match (action, finalised.event_id.is_some()) {
                (Action::Send, true) | (Action::Cancel, false) => Ok(()),
                (Action::Restart | Action::Cancel, true) => {
                    Err(Error::DelayedEventFinalised("The event has been sent".to_owned()))
                }
                (Action::Restart | Action::Send, false) => {
                    Err(Error::DelayedEventFinalised("The event has been cancelled".to_owned()))
                }
            };
        }
        match action {
            Action::Restart => self.restart(delay_id).await?,
            Action::Cancel => self.finalise(delay_id, Outcome::Cancelled).await?,
            Action::Send => {
                let event_id = self.send(delay_id, record).await?;
                self.finalise(delay_id, Outcome::Sent(event_id)).await?;
            }
        }
        drop(lane);
        self.wake.notify_one();
        Ok(())
    }

    async fn restart(&self, delay_id: &str) -> Result<()> {
        self.store()
            .write(|tx| async move {
                let key = DelayedEventKey { delay_id: delay_id.to_owned() };
                let mut record = tx.get(&key).await?.ok_or_else(no_such_event)?;
                delete_indexes(&tx, delay_id, &record);
                record.scheduled_at_ms = self.clock().now_ms();
                put(&tx, delay_id, &record)
            })
            .await
    }

    /// Sends the event of a record: once, however often this is called.
    pub(super) async fn send(
        &self,
        delay_id: &str,
        record: DelayedEventRecord,
    ) -> Result<OwnedEventId> {
        let content = RawValue::from_string(record.content)
            .map_err(|error| Error::bug(format!("stored content: {error}")))?;
        let ts = record.origin_server_ts_ms;
        let sending = Sending {
            origin: Some(Origin::of_delayed(delay_id)),
            origin_server_ts: ts.map(|ts| MilliSecondsSinceUnixEpoch(UInt::new_saturating(ts))),
            sticky_duration_ms: record.sticky_duration_ms,
        };
        let (sender, event_type) = (record.user_id, record.event_type);
        let sent = match record.state_key {
            Some(state_key) => {
                let new = NewState { sender, event_type, state_key, content };
                self.rooms.send_state_as(&record.room_id, new, sending).await?
            }
            None => {
                let new = NewMessage { sender, event_type: event_type.into(), content };
                self.rooms.send_message(&record.room_id, new, sending).await?
            }
        };
        Ok(sent.event_id)
    }
}
