//! What this server says to other servers, and who they are.
//!
//! * [`Remote`] finds a server, signs a request and returns the answer in ruma's types.
//! * [`KeyRing`] knows with which keys other servers sign.
//! * [`Partners`] decides with whom this server speaks at all.
//! * [`OwnKeys`] is what this server publishes about its own.

mod authenticate;
mod key_ring;
mod network;
mod own_keys;
mod partners;
mod pdus;
mod remote;

pub use self::{
    authenticate::Signed,
    key_ring::{KeyRing, NeededKey},
    network::Network,
    own_keys::OwnKeys,
    partners::Partners,
    pdus::NotTaken,
    remote::{Bounds, Remote, RemoteError, RemoteParts},
};
