//! HTTP in, JSON out, no decisions.
