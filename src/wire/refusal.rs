//! From a reason to the answer that the caller's own software understands.

