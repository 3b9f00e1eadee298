//! The data plane: handler, buffer, deny.
