//! To-device messages for the devices of a service (MSC4203), whose devices changed, and how many keys
//! its devices have (MSC3202).

use std::collections::BTreeSet;

use pli_federation::canonical_json::quote;
use pli_schema::{
    Position, RoomNumber,
    records::{
        encryption::{DeviceListChangeKey, SharingChangeKey, ToDeviceKey},
        rooms::Membership,
    },
};
use pli_store::Scan;
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};

use super::{Follower, batch::Batch};
use crate::{
    Result,
    json::{self, Object},
};

/// Messages of one transaction at most.
const MESSAGES_MAX: usize = 100;
/// Devices whose keys one transaction counts.
const DEVICES_MAX: usize = 100;

impl Follower {
    /// What the devices of the service are sent, and how many keys they have. Only for users that nobody
    /// else can be: the messages of people are for their own clients.
    pub(super) async fn add_devices(&mut self, batch: &mut Batch, to: Position) -> Result<()> {
        let mut devices = std::mem::take(&mut self.hints.devices);
        // A device is not told of by the feed after a restart, but its messages are in the store.
        let known: BTreeSet<_> = devices.clone();
        if self.hints.all && self.service.wants_ephemeral {
            devices.extend(self.waiting_devices().await?);
        }
        for (user_id, device_id) in devices {
            if batch.to_device.len() >= MESSAGES_MAX || batch.stocks.len() >= DEVICES_MAX {
                self.hints.devices.insert((user_id, device_id));
                batch.is_behind = true;
                continue;
            }
            if self.service.wants_ephemeral {
                self.add_messages(batch, (&user_id, &device_id), to).await?;
            }
            if self.service.wants_device_lists
                && known.contains(&(user_id.clone(), device_id.clone()))
            {
                let stock = self.stock(&user_id, &device_id).await?;
                batch.stocks.entry(user_id).or_default().insert(device_id, stock);
            }
        }
        Ok(())
    }

    /// The devices of the service for which messages wait.
    async fn waiting_devices(&self) -> Result<Vec<(OwnedUserId, OwnedDeviceId)>> {
        let mut waiting = Vec::new();
        let mut range = Scan::<ToDeviceKey>::prefix(()).limit(1);
        while let Some(row) = self.all.store().scan(&range).await?.into_iter().next() {
            let ToDeviceKey { user_id, device_id, .. } = row.key;
            range = range.after((user_id.clone(), device_id.clone()));
            if self.service.owns_user(&user_id) {
                waiting.push((user_id, device_id));
            }
        }
        Ok(waiting)
    }

    async fn add_messages(
        &mut self,
        batch: &mut Batch,
        (user_id, device_id): (&OwnedUserId, &OwnedDeviceId),
        to: Position,
    ) -> Result<()> {
        let encryption = &self.all.parts.encryption;
        let device = (&**user_id, &**device_id);
        let inbox = encryption.inbox(device, Position::ZERO, to, MESSAGES_MAX).await?;
        if inbox.events.is_empty() {
            return Ok(());
        }
        for event in &inbox.events {
            let json = event.json().get();
            let rest = json.strip_prefix('{').unwrap_or(json);
            let (user, device) = (quote(user_id.as_str()), quote(device_id.as_str()));
            batch
                .to_device
                .push(format!("{{\"to_user_id\":{user},\"to_device_id\":{device},{rest}"));
        }
        batch.inboxes.push((user_id.clone(), device_id.clone(), inbox.next));
        if inbox.more {
            self.hints.devices.insert((user_id.clone(), device_id.clone()));
            batch.is_behind = true;
        }
        Ok(())
    }

    /// One-time key counts and unused fallback keys of a device, as JSON.
    async fn stock(&self, user_id: &UserId, device_id: &DeviceId) -> Result<(String, String)> {
        let encryption = &self.all.parts.encryption;
        let mut counts = Object::new();
        for (algorithm, count) in encryption.one_time_key_counts(user_id, device_id).await? {
            counts.raw(algorithm.as_str(), &count.to_string());
        }
        let unused = encryption.unused_fallback_key_types(user_id, device_id).await?;
        let unused: Vec<String> = unused.iter().map(|name| quote(name.as_str())).collect();
        Ok((counts.finish(), json::array(&unused)))
    }

    /// The users whose devices the service must ask for again, and those that no longer concern it.
    pub(super) async fn add_device_lists(
        &mut self,
        batch: &mut Batch,
        from: Position,
        to: Position,
    ) -> Result<()> {
        let changes = Scan::<DeviceListChangeKey>::prefix(()).after((from,)).up_to((to,));
        let sharing = Scan::<SharingChangeKey>::prefix(()).after((from,)).up_to((to,));
        let (changes, sharing) =
            (self.all.store().scan(&changes).await?, self.all.store().scan(&sharing).await?);
        let (mut changed, mut left) = (BTreeSet::new(), BTreeSet::new());
        for row in changes {
            if self.concerns(&row.key.user_id).await? {
                changed.insert(row.key.user_id);
            }
        }
        for row in sharing {
            let SharingChangeKey { room, user_id, .. } = row.key;
            if self.service.covers_user(&user_id) {
                self.add_members(room, row.record, &mut changed, &mut left).await?;
            } else if self.interest.wants_room(room).await? {
                if row.record {
                    changed.insert(user_id)
                } else {
                    left.insert(user_id)
                };
            }
        }
        for user_id in left {
            if !self.concerns(&user_id).await? {
                changed.remove(&user_id);
                batch.left.push(user_id);
            }
        }
        batch.changed.extend(changed);
        Ok(())
    }

    /// A user of the service has come into a room or left it: that is news about all its members.
    async fn add_members(
        &self,
        room: RoomNumber,
        has_come: bool,
        changed: &mut BTreeSet<OwnedUserId>,
        left: &mut BTreeSet<OwnedUserId>,
    ) -> Result<()> {
        let members = self.all.parts.rooms.members(room, Some(Membership::Join)).await?;
        let list = if has_come { changed } else { left };
        list.extend(members.into_iter().map(|(user_id, _)| user_id));
        Ok(())
    }

    /// Whether a user is of the service or shares a room with it.
    async fn concerns(&mut self, user_id: &UserId) -> Result<bool> {
        if self.service.covers_user(user_id) {
            return Ok(true);
        }
        for room in self.all.parts.rooms.joined_rooms(user_id).await? {
            if self.interest.wants_room(room).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
