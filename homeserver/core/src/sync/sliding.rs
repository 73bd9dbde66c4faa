//! Simplified sliding sync
//! ([MSC4186](https://github.com/matrix-org/matrix-spec-proposals/pull/4186)): the client names the rooms
//! that it wants to see, by windows on the list of its rooms and by id, and gets what changed in those.
//!
//! What a client has of each room is kept per connection ([`connection`]). It moves on only when the
//! client comes back with the token of the answer in which the room was told, and an answer moves a room
//! on only if it tells it: no room is ever lost, and a request that is sent again gets the same again.

mod answer;
mod connection;
mod extension_rooms;
mod extensions;
mod gone;
mod lists;
mod request;
mod required;
mod room;
mod sheets;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashSet},
    pin::pin,
    time::Duration,
};

use pli_schema::Position;
use ruma::api::client::filter::FilterDefinition;

use self::answer::Answer;
pub use self::request::{
    Enabled, ExtensionConfigs, ListConfig, ListFilters, RoomConfig, RoomScope, SlidingBody,
    SlidingRequest, ThreadSubscriptionsConfig, ToDeviceConfig,
};
pub(super) use self::{connection::Connections, sheets::Sheets};
use super::{StateAfter, Sync, SyncRequest, classic::TIMEOUT_MAX, turn::Turn};
use crate::{Error, Result, token::SyncToken};

impl Sync {
    /// Answers a sliding sync, as JSON: at once if there is something, else when there is or the time
    /// is over.
    ///
    /// # Errors
    /// [`Error::UnknownPos`] for a token that is not known (any more): the client begins anew;
    /// [`Error::InvalidParam`] above the limits or for a malformed token of an extension.
    pub async fn sliding(&self, request: &SlidingRequest) -> Result<String> {
        let body = &request.body;
        body.check()?;
        let device = (request.user_id.clone(), request.device_id.clone());
        let conn_id = body.conn_id.as_deref().unwrap_or_default();
        let has_rooms = !body.lists.is_empty() || !body.room_subscriptions.is_empty();
        let pos = (request.pos.as_deref(), has_rooms);
        let connection = self.connections.open(&device, conn_id, pos).await?;
        let serial = self.checked_serial(&connection).await?;
        let inbox = self.confirmed_inbox(request).await?;
        let presence = &self.parts.presence;
        let syncing = presence.syncing(&device.0, &device.1, &request.set_presence);
        let _syncing = syncing.await?;
        let timeout = if serial > 0 { request.timeout.min(TIMEOUT_MAX) } else { Duration::ZERO };
        let listener = self.parts.notifier.listen(&request.user_id, &request.device_id);
        let mut over = pin!(tokio::time::sleep(timeout));
        loop {
            // Subscribe first, then look, then wait.
            let woken = listener.woken();
            let done = timeout.is_zero() || over.is_elapsed();
            let last = done || self.parts.stopping.is_cancelled();
            // Boxed, so that those who wait keep only what waiting needs.
            let turn = self.sliding_turn(request, &connection, (serial, inbox, last));
            if let Some(answer) = Box::pin(turn).await? {
                return Ok(answer);
            }
            tokio::select! {
                () = woken => {}
                () = over.as_mut() => {}
                () = self.parts.stopping.cancelled() => {}
            }
        }
    }

    /// The serial with which the client came back. A token of a future that was lost (the store was
    /// restored from a backup) is as good as none.
    async fn checked_serial(&self, connection: &connection::Shared) -> Result<u64> {
        let (at, serial) = {
            let connection = connection.lock().await;
            (connection.mark.at, connection.serial)
        };
        if at > self.parts.rooms.store().position() {
            return Err(Error::UnknownPos);
        }
        Ok(serial)
    }

    /// Deletes the messages that the client has; the place after them in the device's inbox.
    async fn confirmed_inbox(&self, request: &SlidingRequest) -> Result<Position> {
        let config = &request.body.extensions.to_device;
        let Some(since) = config.since.as_deref().filter(|_| config.enabled == Some(true)) else {
            return Ok(Position::ZERO);
        };
        let malformed = || Error::invalid_param("Malformed `since` token of to-device messages");
        let digits = since.bytes().all(|byte| byte.is_ascii_digit());
        let since = digits.then(|| since.parse().ok()).flatten().map(Position);
        let since = since.ok_or_else(malformed)?;
        if since > self.parts.rooms.store().position() {
            return Ok(Position::ZERO);
        }
        let (user_id, device_id) = (&request.user_id, &request.device_id);
        self.parts.encryption.delete_inbox_up_to(user_id, device_id, since).await?;
        Ok(since)
    }

    /// The answer at this moment; `None` if there is nothing in it and the client waits on.
    async fn sliding_turn(
        &self,
        request: &SlidingRequest,
        connection: &connection::Shared,
        (serial, inbox, last): (u64, Position, bool),
    ) -> Result<Option<String>> {
        let mut connection = connection.lock().await;
        if connection.serial != serial {
            // Another request of the client has gone on meanwhile: nobody reads this answer.
            return Err(Error::UnknownPos);
        }
        let ignored = self.parts.account_data.ignored_users(&request.user_id).await?;
        let typing = self.parts.typing.serial();
        let (now, rooms) = self.parts.notifier.sample(&request.user_id).await?;
        let mark = &connection.mark;
        let since = connection.goes_on().then_some(SyncToken {
            position: mark.at,
            inbox,
            typing: mark.typing,
            presence: 0,
        });
        let filter = FilterDefinition::default();
        let as_sync = SyncRequest {
            user_id: request.user_id.clone(),
            device_id: request.device_id.clone(),
            since: None,
            filter: None,
            full_state: false,
            timeout: Duration::ZERO,
            state_after: StateAfter::Stable,
            set_presence: request.set_presence.clone(),
        };
        let turn = Turn {
            sync: self,
            request: &as_sync,
            filter: &filter,
            ignored,
            since,
            now,
            typing,
            presence: 0,
            newcomers: parking_lot::Mutex::default(),
            typing_rooms: BTreeSet::new(),
            rooms,
        };
        let direct = self.direct_rooms(request).await?;
        let finished = Answer::new(&turn, request, &connection, &direct, inbox).finish().await?;
        if !finished.has_news && connection.goes_on() && !last {
            return Ok(None);
        }
        let mut rooms = finished.rooms;
        for sent in rooms.values_mut() {
            sent.required = connection.share(std::sync::Arc::clone(&sent.required));
        }
        let mut body = finished.body;
        body.string("pos", &connection.note(finished.mark, rooms));
        Ok(Some(body.finish()))
    }

    /// The rooms of `m.direct`.
    async fn direct_rooms(&self, request: &SlidingRequest) -> Result<HashSet<String>> {
        type Content = std::collections::BTreeMap<String, serde_json::Value>;
        let data = &self.parts.account_data;
        let content = match data.get(&request.user_id, None, "m.direct").await {
            Ok(content) => content,
            Err(Error::NotFound(_)) => return Ok(HashSet::new()),
            Err(error) => return Err(error),
        };
        let content: Content = serde_json::from_str(&content).unwrap_or_default();
        let rooms = content.into_values().filter_map(|rooms| match rooms {
            serde_json::Value::Array(rooms) => Some(rooms),
            _ => None,
        });
        Ok(rooms.flatten().filter_map(|room| room.as_str().map(str::to_owned)).collect())
    }
}
