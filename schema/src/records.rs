//! The records of each area with their keys, one file per area.

pub mod accounts;
pub mod administration;
pub mod appservices;
pub mod delayed;
pub mod encryption;
pub mod federation;
pub mod inbound;
pub mod invitations;
pub mod media;
pub mod meta;
pub mod oauth;
pub mod partners;
pub mod policy;
pub mod push;
pub mod rooms;
pub mod search;
pub mod sending;
pub mod sync;
