//! The vocabulary of Pli: pure data, no I/O.
