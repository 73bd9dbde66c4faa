//! From the queues to the gateways. Each pusher has a worker of its own while something waits, so that a
//! gateway that does not answer holds up nobody else.
//!
//! Spec: <https://spec.matrix.org/v1.19/push-gateway-api/>

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use pli_schema::{
    Position, Topic,
    records::push::{PushQueueKey, PushQueueRecord, PusherKey, PusherRecord},
};
use pli_store::{Committed, Scan};
use ruma::{
    OwnedRoomAliasId, SecondsSinceUnixEpoch, UInt,
    api::{
        client::push::PusherKind,
        push_gateway::send_event_notification::v1::{
            Device, Notification, NotificationCounts, NotificationPriority,
        },
    },
    push::{Action, HttpPusherData, PushFormat},
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{Push, pushers, queue::PusherIndex};
use crate::{Error, Result, outgoing::OutgoingError, rooms::StoredEvent};

/// Notifications that nobody could deliver for so long are dropped: 24 hours.
const LIFETIME_MS: u64 = 24 * 3_600_000;
/// The first pause after a failure, and the longest one.
const PAUSE_MS: (u64, u64) = (1_000, 600_000);
/// Largest answer of a gateway.
const ANSWER_MAX_BYTES: usize = 65_536;
/// After so many commits without notifications the place in the log is written down.
const WATERMARK_EVERY: u64 = 10_000;
/// The pause after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What a gateway made of a notification.
enum Outcome {
    Delivered,
    /// The gateway knows the push key no more.
    Rejected,
    Failed,
}

#[derive(Serialize)]
struct Body {
    notification: Notification,
}

#[derive(Deserialize)]
struct Answer {
    rejected: Vec<String>,
}

impl Push {
    /// Pushes until `stop` is cancelled. Whatever is not delivered by then is in the store.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.run_until(&stop).await {
                tracing::error!(%error, "pushing was interrupted");
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(STORE_PAUSE) => {}
                }
            }
        }
    }

    async fn run_until(&self, stop: &CancellationToken) -> Result<()> {
        // Subscribe, then sample, then wait.
        let mut feed = self.store().subscribe();
        let mut index = self.load_index().await?;
        let mut at = self.push_watermark().await?;
        let mut written_down = at;
        let mut workers = Workers::default();
        for pusher in self.waiting_pushers().await? {
            workers.wake(self, pusher);
        }
        loop {
            let (to, woken) = self.queue_step(&index, at).await?;
            if !woken.is_empty() {
                written_down = to;
            } else if to.0.saturating_sub(written_down.0) >= WATERMARK_EVERY {
                self.put_rows(&[], to).await?;
                written_down = to;
            }
            for pusher in woken {
                workers.wake(self, pusher);
            }
            let behind = to < index.known_to && to > at;
            at = to;
            if behind {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {
                    self.put_rows(&[], at).await?;
                    return Ok(());
                }
                Some(done) = workers.tasks.join_next() => {
                    if let Ok(pusher) = done {
                        workers.finished(self, &pusher);
                    }
                }
                received = feed.recv() => self.hear(received, &mut feed, &mut index).await?,
            }
        }
    }

    /// Takes in what the feed says, all of it that is there already. Only commits that were heard are
    /// looked at afterwards: for later ones the index may not know who is in the room.
    async fn hear(
        &self,
        received: Result<Committed, RecvError>,
        feed: &mut Receiver<Committed>,
        index: &mut PusherIndex,
    ) -> Result<()> {
        let mut next = Some(received);
        let mut users = HashSet::new();
        let mut heard = index.known_to;
        while let Some(received) = next {
            match received {
                Ok(committed) => {
                    heard = heard.max(committed.position);
                    users.extend(committed.topics.iter().filter_map(|topic| match topic {
                        Topic::User(user_id) => Some(user_id.clone()),
                        _ => None,
                    }));
                }
                Err(RecvError::Lagged(_)) => {
                    *index = self.load_index().await?;
                    heard = heard.max(index.known_to);
                    users.clear();
                }
                Err(RecvError::Closed) => return Err(pli_store::StoreError::Closed.into()),
            }
            next = feed.try_recv().ok().map(Ok);
        }
        for user_id in users {
            self.refresh_index(index, &user_id).await?;
        }
        index.known_to = heard;
        Ok(())
    }

    /// The pushers for which something waits.
    async fn waiting_pushers(&self) -> Result<Vec<PusherKey>> {
        let mut waiting = Vec::new();
        let mut range = Scan::<PushQueueKey>::prefix(()).limit(1);
        while let Some(row) = self.store().scan(&range).await?.into_iter().next() {
            let PushQueueKey { user_id, app_id, pushkey, .. } = row.key;
            range = range.after((user_id.clone(), app_id.clone(), pushkey.clone()));
            waiting.push(PusherKey { user_id, app_id, pushkey });
        }
        Ok(waiting)
    }

    /// Delivers what waits for a pusher, in order, until nothing waits.
    async fn deliver_all(&self, pusher: &PusherKey) -> Result<()> {
        let PusherKey { user_id, app_id, pushkey } = pusher.clone();
        let queue = Scan::<PushQueueKey>::prefix((user_id, app_id, pushkey)).limit(1);
        let mut failures = 0;
        while let Some(row) = self.store().scan(&queue).await?.into_iter().next() {
            let Some(record) = self.store().get(pusher).await? else {
                return self.drop_queued(&row.key).await;
            };
            let age_ms = self.clock().now_ms().saturating_sub(row.record.at_ms);
            let outcome = if age_ms > LIFETIME_MS {
                Outcome::Delivered
            } else {
                self.deliver(pusher, &record, &row.record, (row.key.at, row.key.index)).await?
            };
            match outcome {
                Outcome::Delivered => {
                    failures = 0;
                    self.drop_queued(&row.key).await?;
                }
                Outcome::Rejected => return self.delete_pusher(pusher).await,
                Outcome::Failed => {
                    tokio::time::sleep(self.pause(failures)).await;
                    failures = failures.saturating_add(1);
                }
            }
        }
        Ok(())
    }

    /// The pause after so many failures: doubled each time, and jittered.
    fn pause(&self, failures: u32) -> Duration {
        let (first, longest) = PAUSE_MS;
        let full = first.saturating_mul(1 << failures.min(20)).min(longest);
        let mut byte = [0_u8];
        self.random.fill(&mut byte);
        let [byte] = byte;
        Duration::from_millis(full / 2 + full.saturating_mul(u64::from(byte)) / 510)
    }

    async fn drop_queued(&self, key: &PushQueueKey) -> Result<()> {
        self.store()
            .write(|tx| async move {
                tx.delete(key);
                Ok(())
            })
            .await
    }

    async fn deliver(
        &self,
        key: &PusherKey,
        pusher: &PusherRecord,
        queued: &PushQueueRecord,
        place: (Position, u32),
    ) -> Result<Outcome> {
        let PusherKind::Http(data) = pushers::parse(pusher)?.kind else {
            return Ok(Outcome::Rejected);
        };
        let Ok(url) = Url::parse(&data.url) else {
            return Ok(Outcome::Rejected);
        };
        let event = self.rooms.event(queued.event).await?;
        let event = event.filter(|event| event.record.redacted_because.is_none());
        let Some(event) = event else { return Ok(Outcome::Delivered) };
        if self.has_read(&key.user_id, queued.room, &event, place).await? {
            return Ok(Outcome::Delivered);
        }
        let notification = self.notification(key, pusher, data, queued, &event).await?;
        let body = serde_json::to_vec(&Body { notification })
            .map_err(|error| Error::bug(format!("notification: {error}")))?;
        let answer = match self.outgoing.post_json(&url, body, ANSWER_MAX_BYTES).await {
            Ok(answer) => answer,
            // A configuration that changed: the gateway may not be reached any more.
            Err(error @ OutgoingError::Refused(_)) => {
                tracing::warn!(user_id = %key.user_id, %error, "a pusher's gateway is refused");
                return Ok(Outcome::Delivered);
            }
            Err(error) => {
                tracing::debug!(user_id = %key.user_id, %error, "a gateway did not take a notification");
                return Ok(Outcome::Failed);
            }
        };
        Ok(match serde_json::from_slice::<Answer>(&answer) {
            Ok(answer) if answer.rejected.contains(&key.pushkey) => Outcome::Rejected,
            Ok(_) => Outcome::Delivered,
            Err(_) => Outcome::Failed,
        })
    }

    async fn notification(
        &self,
        key: &PusherKey,
        pusher: &PusherRecord,
        data: HttpPusherData,
        queued: &PushQueueRecord,
        event: &StoredEvent,
    ) -> Result<Notification> {
        let actions: Vec<Action> = serde_json::from_str(&queued.actions)
            .map_err(|error| Error::bug(format!("queued push actions: {error}")))?;
        let id_only = data.format == Some(PushFormat::EventIdOnly);
        let mut device = Device::new(key.app_id.clone(), key.pushkey.clone());
        device.pushkey_ts = Some(SecondsSinceUnixEpoch(UInt::new_saturating(pusher.set_at_s)));
        device.data = data.into();
        let urgent = actions.iter().any(|action| action.is_highlight() || action.sound().is_some());
        if !id_only {
            let tweaks = actions.into_iter().filter_map(|action| match action {
                Action::SetTweak(tweak) => Some(tweak),
                _ => None,
            });
            device.tweaks = tweaks.collect();
        }
        let mut out = Notification::new(vec![device]);
        out.event_id = Some(event.record.event_id.clone());
        out.room_id = Some(queued.room_id.clone());
        let unread = UInt::new_saturating(self.badge(&key.user_id).await?);
        out.counts = NotificationCounts::new(unread, UInt::MIN);
        let pdu = event.pdu()?;
        let encrypted = pdu.event_type.to_string() == "m.room.encrypted";
        if !urgent && !encrypted {
            out.prio = NotificationPriority::Low;
        }
        if !id_only {
            out.event_type = Some(pdu.event_type.clone());
            out.content = Some(pdu.content.clone());
            out.user_is_target = pdu.state_key.as_deref() == Some(key.user_id.as_str());
            let sender = self.rooms.member(queued.room, &pdu.sender).await?;
            out.sender_display_name = sender.and_then(|member| member.display_name);
            out.sender = Some(pdu.sender.clone());
            self.name_room(&mut out, queued).await?;
        }
        Ok(out)
    }

    async fn name_room(&self, out: &mut Notification, queued: &PushQueueRecord) -> Result<()> {
        #[derive(Deserialize)]
        struct Name {
            name: String,
        }
        #[derive(Deserialize)]
        struct Alias {
            alias: OwnedRoomAliasId,
        }
        let name: Option<Name> = self.rooms.current_content(queued.room, "m.room.name").await?;
        out.room_name = name.map(|content| content.name);
        let alias: Option<Alias> =
            self.rooms.current_content(queued.room, "m.room.canonical_alias").await?;
        out.room_alias = alias.map(|content| content.alias);
        Ok(())
    }
}

/// The workers: one per pusher for which something waits.
#[derive(Debug, Default)]
struct Workers {
    tasks: JoinSet<PusherKey>,
    /// Those at work; `true` if something new came meanwhile.
    busy: HashMap<PusherKey, bool>,
}

impl Workers {
    fn wake(&mut self, push: &Push, pusher: PusherKey) {
        if let Some(again) = self.busy.get_mut(&pusher) {
            *again = true;
            return;
        }
        self.busy.insert(pusher.clone(), false);
        let push = push.clone();
        self.tasks.spawn(async move {
            while let Err(error) = push.deliver_all(&pusher).await {
                tracing::error!(%error, "delivering notifications failed");
                tokio::time::sleep(STORE_PAUSE).await;
            }
            pusher
        });
    }

    fn finished(&mut self, push: &Push, pusher: &PusherKey) {
        if self.busy.remove(pusher) == Some(true) {
            self.wake(push, pusher.clone());
        }
    }
}
