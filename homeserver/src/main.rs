//! The Pli homeserver: a Matrix server for public administrations.

fn main() {}
