//! What one transaction says, and the events in it.

use std::collections::BTreeMap;

use pli_federation::canonical_json::quote;
use pli_schema::{
    Position,
    records::{
        appservices::AppservicePlace,
        rooms::{RoomActivityKey, TimelineKey},
    },
};
use pli_store::Scan;
use ruma::{OwnedDeviceId, OwnedUserId};

use super::Follower;
use crate::{
    Result,
    history::{RenderOptions, Viewer},
    json::{self, Object},
    rooms::StoredEvent,
};

/// Events of one transaction at most.
const EVENTS_MAX: usize = 100;
/// Bytes of events after which a transaction is full.
const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// Commits looked at for one transaction.
const COMMITS_MAX: usize = 200;

/// What one transaction says.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) events: Vec<String>,
    pub(super) ephemeral: Vec<String>,
    pub(super) to_device: Vec<String>,
    /// The inboxes that `to_device` empties up to a position.
    pub(super) inboxes: Vec<(OwnedUserId, OwnedDeviceId, Position)>,
    /// One-time key counts and unused fallback keys by user and device, as JSON.
    pub(super) stocks: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, (String, String)>>,
    pub(super) changed: Vec<OwnedUserId>,
    pub(super) left: Vec<OwnedUserId>,
    /// Where the service is once it has this.
    pub(super) then: AppservicePlace,
    /// There is more to look at.
    pub(super) is_behind: bool,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.ephemeral.is_empty()
            && self.to_device.is_empty()
            && self.stocks.is_empty()
            && self.changed.is_empty()
            && self.left.is_empty()
    }

    /// The body of the request.
    pub(super) fn body(&self) -> String {
        let mut body = Object::new();
        body.raw("events", &json::array(&self.events));
        if !self.ephemeral.is_empty() {
            let ephemeral = json::array(&self.ephemeral);
            body.raw("ephemeral", &ephemeral);
            body.raw("de.sorunome.msc2409.ephemeral", &ephemeral);
        }
        if !self.to_device.is_empty() {
            body.raw("de.sorunome.msc2409.to_device", &json::array(&self.to_device));
        }
        if !self.changed.is_empty() || !self.left.is_empty() {
            let mut lists = Object::new();
            lists.raw("changed", &users(&self.changed)).raw("left", &users(&self.left));
            let lists = lists.finish();
            body.raw("org.matrix.msc3202.device_lists", &lists);
        }
        if !self.stocks.is_empty() {
            let counts = self.by_device(|(counts, _)| counts);
            body.raw("org.matrix.msc3202.device_one_time_keys_count", &counts);
            // As older services spell it.
            body.raw("org.matrix.msc3202.device_one_time_key_counts", &counts);
            let unused = self.by_device(|(_, unused)| unused);
            body.raw("org.matrix.msc3202.device_unused_fallback_key_types", &unused);
        }
        body.finish()
    }

    fn by_device(&self, of: impl Fn(&(String, String)) -> &String) -> String {
        let mut by_user = Object::new();
        for (user_id, devices) in &self.stocks {
            let mut by_device = Object::new();
            for (device_id, stock) in devices {
                by_device.raw(device_id.as_str(), of(stock));
            }
            by_user.raw(user_id.as_str(), &by_device.finish());
        }
        by_user.finish()
    }
}

fn users(users: &[OwnedUserId]) -> String {
    let users: Vec<String> = users.iter().map(|user_id| quote(user_id.as_str())).collect();
    json::array(&users)
}

impl Follower {
    /// The events after the place of the service that concern it, and the place that they reach.
    pub(super) async fn events(&mut self) -> Result<Batch> {
        let from = self.progress.place;
        let end = self.all.store().position();
        let range = Scan::<RoomActivityKey>::prefix(()).after((from.position,)).up_to((end,));
        let rows = self.all.store().scan(&range.limit(COMMITS_MAX)).await?;
        let cut = rows.len() == COMMITS_MAX;
        let mut batch = Batch { then: from, is_behind: cut, ..Batch::default() };
        let (mut bytes, mut seen, mut commit) = (0_usize, 0_u32, None);
        for row in rows {
            let at = row.key.at.position().unwrap_or_default();
            if commit != Some(at) {
                (commit, seen) = (Some(at), 0);
            }
            let before = Position(at.0.saturating_sub(1));
            let entries = Scan::<TimelineKey>::prefix((row.key.room, at));
            for entry in self.all.store().scan(&entries).await? {
                let told = before <= from.position && seen < from.skip;
                if !told {
                    if batch.events.len() >= EVENTS_MAX || bytes >= EVENT_BYTES_MAX {
                        batch.then = AppservicePlace { position: before, skip: seen };
                        batch.is_behind = true;
                        return Ok(batch);
                    }
                    let event = self.all.parts.rooms.existing_event(entry.record.event).await?;
                    if self.interest.wants(&event, at).await? {
                        let json = self.render(&event).await?;
                        bytes = bytes.saturating_add(json.len());
                        batch.events.push(json);
                    }
                }
                seen = seen.saturating_add(1);
            }
            // More rooms of this commit may follow.
            batch.then = AppservicePlace { position: before, skip: seen };
        }
        if !cut {
            batch.then = AppservicePlace { position: end, skip: 0 };
        }
        Ok(batch)
    }

    /// An event as the service sees it.
    async fn render(&self, event: &StoredEvent) -> Result<String> {
        let viewer = Viewer { user_id: &self.service.sender, device_id: None };
        let json = self.all.history.render(event, viewer, None, RenderOptions::STATE).await?;
        Ok(Box::<str>::from(json).into())
    }
}
