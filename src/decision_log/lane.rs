//! One worker's queue to the writing thread, and the guard that makes sure that every decision enters it.
//!
//! A slot is reserved before the send is judged and given back after its line is written, so an event always finds room and enqueueing never waits.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fmt, io};

use tokio::sync::Semaphore;

use super::OnFull;
use super::event::{Event, Outcome};
use super::id::{DecisionId, IdSource};
use super::shared::{Shared, lock};
use crate::consent::Timestamp;

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
    events: VecDeque<Box<Event>>,
    open: bool,
}

impl Lane {
    /// Enqueues an event that has a slot. The lock is held for a move of the event, by the writing thread for a swap of two queues.
    fn push(&self, event: Box<Event>) {
        let waiting = {
            let mut inbox = lock(&self.inbox);
            if !inbox.open {
                drop(inbox);
                return self.shared.metrics().decision_log_dropped(1);
            }
            inbox.events.push_back(event);
            inbox.events.len()
        };
        // While sends keep coming the writing thread looks by itself before long: waking it is a system call, so it is the exception.
        if waiting == self.shared.high_water() || self.shared.is_asleep() {
            self.shared.wake();
        }
    }

    /// Swaps everything that waits for an empty queue.
    pub(super) fn take(&self, empty: &mut VecDeque<Box<Event>>) {
        std::mem::swap(&mut lock(&self.inbox).events, empty);
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.inbox).events.is_empty()
    }

    /// Whether so many slots are free that the writing thread is woken before they are used up, unless most of them are held for long.
    pub(super) fn is_ample(&self) -> bool {
        self.slots.available_permits() >= self.shared.high_water()
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
            slots: Semaphore::new(shared.queue()),
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
                || match lane.shared.on_full() {
                    OnFull::Wait if lane.reserve(deadline).await => true,
                    OnFull::Wait => return Err(QueueFull { id }),
                    OnFull::Drop => false,
                };
            Ok(Guard { id, event: Some(Box::new(Event::new(id, now))), lane, slot })
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
    event: Option<Box<Event>>,
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

    /// What to record if this is dropped without [`Guard::finish`]; `aborted` until told.
    pub fn presume(&mut self, outcome: Outcome) {
        self.fill(|event| event.outcome = outcome);
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
            self.lane.shared.metrics().decision_log_dropped(1);
        }
    }
}
