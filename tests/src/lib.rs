//! Everything that needs more than one crate of Pli.
