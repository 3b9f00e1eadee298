//! The control plane: API, auth.
