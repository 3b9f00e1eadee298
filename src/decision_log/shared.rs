//! What workers, handles and the writing thread share: the lanes, when to wake, and how far closing has come.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::lane::Lane;
use super::recent::Recent;
use super::{OnFull, Settings};
use crate::metrics::Metrics;

/// What workers, handles and the writing thread share.
#[derive(Debug)]
pub(super) struct Shared {
    queue: usize,
    /// A queue that has grown to this length wakes the writing thread.
    high_water: usize,
    on_full: OnFull,
    metrics: Metrics,
    lanes: Mutex<Vec<Arc<Lane>>>,
    writer: OnceLock<Thread>,
    /// The writing thread waits for the first event without a timeout.
    asleep: AtomicBool,
    reopen: AtomicBool,
    closing: Mutex<Closing>,
    closed: Condvar,
    recent: Mutex<Recent>,
}

/// How far closing has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// Nobody asked.
    Open,
    /// Everything queued is to be written until then.
    Until(Instant),
    /// Everything is written.
    Written,
    /// Time ran out with events left.
    GaveUp,
}

/// Locks whatever happened to other threads: each critical section leaves its value whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(settings: &Settings, metrics: Metrics) -> Self {
        let queue = settings.queue.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            queue,
            high_water: queue.div_ceil(2),
            on_full: settings.on_full,
            metrics,
            lanes: Mutex::default(),
            writer: OnceLock::new(),
            asleep: AtomicBool::new(false),
            reopen: AtomicBool::new(false),
            closing: Mutex::new(Closing::Open),
            closed: Condvar::new(),
            recent: Mutex::new(Recent::keeping(settings.recent)),
        }
    }

    pub(super) fn queue(&self) -> usize {
        self.queue
    }

    pub(super) fn high_water(&self) -> usize {
        self.high_water
    }

    pub(super) fn on_full(&self) -> OnFull {
        self.on_full
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(super) fn lanes(&self) -> MutexGuard<'_, Vec<Arc<Lane>>> {
        lock(&self.lanes)
    }

    pub(super) fn recent(&self) -> MutexGuard<'_, Recent> {
        lock(&self.recent)
    }

    pub(super) fn set_writer(&self, thread: Thread) {
        // Set once, by the one call that starts the thread.
        let _ = self.writer.set(thread);
    }

    pub(super) fn ask_reopen(&self) {
        self.reopen.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn take_reopen(&self) -> bool {
        self.reopen.load(Ordering::Relaxed) && self.reopen.swap(false, Ordering::AcqRel)
    }

    /// Asks for closing and waits for it; whether everything was written.
    pub(super) fn ask_close(&self, deadline: Duration) -> bool {
        let now = Instant::now();
        let until = now.checked_add(deadline).unwrap_or(now);
        let mut closing = lock(&self.closing);
        if *closing == Closing::Open {
            *closing = Closing::Until(until);
        }
        self.wake();
        while matches!(*closing, Closing::Open | Closing::Until(_)) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            closing = self.closed.wait_timeout(closing, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *closing == Closing::Written
    }

    pub(super) fn closing(&self) -> Closing {
        *lock(&self.closing)
    }

    pub(super) fn set_closed(&self, how: Closing) {
        *lock(&self.closing) = how;
        self.closed.notify_all();
    }

    /// Says that the writing thread will wait for [`Shared::wake`]. It must look into every lane once more before it does.
    pub(super) fn set_asleep(&self, asleep: bool) {
        self.asleep.store(asleep, Ordering::Release);
    }

    /// Whether the writing thread must be woken to see an event.
    pub(super) fn is_asleep(&self) -> bool {
        self.asleep.load(Ordering::Acquire)
    }

    pub(super) fn wake(&self) {
        self.set_asleep(false);
        if let Some(thread) = self.writer.get() {
            thread.unpark();
        }
    }
}
