//! What a commit is about, for those who wait.

use ruma::{OwnedDeviceId, OwnedServerName, OwnedUserId};

use crate::RoomNumber;

/// A subject that a commit touched. Topics travel with the commit and wake waiters; they are hints,
/// what changed is always read from the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Something in a room that its members may see: timeline, receipts.
    Room(RoomNumber),
    /// Something of one user: account data, invites, membership, device lists, push rules.
    User(OwnedUserId),
    /// The rooms of one user: a membership changed, or a room was forgotten.
    Rooms(OwnedUserId),
    /// Something for one device: to-device messages, one-time key counts.
    Device(OwnedUserId, OwnedDeviceId),
    /// Something waits to be sent to another server.
    Server(OwnedServerName),
    /// The allow-list of domains or another setting that is data changed.
    Policy,
    /// Work for the background jobs (pushes, mails, federation).
    Jobs,
}
