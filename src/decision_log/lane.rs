//! One worker's queue to the writing thread, and the guard that makes sure that every decision enters it.
//!
//! A slot is reserved before the send is judged and given back after its line is written, so an event always finds room and enqueueing never waits.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};
use std::{fmt, io};

use tokio::sync::Semaphore;

use super::event::{Event, Outcome};
use super::id::{DecisionId, IdSource};
use super::recent::Recent;
use super::{OnFull, Settings};
use crate::consent::Timestamp;
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

    #[cfg(test)]
    pub(super) fn is_asleep(&self) -> bool {
        self.asleep.load(Ordering::Acquire)
    }

    fn wake(&self) {
        self.set_asleep(false);
        if let Some(thread) = self.writer.get() {
            thread.unpark();
        }
    }
}

/// One worker's queue. On cache lines of its own: its worker touches it with every send.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Lane {
    slots: Semaphore,
    inbox: Mutex<Inbox>,
    shared: Arc<Shared>,
}

/// Events that wait for the writing thread.
#[derive(Debug)]
struct Inbox {
    events: VecDeque<Event>,
    open: bool,
}

impl Lane {
    /// Enqueues an event that has a slot. The lock is held for a move of the event, by the writing thread for a swap of two queues.
    fn push(&self, event: Event) {
        let waiting = {
            let mut inbox = lock(&self.inbox);
            if !inbox.open {
                drop(inbox);
                return self.shared.metrics.decision_log_dropped(1);
            }
            inbox.events.push_back(event);
            inbox.events.len()
        };
        // While sends keep coming the writing thread looks by itself every few milliseconds: waking it is a system call, so it is the exception.
        if waiting == self.shared.high_water || self.shared.asleep.load(Ordering::Acquire) {
            self.shared.wake();
        }
    }

    /// Swaps everything that waits for an empty queue.
    pub(super) fn take(&self, empty: &mut VecDeque<Event>) {
        std::mem::swap(&mut lock(&self.inbox).events, empty);
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.inbox).events.is_empty()
    }

    /// Gives back the slots of events that are written.
    pub(super) fn release(&self, slots: usize) {
        self.slots.add_permits(slots);
    }

    /// Takes nothing more: who waits for a slot is told that the log is full.
    pub(super) fn shut(&self) {
        self.slots.close();
        lock(&self.inbox).open = false;
    }

    fn try_reserve(&self) -> bool {
        self.slots.try_acquire().map(tokio::sync::SemaphorePermit::forget).is_ok()
    }

    async fn reserve(&self, deadline: Duration) -> bool {
        match tokio::time::timeout(deadline, self.slots.acquire()).await {
            Ok(Ok(permit)) => {
                permit.forget();
                true
            }
            Ok(Err(_closed)) => false,
            Err(_elapsed) => false,
        }
    }
}

/// One worker's end of the log.
pub struct WorkerLog {
    lane: Arc<Lane>,
    ids: IdSource,
}

impl fmt::Debug for WorkerLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkerLog")
    }
}

impl WorkerLog {
    pub(super) fn new(shared: &Arc<Shared>) -> io::Result<Self> {
        let lane = Arc::new(Lane {
            slots: Semaphore::new(shared.queue),
            inbox: Mutex::new(Inbox { events: VecDeque::new(), open: true }),
            shared: Arc::clone(shared),
        });
        shared.lanes().push(Arc::clone(&lane));
        Ok(Self { lane, ids: IdSource::seeded()? })
    }

    /// An id for an answer that is no decision, such as a passthrough that failed.
    pub fn id(&self, now: Timestamp) -> DecisionId {
        self.ids.next(now)
    }

    /// Reserves a slot for a decision about to be made at `now`, waiting for one until the deadline.
    ///
    /// # Errors
    /// The queue stayed full; with [`OnFull::Drop`] never.
    ///
    /// # Cancel safety
    /// Dropping the future reserves nothing and records nothing: nothing was decided yet.
    pub fn reserve(
        &self,
        now: Timestamp,
        deadline: Duration,
    ) -> impl Future<Output = Result<Guard, QueueFull>> + Send + use<> {
        let id = self.ids.next(now);
        let lane = Arc::clone(&self.lane);
        async move {
            let slot = lane.try_reserve()
                || match lane.shared.on_full {
                    OnFull::Wait if lane.reserve(deadline).await => true,
                    OnFull::Wait => return Err(QueueFull { id }),
                    OnFull::Drop => false,
                };
            Ok(Guard { id, event: Some(Event::new(id, now)), lane, slot })
        }
    }
}

/// The log has no room and waiting did not help: the send must be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull {
    /// The id that the decision would have had, for the answer.
    pub id: DecisionId,
}

impl fmt::Display for QueueFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the decision log is full")
    }
}

impl std::error::Error for QueueFull {}

/// A decision's slot in the log and its event, which is recorded when this ends in whatever way.
#[derive(Debug)]
#[must_use = "a guard that is dropped at once records an aborted send"]
pub struct Guard {
    id: DecisionId,
    /// There until drop takes it.
    event: Option<Event>,
    lane: Arc<Lane>,
    slot: bool,
}

impl Guard {
    /// The id of the decision.
    pub fn id(&self) -> DecisionId {
        self.id
    }

    /// Fills in what a stage found out.
    pub fn fill(&mut self, fill: impl FnOnce(&mut Event)) {
        if let Some(event) = &mut self.event {
            fill(event);
        }
    }

    /// Records the event with what became of the send.
    pub fn finish(mut self, outcome: Outcome) {
        self.fill(|event| event.outcome = outcome);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(event) = self.event.take() else { return };
        if self.slot || self.lane.try_reserve() {
            self.lane.push(event);
        } else {
            self.lane.shared.metrics.decision_log_dropped(1);
        }
    }
}
