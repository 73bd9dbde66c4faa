//! All decisions of the Pli homeserver. No HTTP, no backend; the clock and the random generator are
//! parameters.
//!
//! Each area is a small struct that holds what it needs and is cheap to clone; there is no bag of all
//! services. A handler of the api makes one call into one of them.

pub mod account_data;
pub mod accounts;
pub mod appservices;
pub mod audit;
pub mod calls;
pub mod clock;
pub mod delayed_events;
pub mod encryption;
pub mod error;
pub mod federation;
pub mod filters;
pub mod history;
pub mod invitations;
pub mod invite_permission;
mod jobs;
pub mod json;
pub mod mail;
pub mod media;
pub mod notices;
pub mod notifier;
pub mod numbers;
pub mod oauth;
pub mod outgoing;
pub mod policy;
pub mod presence;
pub mod previews;
pub mod push;
pub mod random;
pub mod receipts;
pub mod rendezvous;
pub mod reports;
pub mod rooms;
pub mod search;
pub mod sweep;
pub mod sync;
pub mod thread_subscriptions;
pub mod token;
pub mod transactions;
pub mod typing;
pub mod user_directory;
pub mod words;

pub use account_data::AccountData;
pub use appservices::Appservices;
pub use clock::{Clock, MilliSeconds, SystemClock, TestClock};
pub use delayed_events::DelayedEvents;
pub use encryption::Encryption;
pub use error::{Error, Result};
pub use filters::Filters;
pub use history::History;
pub use invitations::Invitations;
pub use media::Media;
pub use notices::Notices;
pub use notifier::Notifier;
pub use numbers::Numbers;
pub use oauth::Oauth;

/// Records that the core hands out.
pub mod records {
    pub use pli_schema::records::rooms::{MemberRecord, Membership};
}

pub use pli_federation::keys::SigningKey;
pub use pli_store::{Store, StoreError};
pub use presence::Presence;
pub use previews::Previews;
pub use push::Push;
pub use random::Random;
pub use receipts::Receipts;
pub use rendezvous::Rendezvous;
pub use reports::Reports;
pub use rooms::Rooms;
pub use search::Search;
pub use sweep::Sweep;
pub use thread_subscriptions::ThreadSubscriptions;
pub use transactions::Transactions;
pub use typing::Typing;
pub use user_directory::UserDirectory;
