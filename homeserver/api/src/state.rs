//! What handlers may ask for: the core's small structs, each extracted on its own.
//!
//! A new struct of the core is one line in `app_state!` and one in [`crate::assemble`].

use std::sync::Arc;

use axum::extract::FromRef;
use pli_core::{
    AccountData, DelayedEvents, Filters, History, Invitations, Media, Notices, Oauth, Presence,
    Push, Receipts, Rendezvous, Reports, Rooms, Search, ThreadSubscriptions, Typing, UserDirectory,
    accounts::Accounts, encryption::Encryption, sync::Sync,
};
use pli_schema::config::Config;
use ruma::OwnedServerName;
use tokio_util::sync::CancellationToken;

use crate::{rate_limits::RateLimits, sends::Sends};

/// What the server is called and how it is set up, for endpoints that tell clients.
#[derive(Clone, Debug)]
pub struct ServerInfo {
    /// The server's name.
    pub server_name: OwnedServerName,
    /// Where clients reach it, without a slash at the end.
    pub base_url: Arc<str>,
    /// The configuration.
    pub config: Arc<Config>,
}

/// Tells that the server is about to stop: long polls answer at once then.
#[derive(Clone, Debug, Default)]
pub struct Stopping(pub CancellationToken);

/// Declares [`AppState`]: one line per struct, each of which a handler takes as `State<Type>`.
macro_rules! app_state {
    ($( $(#[$doc:meta])* $field:ident: $type:ty ),+ $(,)?) => {
        /// Everything that handlers may ask for. Only the extractors see it whole; a handler names the
        /// structs it uses, such as `State(accounts): State<Accounts>`. Cheap to clone.
        #[derive(Clone)]
        pub struct AppState {
            $( $(#[$doc])* pub $field: $type, )+
        }

        $(
            impl FromRef<AppState> for $type {
                fn from_ref(state: &AppState) -> Self {
                    state.$field.clone()
                }
            }
        )+
    };
}

app_state! {
    /// Account data.
    account_data: AccountData,
    /// Accounts, devices, sessions.
    accounts: Accounts,
    /// Fetches the past of rooms from other servers.
    backfill: pli_core::federation::Backfill,
    /// Events that are sent later.
    delayed_events: DelayedEvents,
    /// The devices of users of other servers.
    devices: pli_core::federation::Devices,
    /// Keys, to-device messages, device lists, backups.
    encryption: Encryption,
    /// Stored filters.
    filters: Filters,
    /// The past and the state of rooms for readers.
    history: History,
    /// Takes what other servers send.
    inbound: pli_core::federation::Inbound,
    /// Invitations by e-mail address.
    invitations: Invitations,
    /// Uploaded files.
    media: Media,
    /// Sign-in in the browser.
    oauth: Oauth,
    /// Previews of links.
    previews: pli_core::previews::Previews,
    /// Who is there.
    presence: Presence,
    /// Notices of the server to users.
    notices: Notices,
    /// Push rules, unread counts, pushers.
    push: Push,
    /// Limits on the rate of requests.
    rate_limits: RateLimits,
    /// Receipts and read markers.
    receipts: Receipts,
    /// Coming into rooms and going out of them across servers.
    remote_rooms: pli_core::federation::RemoteRooms,
    /// Mailboxes in which devices meet.
    rendezvous: Rendezvous,
    /// Rooms as other servers read them.
    readings: pli_core::federation::Readings,
    /// What people have reported.
    reports: Reports,
    /// Rooms: timelines, state, members.
    rooms: Rooms,
    /// Searches messages.
    search: Search,
    /// What tells other servers what happens here.
    sender: pli_core::federation::Sender,
    /// Sends that are still to be answered.
    sends: Sends,
    /// The server's name and configuration.
    server: ServerInfo,
    /// Whether the server is about to stop.
    stopping: Stopping,
    /// Answers syncs.
    sync: Sync,
    /// Subscriptions to threads.
    thread_subscriptions: ThreadSubscriptions,
    /// What other servers are asked for clients.
    queries: pli_core::federation::Queries,
    /// Who other servers are, and what they may be asked.
    signed: pli_core::federation::Signed,
    /// Who is typing.
    typing: Typing,
    /// Who can be found by name.
    user_directory: UserDirectory,
}

impl std::fmt::Debug for AppState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AppState")
    }
}
