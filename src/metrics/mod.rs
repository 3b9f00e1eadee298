//! Counters and histograms of the gate, and the page on which Prometheus reads them.
//!
//! Every worker counts in cells of its own, so that cores share no cache line on the way of a send; a scrape adds the cells up.
//! Labels are closed enums from the floors below and configured tenant names (a reload may add some), so a request cannot make a new time series.
//! Knows neither HTTP nor who serves the page.

mod cells;
mod histogram;
#[macro_use]
mod labels;
mod page;
mod queue;
mod sender_page;
mod senders;
mod shelves;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::consent::lookup::Source;
use crate::consent::{Category, Timestamp};
use cells::Cells;
use histogram::Histogram;
use senders::SenderNumbers;

pub use labels::{
    AnswerLink, AuthFailure, DecisionLabels, Kind, Outcome, PollResult, Reload, StatusClass, StatusResult,
    TemplateLookup, TemplateSync, UpstreamFailure, WebhookOutcome,
};
pub use senders::{Moments, SenderState};

pub use queue::Delivery;

/// The media type of the page that [`Metrics::render`] gives.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Every number that the gate shows. Clones are handles to the same numbers.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Hub>);

/// What all handles share.
#[derive(Debug)]
struct Hub {
    /// By their places; a reload adds to the end.
    tenants: ArcSwap<Vec<String>>,
    /// One for each handle of a worker.
    workers: Mutex<Vec<Arc<Cells>>>,
    started: Timestamp,
    store_up: AtomicBool,
    invalidation_up: AtomicBool,
    decision_log_dropped: AtomicU64,
    /// By the tenants' places.
    legacy_grants: Mutex<BTreeMap<usize, u64>>,
    auth_failures: [AtomicU64; AuthFailure::ALL.len()],
    decisions_not_kept: AtomicU64,
    reload_ok: AtomicBool,
    reloads: [AtomicU64; Reload::ALL.len()],
    /// By [`WebhookOutcome`].
    webhooks: [AtomicU64; WebhookOutcome::ALL.len()],
    webhook_items_unreadable: AtomicU64,
    queue: queue::QueueCells,
    senders: SenderNumbers,
    propagation: Histogram,
    template_syncs: [AtomicU64; TemplateSync::ALL.len()],
    template_lookups: [AtomicU64; TemplateLookup::ALL.len()],
    /// By account and by who gave the list.
    template_ages: Mutex<Vec<TemplateAge>>,
}

impl Hub {
    fn workers(&self) -> MutexGuard<'_, Vec<Arc<Cells>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An account, who gave its template list, and how long ago that list was whole.
pub type TemplateAge = (String, &'static str, Duration);

impl Metrics {
    /// With tenants in configured order.
    pub fn new(tenants: &[String]) -> Self {
        Self(Arc::new(Hub {
            tenants: ArcSwap::from_pointee(tenants.to_vec()),
            workers: Mutex::default(),
            started: crate::consent::Clock::System.now(),
            store_up: AtomicBool::new(false),
            invalidation_up: AtomicBool::new(false),
            decision_log_dropped: AtomicU64::new(0),
            legacy_grants: Mutex::default(),
            auth_failures: Default::default(),
            decisions_not_kept: AtomicU64::new(0),
            reload_ok: AtomicBool::new(true),
            reloads: Default::default(),
            webhooks: Default::default(),
            webhook_items_unreadable: AtomicU64::new(0),
            queue: queue::QueueCells::default(),
            senders: SenderNumbers::default(),
            propagation: Histogram::default(),
            template_syncs: Default::default(),
            template_lookups: Default::default(),
            template_ages: Mutex::default(),
        }))
    }

    /// The handle with which a worker counts, in cells of its own.
    pub fn worker(&self) -> WorkerMetrics {
        let cells = Arc::new(Cells::new());
        self.0.workers().push(Arc::clone(&cells));
        WorkerMetrics { cells, alone: PhantomData }
    }

    /// The tenants' names, in the order of the indexes in [`DecisionLabels`].
    pub fn tenants(&self) -> Arc<Vec<String>> {
        self.0.tenants.load_full()
    }

    /// Names the tenants anew: those of before at their places, new ones after them.
    pub fn set_tenants(&self, names: Vec<String>) {
        self.0.tenants.store(Arc::new(names));
    }

    /// How an attempt to reload the configuration went; the last one is what the gauge shows.
    pub fn reloaded(&self, how: Reload) {
        self.0.reload_ok.store(how == Reload::Ok, Ordering::Relaxed);
        bump(self.0.reloads.get(how.index()));
    }

    /// Whether the consent store answers.
    pub fn set_store_up(&self, up: bool) {
        self.0.store_up.store(up, Ordering::Relaxed);
    }

    /// Whether withdrawals written elsewhere reach this node's cache; true for a store that only this node writes.
    pub fn set_invalidation_up(&self, up: bool) {
        self.0.invalidation_up.store(up, Ordering::Relaxed);
    }

    /// How long a change took from the store to this node's cache.
    pub fn observe_propagation(&self, took: Duration) {
        self.0.propagation.observe(took);
    }

    /// Counts decisions that went unrecorded because the log was full and `on_full = "drop"`.
    pub fn decision_log_dropped(&self, events: u64) {
        self.0.decision_log_dropped.fetch_add(events, Ordering::Relaxed);
    }

    /// Counts a request to the admin API that was turned away.
    pub fn auth_failed(&self, why: AuthFailure) {
        bump(self.0.auth_failures.get(why.index()));
    }

    /// Counts decisions that were logged and could not be kept for explaining.
    pub fn decisions_not_kept(&self, decisions: u64) {
        self.0.decisions_not_kept.fetch_add(decisions, Ordering::Relaxed);
    }

    /// Counts one delivery of the provider's.
    pub fn webhook(&self, outcome: WebhookOutcome) {
        bump(self.0.webhooks.get(outcome.index()));
    }

    /// Counts items of genuine webhooks from which nothing could be learnt.
    pub fn webhook_items_unreadable(&self, items: u32) {
        self.0.webhook_items_unreadable.fetch_add(items.into(), Ordering::Relaxed);
    }

    /// Counts one reading of an account's template list.
    pub fn template_sync(&self, how: TemplateSync) {
        bump(self.0.template_syncs.get(how.index()));
    }

    /// Counts one look-up of a template, or a send that did not wait for one.
    pub fn template_lookup(&self, what: TemplateLookup) {
        bump(self.0.template_lookups.get(what.index()));
    }

    /// How old each account's template list is now.
    pub fn set_template_ages(&self, ages: Vec<TemplateAge>) {
        *self.0.template_ages.lock().unwrap_or_else(PoisonError::into_inner) = ages;
    }

    /// Counts a grant without evidence that was taken in from old records, by its tenant's place.
    pub fn legacy_grant(&self, tenant: usize) {
        let mut counts = self.0.legacy_grants.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(tenant).or_default() += 1;
    }

    /// The page, in OpenMetrics text; see [`CONTENT_TYPE`].
    pub fn render(&self) -> String {
        page::render(self)
    }
}

/// One worker's handle. It can be given to a thread and not be shared by two, so nobody else ever writes to its cells: counting takes no atomic addition, which costs
/// several times a plain one, and a send counts a dozen things.
#[derive(Debug)]
pub struct WorkerMetrics {
    cells: Arc<Cells>,
    /// Keeps it from being shared by threads.
    alone: PhantomData<Cell<()>>,
}

impl WorkerMetrics {
    /// Counts one request by what became of it. Each request that ends is counted here exactly once, or by [`WorkerMetrics::aborted`].
    pub fn request(&self, kind: Kind) {
        count(self.cells.requests.get(kind.index()));
    }

    /// Counts one decision; a batch counts each of its sends.
    pub fn decision(&self, labels: DecisionLabels) {
        count(self.cells.decision(labels));
    }

    /// Counts a send whose caller went away before it was decided.
    pub fn aborted(&self) {
        count(Some(&self.cells.aborted));
    }

    /// Counts an allowed send to which the upstream gave no answer.
    pub fn upstream_failed(&self, failure: UpstreamFailure) {
        count(self.cells.upstream_failures.get(failure.index()));
    }

    /// Counts a send that passed only because the store was away and the policy fails open.
    pub fn fail_open(&self, category: Category) {
        count(self.cells.fail_open.get(category.index()));
    }

    /// From the whole request read to the decision made, the lookup included.
    pub fn observe_decision(&self, took: Duration) {
        self.cells.decision_seconds.observe_alone(took);
    }

    /// All the time that the gate added to a send: until forwarding began, plus relaying the answer.
    pub fn observe_added(&self, took: Duration) {
        self.cells.added_seconds.observe_alone(took);
    }

    /// How long a lookup took, by where the answer came from.
    pub fn observe_lookup(&self, source: Source, took: Duration) {
        self.cells.lookup(source).observe_alone(took);
    }

    /// How long the upstream took to answer.
    pub fn observe_upstream(&self, class: StatusClass, took: Duration) {
        if let Some(histogram) = self.cells.upstream_seconds.get(class.index()) {
            histogram.observe_alone(took);
        }
    }

    /// Counts a request as in flight for as long as the guard lives.
    pub fn in_flight(&self) -> InFlight {
        cells::add(&self.cells.in_flight, 1);
        InFlight { cells: Arc::clone(&self.cells), here: PhantomData }
    }
}

/// A request in flight.
#[derive(Debug)]
#[must_use = "the request counts as in flight only while this lives"]
pub struct InFlight {
    cells: Arc<Cells>,
    /// Keeps it on the worker's thread, which alone writes to the cells.
    here: PhantomData<Rc<()>>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        cells::add(&self.cells.in_flight, u64::MAX);
    }
}

fn bump(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts in a cell to which no other thread writes.
fn count(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        cells::add(counter, 1);
    }
}

#[cfg(test)]
mod tests;
