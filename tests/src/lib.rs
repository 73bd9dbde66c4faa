//! What tests of more than one crate share: real processes, a mail server, a server in this process.
#![expect(clippy::panic, reason = "what waits for a test's condition fails the test")]

pub mod appservice;
pub mod authority;
pub mod browser;
pub mod fake_provider;
pub mod fake_room;
pub mod fake_server;
pub mod openapi;
pub mod process;
pub mod reply;
pub mod server;
pub mod smtp_sink;
pub mod watch;
