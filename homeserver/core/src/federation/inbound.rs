//! What other servers send: transactions of events and EDUs
//! (<https://spec.matrix.org/v1.19/server-server-api/#transactions>).
//!
//! A server has one transaction at a time, and so has a room: its events are taken in the order in which
//! they came. Nothing here waits for another server but the look-up of keys: an event whose ancestors are
//! missing is written down ([`waiting`]), which is as good as taken for whoever sent it, and
//! [`catch_up`] asks for what is missing behind the requests.

mod catch_up;
mod deliver;
mod transaction;
mod waiting;

use std::{collections::BTreeMap, sync::Arc};

use pli_schema::RoomNumber;
use ruma::{OwnedEventId, OwnedServerName, OwnedTransactionId};

pub use self::transaction::Transaction;
use super::{Edus, Signed, peers::Peers, turns::Turns};
use crate::{Clock, Rooms, rooms::ByteCache};

/// Transactions of one server that may wait while another one of it is worked on.
const TRANSACTIONS_WAITING_MAX: usize = 4;
/// Transactions that may wait for one room.
const ROOM_WAITING_MAX: usize = 64;
/// Answers that are kept for those who ask again, in bytes.
const ANSWERS_BYTES: usize = 8 * 1024 * 1024;

/// What became of each event of a transaction: taken, or why not.
pub type Outcomes = BTreeMap<OwnedEventId, Result<(), String>>;

/// Takes what other servers send. Clones share everything.
#[derive(Clone, Debug)]
pub struct Inbound {
    rooms: Rooms,
    signed: Signed,
    peers: Peers,
    edus: Edus,
    servers: Turns<OwnedServerName>,
    in_rooms: Turns<RoomNumber>,
    /// Rooms for which what is missing is being asked for.
    catching_up: Turns<RoomNumber>,
    answers: ByteCache<(OwnedServerName, OwnedTransactionId), Arc<Outcomes>>,
}

impl Inbound {
    /// For these rooms; `edus` takes what is not kept.
    #[must_use]
    pub fn new(rooms: Rooms, signed: Signed, edus: Edus) -> Self {
        Self {
            peers: Peers::new(rooms.clone(), signed.clone()),
            rooms,
            signed,
            edus,
            servers: Turns::new(TRANSACTIONS_WAITING_MAX),
            in_rooms: Turns::new(ROOM_WAITING_MAX),
            catching_up: Turns::new(1),
            answers: ByteCache::new(ANSWERS_BYTES),
        }
    }

    fn clock(&self) -> &Clock {
        self.rooms.clock()
    }
}
