//! HTTP in, JSON out, no decisions.
//!
//! * [`router`] registers endpoints under every path the specification ever gave them.
//! * [`extract`] turns requests into ruma's types and ruma's answers into responses.
//! * [`identity`] says who is asking, as a type.
//! * [`error`] is the one table from the core's errors to Matrix errors.
//! * [`request`] surrounds every request: log line, CORS, panics; [`rate_limits`], [`serve`] bound it.
//! * [`client`] holds the endpoints of the client-server API, one file per module of the specification.

#[cfg(test)]
mod account_tests;
pub mod admin;
pub mod assemble;
pub mod client;
mod closing;
pub mod error;
pub mod extract;
pub mod from_server;
pub mod health;
pub mod identity;
pub mod identity_api;
pub mod language;
pub mod oauth_api;
pub mod pages;
pub mod rate_limits;
pub mod request;
#[cfg(test)]
mod room_tests;
pub mod router;
pub mod sends;
pub mod serve;
pub mod server;
pub mod state;
pub mod timestamps;
pub mod whole;

pub use error::{Error, Result};
pub use extract::{Json, RawJson, Ruma};
pub use identity::{Admin, Anyone, EvenExpired, EvenLocked, GivenToken, User, UserOrGuest};
pub use language::PreferredLanguage;
pub use router::{Route, Routes};
pub use state::AppState;
