//! The integration tests: one binary, real sockets, the real gate.

mod floors;
