//! Classic `/sync`, in turns with other `pli` on the same profile.

use std::time::{Duration, Instant};

use matrix_sdk::Client;
use matrix_sdk::config::{SyncSettings, SyncToken};
use matrix_sdk::ruma::UInt;
use matrix_sdk::ruma::api::client::filter::{
    FilterDefinition, LazyLoadOptions, RoomEventFilter, RoomFilter,
};
use matrix_sdk::ruma::api::client::sync::sync_events::v3::{Filter, Request, Response};
use matrix_sdk::store::{StateStoreDataKey, StateStoreDataValue};
use matrix_sdk::sync::SyncResponse;

use crate::connection::turn;
use crate::error::{CliError, Result};

/// How long the server may hold a request when nothing happens.
const LONG_POLL: Duration = Duration::from_secs(30);
/// An empty answer that came sooner than this was not a time-out: something small happened.
const QUIET: Duration = Duration::from_secs(1);
/// The most messages of a room in one answer.
const TIMELINE_LIMIT: u32 = 100;

/// A position in what the server has to tell, and the way forward.
pub struct Syncer {
    client: Client,
    since: Option<String>,
}

impl Syncer {
    /// Starts from a position.
    pub fn at(client: Client, since: String) -> Self {
        Self { client, since: Some(since) }
    }

    /// Starts where the profile stands; from nothing when it has never synced.
    ///
    /// # Errors
    /// When the local store cannot be read.
    pub async fn resume(client: &Client) -> Result<Self> {
        let value = client.state_store().get_kv_data(StateStoreDataKey::SyncToken).await;
        let value = value.map_err(|error| CliError::Other(error.to_string()))?;
        let since = value.and_then(StateStoreDataValue::into_sync_token);
        Ok(Self { client: client.clone(), since })
    }

    /// The position after the last answer.
    pub fn position(&self) -> Option<&str> {
        self.since.as_deref()
    }

    /// Takes what is there without waiting.
    ///
    /// # Errors
    /// Network errors, refusals, a store that stays busy.
    pub async fn catch_up(&mut self) -> Result<SyncResponse> {
        let _turn = turn(&self.client).await?;
        self.catch_up_in_turn().await
    }

    /// `catch_up` for a caller who already holds the turn.
    ///
    /// # Errors
    /// Network errors and refusals.
    pub async fn catch_up_in_turn(&mut self) -> Result<SyncResponse> {
        self.step(Duration::ZERO).await
    }

    /// Waits up to `timeout` for news while holding the turn.
    ///
    /// # Errors
    /// Network errors and refusals.
    pub async fn step(&mut self, timeout: Duration) -> Result<SyncResponse> {
        let token = match &self.since {
            Some(since) => SyncToken::Specific(since.clone()),
            None => SyncToken::NoToken,
        };
        let settings = SyncSettings::new().token(token).timeout(timeout).filter(filter());
        let response = self.client.sync_once(settings).await?;
        self.since = Some(response.next_batch.clone());
        Ok(response)
    }

    /// Waits up to `timeout` for news and looks at them without taking them in.
    ///
    /// # Errors
    /// Network errors and refusals.
    pub async fn peek(&self, timeout: Duration) -> Result<Response> {
        let mut request = Request::new();
        request.since.clone_from(&self.since);
        request.filter = Some(filter());
        request.timeout = Some(timeout);
        let config = self.client.request_config().timeout(timeout + LONG_POLL);
        Ok(self.client.send(request).with_request_config(config).await?)
    }

    /// Waits for news, up to half a minute, leaving the store to others meanwhile.
    ///
    /// The waiting request is thrown away: the server repeats its answer to the request that is
    /// made in turn, because the position has not moved.
    ///
    /// # Errors
    /// Network errors, refusals, a store that stays busy.
    pub async fn next(&mut self) -> Result<SyncResponse> {
        if self.since.is_some() {
            let started = Instant::now();
            let news = self.peek(LONG_POLL).await?;
            if is_quiet(&news) && started.elapsed() > QUIET {
                return Ok(SyncResponse { next_batch: news.next_batch, ..Default::default() });
            }
        }
        self.catch_up().await
    }
}

/// One turn of syncing from where the profile stands, for commands that act once.
///
/// # Errors
/// As `Syncer::catch_up_in_turn`.
pub async fn refresh(client: &Client) -> Result<SyncResponse> {
    let settings = SyncSettings::new().timeout(Duration::ZERO).filter(filter());
    Ok(client.sync_once(settings).await?)
}

fn is_quiet(news: &Response) -> bool {
    news.rooms.is_empty()
        && news.to_device.is_empty()
        && news.account_data.is_empty()
        && news.device_lists.is_empty()
}

/// Members on demand, a hundred messages a room, no presence.
fn filter() -> Filter {
    let mut timeline = RoomEventFilter::default();
    timeline.limit = Some(UInt::from(TIMELINE_LIMIT));
    timeline.lazy_load_options = LazyLoadOptions::Enabled { include_redundant_members: false };
    let mut state = RoomEventFilter::default();
    state.lazy_load_options = LazyLoadOptions::Enabled { include_redundant_members: false };
    let mut room = RoomFilter::default();
    room.timeline = timeline;
    room.state = state;
    let mut definition = FilterDefinition::default();
    definition.room = room;
    definition.presence = matrix_sdk::ruma::api::client::filter::Filter::ignore_all();
    Filter::FilterDefinition(definition)
}
