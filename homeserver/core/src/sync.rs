//! What changed for whom: the sync that answers with all of it
//! (<https://spec.matrix.org/v1.19/client-server-api/#syncing>).
//!
//! A sync samples the position of the log, looks at what changed for its user up to there, and answers
//! or waits. Its cost is that of what changed: rooms without a change since the token are not looked at
//! (see [`crate::Notifier`]), streams are read from the token on.

mod classic;
mod device;
mod entries;
mod ephemeral;
mod events;
mod invited;
mod joined;
mod left;
mod render;
mod sent_members;
mod sliding;
mod snapshot;
mod state;
mod summary;
#[cfg(test)]
mod tests;
mod timeline;
mod turn;
mod view;

pub use self::{
    classic::{StateAfter, Sync, SyncParts, SyncRequest},
    events::{EventsPage, EventsRequest},
    sliding::{
        Enabled, ExtensionConfigs, ListConfig, ListFilters, RoomConfig, RoomScope, SlidingBody,
        SlidingRequest, ThreadSubscriptionsConfig, ToDeviceConfig,
    },
};
