//! `/sync` as of Matrix 1.x: one long poll for everything.

use std::{pin::pin, sync::Arc, time::Duration};

use parking_lot::Mutex;
use ruma::{
    DeviceId, OwnedDeviceId, OwnedUserId, UserId,
    api::client::{filter::FilterDefinition, sync::sync_events::v3::Filter},
    presence::PresenceState,
};
use tokio_util::sync::CancellationToken;

use super::{
    sent_members::SentMembers,
    sliding::{Connections, Sheets},
    turn::{Turn, typing_rooms},
};
use crate::{
    AccountData, Encryption, Error, Filters, History, Notifier, Presence, Push, Receipts, Result,
    Rooms, ThreadSubscriptions, Typing, token::SyncToken,
};

/// Longest time for which a sync waits.
pub(super) const TIMEOUT_MAX: Duration = Duration::from_secs(120);
/// How often a server that stops looks whether syncs are under way.
const STOP_LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a token of another process is waited for before it is taken for one of a lost future.
const FUTURE_WAIT: Duration = Duration::from_secs(1);

/// What [`Sync`] is made of.
#[derive(Clone, Debug)]
pub struct SyncParts {
    /// The rooms.
    pub rooms: Rooms,
    /// Who may see what of them.
    pub history: History,
    /// Inboxes, device lists and stocks of keys.
    pub encryption: Encryption,
    /// The notifier of these rooms.
    pub notifier: Notifier,
    /// Stored filters.
    pub filters: Filters,
    /// Account data.
    pub account_data: AccountData,
    /// Receipts.
    pub receipts: Receipts,
    /// Subscriptions to threads.
    pub thread_subscriptions: ThreadSubscriptions,
    /// Who types.
    pub typing: Typing,
    /// Who is there.
    pub presence: Presence,
    /// Push rules and unread counts.
    pub push: Push,
    /// The server is about to stop: those who wait are answered.
    pub stopping: CancellationToken,
}

/// Which state a sync gives (<https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync>,
/// `use_state_after`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StateAfter {
    /// `state`: that before the timeline.
    #[default]
    No,
    /// `state_after`: that after the timeline.
    Stable,
    /// The same under the name that MSC4222 gave it before it was accepted.
    Unstable,
}

/// A request for a sync.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    /// The user.
    pub user_id: OwnedUserId,
    /// The device.
    pub device_id: OwnedDeviceId,
    /// The token of the last answer.
    pub since: Option<String>,
    /// What to leave out.
    pub filter: Option<Filter>,
    /// The whole state of all rooms.
    pub full_state: bool,
    /// How long to wait for something.
    pub timeout: Duration,
    /// Which state.
    pub state_after: StateAfter,
    /// What the sync says of the user's presence.
    pub set_presence: PresenceState,
}

/// Answers syncs. Clones share everything.
#[derive(Clone, Debug)]
pub struct Sync {
    pub(super) parts: Arc<SyncParts>,
    pub(super) sent_members: SentMembers,
    pub(super) sheets: Sheets,
    pub(super) connections: Connections,
}

impl Sync {
    /// Syncs of these parts. They need [`Self::run`] to run.
    #[must_use]
    pub fn new(parts: SyncParts) -> Self {
        let connections = Connections::new(parts.rooms.clock().now_ms());
        let sheets = Sheets::new(parts.rooms.clone(), parts.notifier.clone());
        let (parts, sent_members) = (Arc::new(parts), SentMembers::default());
        Self { parts, sent_members, sheets, connections }
    }

    /// Follows the log and ends typing that has expired, until the server stops and nobody waits any
    /// more. Run it once per process.
    pub async fn run(self) {
        let SyncParts { notifier, presence, typing, stopping, .. } = &*self.parts;
        let over = async {
            stopping.cancelled().await;
            // Requests under way still need the feed.
            while notifier.is_listened_to() {
                tokio::time::sleep(STOP_LOOK_EVERY).await;
            }
        };
        tokio::select! {
            () = notifier.clone().run() => {}
            () = presence.clone().run() => {}
            () = typing.clone().run() => {}
            () = over => {}
        }
    }

    /// Answers a sync, as JSON: at once if there is something, else when there is or the time is over.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for a token that is not ours or a filter that is not there.
    pub async fn sync(&self, request: &SyncRequest) -> Result<String> {
        let since = request.since.as_deref().map(SyncToken::parse).transpose()?;
        let filter = self.filter(&request.user_id, request.filter.as_ref()).await?;
        let since = self.known(since).await?;
        if let Some(since) = since {
            // The device came back with this token: it has what was sent with it.
            let (user_id, device_id) = Self::device(request);
            self.parts.encryption.delete_inbox_up_to(user_id, device_id, since.inbox).await?;
        }
        let (user_id, device_id) = Self::device(request);
        let syncing = self.parts.presence.syncing(user_id, device_id, &request.set_presence);
        let _syncing = syncing.await?;
        let wait = since.is_some() && !request.full_state;
        let timeout = if wait { request.timeout.min(TIMEOUT_MAX) } else { Duration::ZERO };
        let listener = self.parts.notifier.listen(&request.user_id, &request.device_id);
        let mut over = pin!(tokio::time::sleep(timeout));
        loop {
            // Subscribe first, then look, then wait.
            let woken = listener.woken();
            // Boxed, so that those who wait keep only what waiting needs.
            let answer = Box::pin(self.answer(request, &filter, since)).await?;
            let done = timeout.is_zero() || over.is_elapsed();
            let answer = match answer {
                (answer, empty) if !empty || done || self.parts.stopping.is_cancelled() => answer,
                _ => {
                    tokio::select! {
                        () = woken => continue,
                        () = over.as_mut() => continue,
                        () = self.parts.stopping.cancelled() => continue,
                    }
                }
            };
            return Ok(answer);
        }
    }

    /// The answer at this moment, and whether there is nothing in it.
    async fn answer(
        &self,
        request: &SyncRequest,
        filter: &FilterDefinition,
        since: Option<SyncToken>,
    ) -> Result<(String, bool)> {
        let ignored = self.parts.account_data.ignored_users(&request.user_id).await?;
        // Before the log: what is typed later is told later.
        let typing = self.parts.typing.serial();
        let presence = self.parts.presence.serial();
        let (now, rooms) = self.parts.notifier.sample(&request.user_id).await?;
        let typing_rooms = typing_rooms(&self.parts.typing, since, typing, &rooms);
        let turn = Turn {
            sync: self,
            request,
            filter,
            ignored,
            since,
            now,
            typing,
            presence,
            typing_rooms,
            rooms,
            newcomers: Mutex::default(),
        };
        turn.answer().await
    }

    /// The definition of a filter.
    async fn filter(&self, user_id: &UserId, filter: Option<&Filter>) -> Result<FilterDefinition> {
        match filter {
            None => Ok(FilterDefinition::default()),
            Some(Filter::FilterDefinition(definition)) => Ok(definition.clone()),
            Some(Filter::FilterId(id)) if id.trim_start().starts_with('{') => {
                Err(Error::invalid_param("`filter` is not a filter"))
            }
            Some(Filter::FilterId(id)) => match self.parts.filters.get(user_id, id).await {
                Err(Error::NotFound(text)) => Err(Error::InvalidParam(text)),
                other => other,
            },
            Some(_) => Err(Error::invalid_param("`filter` is not a filter")),
        }
    }

    /// A token that this store can have given; one of a future that was lost (the store was restored
    /// from a backup) is as good as none. Another process may be a moment ahead.
    async fn known(&self, since: Option<SyncToken>) -> Result<Option<SyncToken>> {
        let Some(token) = since else {
            return Ok(None);
        };
        let ahead = token.position.max(token.inbox);
        if ahead <= self.parts.rooms.store().position() {
            return Ok(since);
        }
        match tokio::time::timeout(FUTURE_WAIT, self.parts.notifier.reached(ahead)).await {
            Ok(reached) => reached.map(|()| since),
            Err(_) => Ok(None),
        }
    }

    /// Who may see what of the rooms.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.parts.history
    }

    /// The account data that syncs tell.
    #[must_use]
    pub fn account_data(&self) -> &AccountData {
        &self.parts.account_data
    }

    /// The filters that syncs use.
    #[must_use]
    pub fn filters(&self) -> &Filters {
        &self.parts.filters
    }

    /// The presence that syncs tell and set.
    #[must_use]
    pub fn presence(&self) -> &Presence {
        &self.parts.presence
    }

    /// The receipts that syncs tell.
    #[must_use]
    pub fn receipts(&self) -> &Receipts {
        &self.parts.receipts
    }

    /// The subscriptions to threads that syncs tell.
    #[must_use]
    pub fn thread_subscriptions(&self) -> &ThreadSubscriptions {
        &self.parts.thread_subscriptions
    }

    /// The typing that syncs tell.
    #[must_use]
    pub fn typing(&self) -> &Typing {
        &self.parts.typing
    }

    /// The device that asks.
    pub(super) fn device(request: &SyncRequest) -> (&UserId, &DeviceId) {
        (&request.user_id, &request.device_id)
    }
}
