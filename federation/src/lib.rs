//! What one Matrix server says to another, without I/O of its own.
