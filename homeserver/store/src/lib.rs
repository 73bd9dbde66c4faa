//! One narrow store trait over bytes: memory and sled.
