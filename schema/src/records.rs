//! The records of each area with their keys, one file per area.

pub mod encryption;
pub mod media;
pub mod meta;
pub mod push;
pub mod rooms;
pub mod sync;
