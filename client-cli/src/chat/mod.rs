//! The full-screen chat: what it shows (`state`), how (`render`), what keys mean (`input`).

pub mod input;
pub mod render;
pub mod state;
