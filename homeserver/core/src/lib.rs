//! All decisions of the Pli homeserver; no HTTP, no backend.
