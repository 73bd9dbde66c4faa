//! What this server says to other servers, and who they are.
//!
//! * [`Remote`] finds a server, signs a request and returns the answer in ruma's types.
//! * [`KeyRing`] knows with which keys other servers sign.
//! * [`Partners`] decides with whom this server speaks at all.
//! * [`RemoteRooms`] lets users of other servers into rooms, and own users into theirs.
//! * [`Queries`] asks other servers what clients want to know of them.
//! * [`OwnKeys`] is what this server publishes about its own.

mod authenticate;
pub mod check;
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
mod remote;
mod turns;

pub use self::{
    authenticate::Signed,
    edus::Edus,
    inbound::{Inbound, Outcomes, Transaction},
    key_ring::{KeyRing, NeededKey},
    membership::{Bound, Given, Handing, Invited, Join, RemoteRooms, ResolvedAlias},
    network::Network,
    own_keys::OwnKeys,
    partners::{Contact, Contacts, NewPartner, Openness, Partners, Use},
    pdus::NotTaken,
    queries::{Queries, RemoteSpace},
    remote::{Bounds, Remote, RemoteError, RemoteParts},
};
