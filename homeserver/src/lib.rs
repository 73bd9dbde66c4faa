//! The Pli homeserver: reads the configuration, opens the store, builds the core, listens, drains.
//!
//! A library beside the binary, so that tests start the same server in their own process.

pub mod cli;
pub mod commands;
pub mod configuration;
pub mod control;
pub mod data_dir;
pub mod progress_line;
pub mod registrations;
mod rotate;
pub mod run;
pub mod server;
pub mod telemetry;
pub mod words;

pub use server::{Server, StartError};
