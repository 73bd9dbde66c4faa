//! pli: the Matrix command-line client of Pli.

fn main() {}
