//! Mails: written in French and English, queued in the store, sent by a background task that survives
//! restarts. No request ever waits for a mail server, and no address is ever logged.

pub mod invitations;
pub mod letters;
#[cfg(test)]
mod proof_tests;
mod queue;
pub mod transport;

pub use self::{queue::Mailer, transport::Transport};
