//! The optgate binary: everything lives in the library.

fn main() {}
