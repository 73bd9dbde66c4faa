//! The records of each area with their keys, one file per area.

pub mod meta;
pub mod rooms;
pub mod sync;
