//! The primitives that freshness rests on, named in one place so that the model can put its own in theirs.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};
pub(super) use std::sync::{Mutex, MutexGuard};
