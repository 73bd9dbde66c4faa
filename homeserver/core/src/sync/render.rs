//! Events as one answer shows them.

use std::{collections::HashSet, sync::Arc};

use ruma::OwnedUserId;

use super::SyncRequest;
use crate::{
    Error, History, Result,
    history::{Reader, RenderOptions, Viewer},
    rooms::StoredEvent,
};

/// Writes the events of one room for one answer.
pub(super) struct Renderer<'a> {
    pub(super) history: &'a History,
    pub(super) reader: &'a Reader,
    pub(super) request: &'a SyncRequest,
    /// As servers exchange them.
    pub(super) federation: bool,
}

impl Renderer<'_> {
    /// An event of the timeline, as JSON.
    pub(super) async fn event(&self, event: &StoredEvent) -> Result<String> {
        self.render(event, Some(self.reader), RenderOptions::SYNC).await
    }

    /// A state event outside the timeline, as JSON. The user's membership at the time of each is not
    /// worth the two lookups in its state.
    pub(super) async fn state_event(&self, event: &StoredEvent) -> Result<String> {
        self.render(event, None, RenderOptions { room_id: false, relations: false }).await
    }

    async fn render(
        &self,
        event: &StoredEvent,
        reader: Option<&Reader>,
        options: RenderOptions,
    ) -> Result<String> {
        if self.federation {
            return Ok(event.record.json.clone());
        }
        let viewer =
            Viewer { user_id: &self.request.user_id, device_id: Some(&self.request.device_id) };
        self.history.render_text(event, viewer, reader, options).await
    }
}

/// Whether an event is one of those that a user does not want to see: a message of someone ignored.
pub(super) fn is_ignored(ignored: &Arc<HashSet<OwnedUserId>>, event: &StoredEvent) -> Result<bool> {
    Ok(!ignored.is_empty()
        && event.record.state_key.is_none()
        && ignored.contains(&event.pdu()?.sender))
}

/// The stripped form of a state event, as JSON.
pub(super) fn stripped(event: &StoredEvent) -> Result<String> {
    pli_federation::event_format::stripped_state_event(&event.record.json)
        .map_err(|error| Error::bug(format!("stored event {}: {error}", event.record.event_id)))
}
