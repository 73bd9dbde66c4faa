//! What this server says to other servers, and who they are.
//!
//! * [`Remote`] finds a server, signs a request and returns the answer in ruma's types.
//! * [`KeyRing`] knows with which keys other servers sign.
//! * [`Partners`] decides with whom this server speaks at all.
//! * [`RemoteRooms`] lets users of other servers into rooms, and own users into theirs.
//! * [`Queries`] asks other servers what clients want to know of them.
//! * [`Devices`] knows the devices of users of other servers.
//! * [`Sender`] tells other servers what happens here.
//! * [`OwnKeys`] is what this server publishes about its own.

mod authenticate;
mod backfill;
pub mod check;
mod devices;
mod edus;
mod inbound;
mod key_ring;
mod membership;
mod network;
mod own_keys;
mod partners;
mod pdus;
mod peers;
mod queries;
mod reading;
mod remote;
mod request_signature;
mod sender;
mod turns;

pub use pli_federation::server_keys::OldKey;

pub use self::{
    authenticate::Signed,
    backfill::Backfill,
    devices::{Devices, DevicesParts, KeysOfAll, ListOfDevices, Unreachable},
    edus::{Edus, EdusParts},
    inbound::{Inbound, Outcomes, Transaction},
    key_ring::{KeyRing, NeededKey},
    membership::{Bound, Given, Handing, Invited, Join, RemoteRooms, ResolvedAlias},
    network::Network,
    own_keys::OwnKeys,
    partners::{Awaited, Contact, Contacts, NewPartner, Openness, Partners, Use},
    pdus::NotTaken,
    queries::{Queries, for_servers},
    reading::{Readings, ServerReader, StateBefore},
    remote::{Bounds, Remote, RemoteError, RemoteParts},
    sender::{DestinationStatus, Sender, SenderParts, Totals},
};
