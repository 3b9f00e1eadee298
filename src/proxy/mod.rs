//! The data plane: one worker thread's journey of a request, from recognising to recording.
//!
//! Knows no wire names (those are `wire`'s), no consent rules (those are `policy`'s) and no store.

pub mod answer;
mod budget;
mod buffer;
mod deny;
mod detached;
mod forward;
mod handler;
mod ledger;
mod passthrough;
mod rest;
mod taken;

use std::rc::Rc;
use std::time::Duration;

use http::HeaderName;

pub use answer::Answer;
pub use budget::Budget;
pub use handler::handle;

use crate::consent::tenant::Tenants;
use crate::decision_log::WorkerLog;
use crate::judge::Judge;
use crate::metrics::WorkerMetrics;
use crate::net::Drain;
use crate::senders::Recorder;
use crate::upstream::Upstream;
use crate::wire::recognize::Context;

/// The response field that says how a send was decided.
const DECISION: HeaderName = HeaderName::from_static("optgate-decision");
/// The response field that names the decision, as the record and the metrics do.
const DECISION_ID: HeaderName = HeaderName::from_static("optgate-decision-id");

/// What every worker is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The largest body that is read whole and judged, in bytes.
    pub max_send_body: usize,
    /// How many bytes of bodies a worker holds at a time.
    pub max_buffered: usize,
    /// The path prefix under which the gate is mounted, without a slash at its end.
    pub base_path: String,
    /// How long a send waits for room in the decision log before it is refused.
    pub log_patience: Duration,
    /// How long a caller may take over the body of a send.
    pub body_patience: Duration,
}

/// One worker thread's share of the gate.
pub struct Worker {
    /// How it behaves.
    pub settings: Settings,
    /// Its room for bodies.
    pub budget: Budget,
    /// Judges sends; shared with the control plane.
    pub judge: Judge,
    /// This thread's door to the provider.
    pub upstream: Upstream,
    /// This thread's way into the decision log.
    pub log: WorkerLog,
    /// This thread's counters.
    pub metrics: WorkerMetrics,
    /// This thread's way to tell which messages the provider took.
    pub recorder: Recorder,
    /// Held by everything in flight, so that a drain waits for it.
    pub drain: Drain,
}

impl Worker {
    /// Runs `judge` with what recognising needs to know.
    fn recognizing<T>(self: &Rc<Self>, tenants: &Tenants, judge: impl FnOnce(Context<'_>) -> T) -> T {
        let is_sender = |id: &str| tenants.knows(id);
        judge(Context { is_sender: &is_sender, base_path: &self.settings.base_path })
    }
}
