//! The numbers that the store gave wording versions, and the tenants' terms laid out by them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;

use crate::consent::dossier::Dossier;
use crate::consent::terms::{Terms, Validity, WordingNumbers};
use crate::consent::{GateRecord, TenantId};

/// Every tenant's wording numbers, those of versions that are listed no longer included.
pub(super) type AllNumbers = HashMap<TenantId, WordingNumbers, ahash::RandomState>;

/// Every tenant's terms. Until the store has told the numbers of their wordings none has one: everything counts as unlisted, which is stricter.
#[derive(Debug)]
pub(super) struct Wordings {
    /// Whether any tenant sets terms; most gates have none, and then nothing else is looked at on the way of a send.
    set: AtomicBool,
    settled: ArcSwap<Settled>,
}

#[derive(Debug, Default)]
struct Settled {
    /// By the tenants' places.
    terms: Arc<[Terms]>,
    numbers: AllNumbers,
    /// By the tenants' places; nothing where no terms are set.
    validities: Vec<Option<Arc<Validity>>>,
}

impl Wordings {
    pub(super) fn new(terms: Vec<Terms>) -> Self {
        let wordings = Self { set: AtomicBool::new(false), settled: ArcSwap::default() };
        wordings.settle(terms.into(), &[], AllNumbers::default());
        wordings
    }

    /// The terms in force, by the tenants' places.
    pub(super) fn terms(&self) -> Arc<[Terms]> {
        Arc::clone(&self.settled.load().terms)
    }

    /// Puts terms in force, with what the store says; `tenants` are the tenants' numbers, by their places.
    pub(super) fn settle(&self, terms: Arc<[Terms]>, tenants: &[TenantId], numbers: AllNumbers) {
        let unnumbered = WordingNumbers::default();
        let validity = |(place, terms): (usize, &Terms)| {
            let known = tenants.get(place).and_then(|tenant| numbers.get(tenant)).unwrap_or(&unnumbered);
            (*terms != Terms::default()).then(|| Arc::new(Validity::of(terms, known)))
        };
        let validities: Vec<_> = terms.iter().enumerate().map(validity).collect();
        let set = validities.iter().any(Option::is_some);
        self.settled.store(Arc::new(Settled { terms, numbers, validities }));
        self.set.store(set, Ordering::Release);
    }

    /// The terms of a tenant, ready for judging; `None` if it sets none.
    pub(super) fn validity(&self, tenant: usize) -> Option<Arc<Validity>> {
        if !self.set.load(Ordering::Acquire) {
            return None;
        }
        self.settled.load().validities.get(tenant).cloned().flatten()
    }

    /// What the hot path will read of a dossier.
    pub(super) fn gate_record(&self, tenant: TenantId, dossier: &Dossier) -> GateRecord {
        let settled = self.settled.load();
        let unnumbered = WordingNumbers::default();
        dossier.record().gate_record(settled.numbers.get(&tenant).unwrap_or(&unnumbered))
    }

    /// The numbers that a tenant's versions are known by here.
    pub(super) fn numbers(&self, tenant: TenantId) -> WordingNumbers {
        self.settled.load().numbers.get(&tenant).cloned().unwrap_or_default()
    }

    /// The number that a version is known by here; 0 if it has none.
    pub(super) fn number(&self, tenant: TenantId, version: &str) -> u8 {
        self.settled.load().numbers.get(&tenant).map_or(0, |numbers| numbers.of(Some(version)))
    }
}

/// The versions that a tenant lists, by its place.
pub(super) fn listed(terms: &[Terms], tenant: usize) -> impl Iterator<Item = &str> {
    let terms = terms.get(tenant);
    terms.into_iter().flat_map(|terms| &terms.wordings).map(|wording| wording.version.as_str())
}
