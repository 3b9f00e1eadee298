//! The numbers of one worker, on cache lines that no other worker touches.

use std::sync::atomic::AtomicU64;

use super::histogram::Histogram;
use super::labels::{
    DecisionLabels, Kind, Outcome, StatusClass, UpstreamFailure, category_index, mode_index,
};
use crate::consent::Category;
use crate::consent::lookup::Source;
use crate::policy::Mode;

/// One worker's numbers. Aligned to two cache lines, because processors fetch lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Cells {
    /// By tenant in configured order; the last stands for senders of nobody.
    tenants: Box<[TenantCells]>,
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

impl Cells {
    pub(super) fn new(tenants: usize) -> Self {
        Self {
            tenants: std::iter::repeat_with(TenantCells::default).take(tenants + 1).collect(),
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

    /// The cell of a decision. A tenant that is not configured counts as unknown.
    pub(super) fn decision(&self, labels: DecisionLabels) -> Option<&AtomicU64> {
        let (unknown, known) = self.tenants.split_last()?;
        let tenant = labels.tenant.and_then(|index| known.get(index)).unwrap_or(unknown);
        let category = tenant.0.get(category_index(labels.category))?;
        category.get(mode_index(labels.mode))?.get(labels.outcome.index())
    }

    pub(super) fn lookup(&self, source: Source) -> &Histogram {
        match source {
            Source::Cache => &self.cache_seconds,
            Source::Store => &self.store_seconds,
        }
    }
}
