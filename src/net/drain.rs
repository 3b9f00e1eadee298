//! Draining: stop taking requests, let those in flight finish, cut what is left at a deadline.
//!
//! One [`DrainTrigger`] reaches the connections of every runtime. Whoever has work to finish holds a [`Drain`];
//! the drain is over when the last one is dropped.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long connections get to notice that they were cut.
const CUT_GRACE: Duration = Duration::from_secs(1);

/// How long a drain lasts unless configured otherwise.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// Waits until the process is asked to end, by a supervisor (SIGTERM) or at the terminal (SIGINT).
pub async fn asked_to_end() -> io::Result<()> {
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Serving,
    Draining { until: Instant },
}

/// Makes a trigger and the first of its watchers.
pub fn drain() -> (DrainTrigger, Drain) {
    let (trigger, phase) = watch::channel(Phase::Serving);
    (DrainTrigger { phase: trigger }, Drain { phase })
}

/// Starts the drain, once.
#[derive(Debug)]
pub struct DrainTrigger {
    phase: watch::Sender<Phase>,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Drained {
    /// Everything in flight finished.
    Finished,
    /// The deadline passed first and the rest was cut.
    Cut,
}

impl DrainTrigger {
    /// Tells every watcher to finish and waits until all have, at most for `limit`.
    pub async fn drain(self, limit: Duration) -> Drained {
        let until = Instant::now() + limit;
        self.phase.send_replace(Phase::Draining { until });
        if timeout_at(until, self.phase.closed()).await.is_ok() {
            return Drained::Finished;
        }
        // Cut connections end by themselves; one that does not is left to the end of its runtime.
        let _all_gone = timeout_at(until + CUT_GRACE, self.phase.closed()).await;
        Drained::Cut
    }
}

/// Watches for a drain, and holds it up until dropped.
#[derive(Clone, Debug)]
pub struct Drain {
    phase: watch::Receiver<Phase>,
}

impl Drain {
    /// Whether the drain has begun.
    pub fn is_draining(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Draining { .. })
    }

    /// Waits until the drain begins; forever if the trigger is gone.
    ///
    /// # Cancel safety
    /// Safe: nothing is lost.
    pub async fn started(&mut self) {
        self.deadline().await;
    }

    /// Waits for something until the drain begins; `None` if that comes first.
    ///
    /// The same as a race with [`started`](Self::started), for what is polled a hundred thousand times a second: between its first poll and the drain it
    /// costs one atomic load.
    ///
    /// # Cancel safety
    /// As that of what is waited for.
    pub(super) async fn while_serving<F: Future>(&mut self, mut serving: Pin<&mut F>) -> Option<F::Output> {
        let phase = self.phase.clone();
        // Otherwise a poll without budget left would look like one that registered.
        let mut started = pin!(tokio::task::unconstrained(self.started()));
        let mut told: Option<Waker> = None;
        poll_fn(|cx| {
            if let Poll::Ready(output) = serving.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            let is_told = told.as_ref().is_some_and(|told| told.will_wake(cx.waker()));
            if is_told && matches!(phase.has_changed(), Ok(false)) {
                return Poll::Pending;
            }
            told = Some(cx.waker().clone());
            started.as_mut().poll(cx).map(|()| None)
        })
        .await
    }

    /// Waits until what is left is to be cut.
    ///
    /// # Cancel safety
    /// Safe: nothing is lost.
    pub async fn cut(&mut self) {
        let until = self.deadline().await;
        sleep_until(until).await;
    }

    async fn deadline(&mut self) -> Instant {
        let draining = self.phase.wait_for(|phase| matches!(phase, Phase::Draining { .. })).await;
        match draining.map(|phase| *phase) {
            Ok(Phase::Draining { until }) => until,
            Ok(Phase::Serving) | Err(_) => pending().await,
        }
    }
}
