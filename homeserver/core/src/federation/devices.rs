//! The devices of users of other servers: kept as long as their servers tell of every change, and asked
//! for again when one was missed.
//!
//! A list is *tracked* while its user shares a room with a user of this server. What is known of a
//! tracked list answers queries; a list that is *stale* is asked for, at once when somebody wants it and
//! in the background until it is had.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#device-management>

mod claim;
mod heard;
mod query;
mod resync;
mod sharing;

use std::sync::Arc;

use pli_store::Store;
use ruma::UserId;
use tokio::sync::{Mutex, Notify};

pub use self::{
    claim::ListOfDevices,
    query::{KeysOfAll, Unreachable},
};
use super::Signed;
use crate::{Clock, Encryption, Random, Result, Rooms};

/// Lanes for asking; two users may share one.
const LANES: usize = 64;

/// What [`Devices`] is made of.
#[derive(Clone, Debug)]
pub struct DevicesParts {
    /// The rooms.
    pub rooms: Rooms,
    /// The keys of this server's users.
    pub encryption: Encryption,
    /// Who other servers are, and what they may be asked.
    pub signed: Signed,
    /// For pauses of different length.
    pub random: Random,
}

/// The devices of users of all servers. Clones share everything.
#[derive(Clone, Debug)]
pub struct Devices {
    parts: Arc<DevicesParts>,
    /// The list of a user is asked for by one at a time.
    lanes: Arc<[Mutex<()>]>,
    /// A list became stale.
    stale: Arc<Notify>,
}

impl Devices {
    /// The devices, out of these parts; [`Self::run`] asks for what was missed.
    #[must_use]
    pub fn new(parts: DevicesParts) -> Self {
        let lanes = (0..LANES).map(|_| Mutex::default()).collect();
        Self { parts: Arc::new(parts), lanes, stale: Arc::default() }
    }

    fn rooms(&self) -> &Rooms {
        &self.parts.rooms
    }

    fn store(&self) -> &Store {
        self.parts.rooms.store()
    }

    fn clock(&self) -> &Clock {
        self.parts.rooms.clock()
    }

    /// Whether a user of another server shares a room with a user of this one.
    async fn shares(&self, user_id: &UserId) -> Result<bool> {
        for room in self.rooms().joined_rooms(user_id).await? {
            if self.rooms().residents(room).await?.contains(self.rooms().server_name()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests;
