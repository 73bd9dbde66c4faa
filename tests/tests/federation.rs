//! Servers of this process that speak to each other over TLS, and what others could say to them.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails loudly"
)]

#[path = "federation/device_keys.rs"]
mod device_keys;
#[path = "federation/inbound.rs"]
mod inbound;
#[path = "federation/inbound_documents.rs"]
mod inbound_documents;
#[path = "federation/inbound_gaps.rs"]
mod inbound_gaps;
#[path = "federation/inbound_reading.rs"]
mod inbound_reading;
#[path = "federation/joins.rs"]
mod joins;
#[path = "federation/joins_addresses.rs"]
mod joins_addresses;
#[path = "federation/joins_invites.rs"]
mod joins_invites;
#[path = "federation/joins_large.rs"]
mod joins_large;
#[path = "federation/joins_refused.rs"]
mod joins_refused;
#[path = "federation/joins_restricted.rs"]
mod joins_restricted;
#[path = "federation/joins_stays.rs"]
mod joins_stays;
#[path = "federation/keys.rs"]
mod keys;
#[path = "federation/media.rs"]
mod media;
#[path = "federation/partners.rs"]
mod partners;
#[path = "federation/queries.rs"]
mod queries;
#[path = "federation/sending.rs"]
mod sending;
#[path = "federation/sending_devices.rs"]
mod sending_devices;
