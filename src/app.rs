//! Wires the components, spawns and drains them.
