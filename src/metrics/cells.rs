//! The numbers of one worker, on cache lines that no other worker touches.

use std::sync::atomic::{AtomicU64, Ordering};

use super::histogram::Histogram;
use super::labels::{
    DecisionLabels, Kind, Outcome, StatusClass, UpstreamFailure, category_index, mode_index,
};
use super::shelves::Shelves;
use crate::consent::Category;
use crate::consent::lookup::Source;
use crate::policy::Mode;

/// Adds to a number to which no other thread writes, modulo 2^64: without the lock on its cache line that an atomic addition takes.
pub(super) fn add(number: &AtomicU64, more: u64) {
    number.store(number.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

/// One worker's numbers. Aligned to two cache lines, because processors fetch lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Cells {
    /// By the tenant's place.
    tenants: Shelves<TenantCells>,
    /// For senders of nobody.
    unknown: TenantCells,
    pub(super) requests: [AtomicU64; Kind::ALL.len()],
    pub(super) aborted: AtomicU64,
    pub(super) upstream_failures: [AtomicU64; UpstreamFailure::ALL.len()],
    pub(super) fail_open: [AtomicU64; Category::ALL.len()],
    /// Goes up and down; summed modulo 2^64 over the workers it is never negative.
    pub(super) in_flight: AtomicU64,
    pub(super) decision_seconds: Histogram,
    pub(super) added_seconds: Histogram,
    cache_seconds: Histogram,
    store_seconds: Histogram,
    pub(super) upstream_seconds: [Histogram; StatusClass::ALL.len()],
}

/// One tenant's decisions, by category, mode and outcome.
#[derive(Debug, Default)]
#[repr(align(128))]
struct TenantCells([[[AtomicU64; Outcome::COUNT]; Mode::ALL.len()]; Category::ALL.len() + 1]);

impl TenantCells {
    fn cell(&self, labels: DecisionLabels) -> Option<&AtomicU64> {
        let category = self.0.get(category_index(labels.category))?;
        category.get(mode_index(labels.mode))?.get(labels.outcome.index())
    }
}

impl Cells {
    pub(super) fn new() -> Self {
        Self {
            tenants: Shelves::default(),
            unknown: TenantCells::default(),
            requests: Default::default(),
            aborted: AtomicU64::default(),
            upstream_failures: Default::default(),
            fail_open: Default::default(),
            in_flight: AtomicU64::default(),
            decision_seconds: Histogram::default(),
            added_seconds: Histogram::default(),
            cache_seconds: Histogram::default(),
            store_seconds: Histogram::default(),
            upstream_seconds: Default::default(),
        }
    }

    /// The cell in which a decision is counted.
    pub(super) fn decision(&self, labels: DecisionLabels) -> Option<&AtomicU64> {
        let tenant = labels.tenant.and_then(|place| self.tenants.get_or_make(place));
        tenant.unwrap_or(&self.unknown).cell(labels)
    }

    /// The same to be read: `None` if nothing was ever counted near it.
    pub(super) fn decided(&self, labels: DecisionLabels) -> Option<&AtomicU64> {
        let tenant = labels.tenant.map_or(Some(&self.unknown), |place| self.tenants.get(place));
        tenant?.cell(labels)
    }

    pub(super) fn lookup(&self, source: Source) -> &Histogram {
        match source {
            Source::Cache => &self.cache_seconds,
            Source::Store => &self.store_seconds,
        }
    }
}
