//! A request for a sliding sync, as clients write it.

use std::{collections::BTreeMap, time::Duration};

use ruma::{OwnedDeviceId, OwnedRoomId, OwnedUserId, presence::PresenceState};
use serde::Deserialize;

use crate::{Error, Result};

/// Lists in one request (MSC4186).
const LISTS_MAX: usize = 100;
/// Subscriptions in one request: more than the 100 of MSC4186, as clients in use know no such bound.
const SUBSCRIPTIONS_MAX: usize = 1_000;
/// Elements of required state in one list or subscription.
const REQUIRED_MAX: usize = 500;
/// Ranges of one list.
const RANGES_MAX: usize = 100;
/// Longest name of a connection or a list, in bytes (the grammar of opaque identifiers).
const NAME_BYTES_MAX: usize = 255;

/// A request for a sliding sync (MSC4186, in the unstable form that clients send).
#[derive(Clone, Debug)]
pub struct SlidingRequest {
    /// The user.
    pub user_id: OwnedUserId,
    /// The device.
    pub device_id: OwnedDeviceId,
    /// The `pos` of the last answer.
    pub pos: Option<String>,
    /// How long to wait for something.
    pub timeout: Duration,
    /// What the sync says of the user's presence.
    pub set_presence: PresenceState,
    /// The body.
    pub body: SlidingBody,
}

/// The body of a request.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SlidingBody {
    /// The name of the connection; each device may have several.
    pub conn_id: Option<String>,
    /// Comes back in the answer.
    pub txn_id: Option<String>,
    /// Windows on the user's rooms.
    #[serde(default)]
    pub lists: BTreeMap<String, ListConfig>,
    /// Single rooms.
    #[serde(default)]
    pub room_subscriptions: BTreeMap<OwnedRoomId, RoomConfig>,
    /// What is wanted beside rooms.
    #[serde(default)]
    pub extensions: ExtensionConfigs,
}

/// A window on the user's rooms, the most recently active first.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ListConfig {
    /// First and last index of each part; absent: all rooms.
    pub ranges: Option<Vec<(u64, u64)>>,
    /// Which rooms are in the list.
    pub filters: Option<ListFilters>,
    /// What to tell of each room.
    #[serde(flatten)]
    pub room: RoomConfig,
}

/// What to tell of a room.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RoomConfig {
    /// Newest events.
    #[serde(default)]
    pub timeline_limit: u64,
    /// Pairs of event type and state key, with `*`, `$ME` and `$LAZY`.
    #[serde(default)]
    pub required_state: Vec<(String, String)>,
}

/// Which rooms are in a list: those that pass all that is given.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ListFilters {
    /// Rooms in `m.direct`, or not.
    pub is_dm: Option<bool>,
    /// Rooms with `m.room.encryption`, or without.
    pub is_encrypted: Option<bool>,
    /// Rooms that the user is invited to, or not.
    #[serde(alias = "is_invited")]
    pub is_invite: Option<bool>,
    /// Types of rooms; `null` stands for rooms without a type.
    pub room_types: Option<Vec<Option<String>>>,
    /// Types of rooms that are left out.
    pub not_room_types: Option<Vec<Option<String>>>,
    /// A part of the room's name, whatever the case.
    pub room_name_like: Option<String>,
    /// Rooms with one of these tags.
    pub tags: Option<Vec<String>>,
    /// Rooms with one of these tags are left out.
    pub not_tags: Option<Vec<String>>,
    /// Rooms that are children of one of these joined spaces.
    pub spaces: Option<Vec<String>>,
}

/// What is wanted beside rooms.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ExtensionConfigs {
    /// Messages for the device (MSC3885).
    #[serde(default)]
    pub to_device: ToDeviceConfig,
    /// Device lists and stocks of keys (MSC3884).
    #[serde(default)]
    pub e2ee: Enabled,
    /// Account data (MSC3959).
    #[serde(default)]
    pub account_data: RoomScope,
    /// Receipts (MSC3960).
    #[serde(default)]
    pub receipts: RoomScope,
    /// Who types (MSC4508).
    #[serde(default)]
    pub typing: RoomScope,
    /// Subscriptions to threads (MSC4308).
    #[serde(default, rename = "io.element.msc4308.thread_subscriptions")]
    pub thread_subscriptions: ThreadSubscriptionsConfig,
}

/// An extension without further settings.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Enabled {
    /// Whether it is wanted.
    #[serde(default)]
    pub enabled: Option<bool>,
}

/// The extension for messages to the device.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ToDeviceConfig {
    /// Whether it is wanted.
    pub enabled: Option<bool>,
    /// Messages in one answer.
    pub limit: Option<u64>,
    /// The `next_batch` that confirms the messages before it.
    pub since: Option<String>,
}

/// The extension for subscriptions to threads.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct ThreadSubscriptionsConfig {
    /// Whether it is wanted.
    pub enabled: Option<bool>,
    /// Changes in one answer.
    pub limit: Option<u64>,
}

/// An extension that is about rooms: those of the lists and subscriptions that are named (MSC4508).
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RoomScope {
    /// Whether it is wanted.
    pub enabled: Option<bool>,
    /// Names of lists; absent or `*`: all.
    pub lists: Option<Vec<String>>,
    /// Ids of rooms among the subscriptions; absent or `*`: all.
    pub rooms: Option<Vec<String>>,
}

impl SlidingBody {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] above one of them.
    pub(super) fn check(&self) -> Result<()> {
        let refuse = |text: &str| Err(Error::invalid_param(text));
        if self.lists.len() > LISTS_MAX {
            return refuse("There are more than 100 lists");
        }
        if self.room_subscriptions.len() > SUBSCRIPTIONS_MAX {
            return refuse("There are too many room subscriptions");
        }
        let names = self.lists.keys().chain(&self.conn_id);
        if names.into_iter().any(|name| name.len() > NAME_BYTES_MAX) {
            return refuse("A name is longer than 255 bytes");
        }
        let lists = self.lists.values();
        for list in lists.clone() {
            let ranges = list.ranges.as_deref().unwrap_or_default();
            if ranges.len() > RANGES_MAX || ranges.iter().any(|(first, last)| first > last) {
                return refuse("The ranges of a list are not valid");
            }
        }
        let configs = lists.map(|list| &list.room).chain(self.room_subscriptions.values());
        if configs.into_iter().any(|config| config.required_state.len() > REQUIRED_MAX) {
            return refuse("There is too much required state");
        }
        Ok(())
    }
}
