//! What one Matrix server says to another, without I/O of its own: the format of events, their
//! identifiers, hashes and signatures, the authorization rules and the resolution of state, for
//! room versions 1 to 12.
//!
//! Everything here is pure and synchronous. What must be looked up (an event by its identifier, the
//! state of a room) is asked for through closures and [`auth_rules::StateView`].

pub mod auth_rules;
pub mod canonical_json;
pub mod discovery;
pub mod event_format;
mod format_error;
pub mod keys;
pub mod room_version;
pub mod server_keys;
pub mod server_name;
pub mod state_res;
