//! The HTTP layer as clients meet it.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails loudly"
)]

#[path = "api/account_validity.rs"]
mod account_validity;
#[path = "api/administration.rs"]
mod administration;
#[path = "api/appservices.rs"]
mod appservices;
#[path = "api/basics.rs"]
mod basics;
#[path = "api/calls.rs"]
mod calls;
#[path = "api/client_extras.rs"]
mod client_extras;
#[path = "api/clients.rs"]
mod clients;
#[path = "api/connections.rs"]
mod connections;
#[path = "api/corners.rs"]
mod corners;
#[path = "api/encryption.rs"]
mod encryption;
#[path = "api/guests.rs"]
mod guests;
#[path = "api/invitations.rs"]
mod invitations;
#[path = "api/joins.rs"]
mod joins;
#[path = "api/media.rs"]
mod media;
#[path = "api/mutations.rs"]
mod mutations;
#[path = "api/notices.rs"]
mod notices;
#[path = "api/oauth.rs"]
mod oauth;
#[path = "api/oauth_pages.rs"]
mod oauth_pages;
#[path = "api/old_sync.rs"]
mod old_sync;
#[path = "api/operations.rs"]
mod operations;
#[path = "api/people.rs"]
mod people;
#[path = "api/presence.rs"]
mod presence;
#[path = "api/profiles.rs"]
mod profiles;
#[path = "api/proofs.rs"]
mod proofs;
#[path = "api/reports.rs"]
mod reports;
#[path = "api/room_previews.rs"]
mod room_previews;
#[path = "api/room_rules.rs"]
mod room_rules;
#[path = "api/search.rs"]
mod search;
#[path = "api/secrets.rs"]
mod secrets;
#[path = "api/sliding_sync.rs"]
mod sliding_sync;

#[path = "api/rendezvous.rs"]
mod rendezvous;
#[path = "api/synapse_admin.rs"]
mod synapse_admin;
#[path = "api/sync.rs"]
mod sync;
#[path = "api/tls.rs"]
mod tls;
#[path = "api/typing.rs"]
mod typing;
#[path = "api/upstream.rs"]
mod upstream;
#[path = "api/user_directory.rs"]
mod user_directory;
#[path = "api/visibility.rs"]
mod visibility;
