//! Policy and the decision: pure, reads no clock, no store, no socket.
