//! The numbers that the store gave wording versions, and the tenants' terms laid out by them.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::consent::dossier::Dossier;
use crate::consent::terms::{Terms, Validity, WordingNumbers};
use crate::consent::{GateRecord, TenantId};

/// Every configured tenant's wordings. Until the store has told their numbers, none has one: everything counts as unlisted, which is stricter.
pub(super) struct Wordings {
    /// By the tenants' places in the configuration.
    terms: Vec<Terms>,
    settled: ArcSwap<Settled>,
}

#[derive(Default)]
struct Settled {
    numbers: HashMap<TenantId, WordingNumbers, ahash::RandomState>,
    /// By the tenants' places; nothing where the configuration sets no terms.
    validities: Vec<Option<Arc<Validity>>>,
}

impl Wordings {
    pub(super) fn new(terms: Vec<Terms>) -> Self {
        let wordings = Self { terms, settled: ArcSwap::default() };
        wordings.settle(&[], HashMap::default());
        wordings
    }

    /// The versions that a tenant lists, by the tenant's place.
    pub(super) fn listed(&self, tenant: usize) -> impl Iterator<Item = &str> {
        let terms = self.terms.get(tenant);
        terms.into_iter().flat_map(|terms| &terms.wordings).map(|wording| wording.version.as_str())
    }

    /// Takes in what the store says; `tenants` are the numbers of the configured ones, in their order.
    pub(super) fn settle(
        &self,
        tenants: &[TenantId],
        numbers: HashMap<TenantId, WordingNumbers, ahash::RandomState>,
    ) {
        let unnumbered = WordingNumbers::default();
        let validity = |(place, terms): (usize, &Terms)| {
            let known = tenants.get(place).and_then(|tenant| numbers.get(tenant)).unwrap_or(&unnumbered);
            (*terms != Terms::default()).then(|| Arc::new(Validity::of(terms, known)))
        };
        let validities = self.terms.iter().enumerate().map(validity).collect();
        self.settled.store(Arc::new(Settled { numbers, validities }));
    }

    /// The terms of a tenant, by its place; `None` if it sets none.
    pub(super) fn validity(&self, tenant: usize) -> Option<Arc<Validity>> {
        // Most gates set no terms: then nothing is loaded.
        let sets_any = self.terms.get(tenant).is_some_and(|terms| *terms != Terms::default());
        if sets_any { self.settled.load().validities.get(tenant).cloned().flatten() } else { None }
    }

    /// What the hot path will read of a dossier.
    pub(super) fn gate_record(&self, tenant: TenantId, dossier: &Dossier) -> GateRecord {
        let settled = self.settled.load();
        let unnumbered = WordingNumbers::default();
        dossier.record().gate_record(settled.numbers.get(&tenant).unwrap_or(&unnumbered))
    }

    /// The number that a version is known by here; 0 if it has none.
    pub(super) fn number(&self, tenant: TenantId, version: &str) -> u8 {
        self.settled.load().numbers.get(&tenant).map_or(0, |numbers| numbers.of(Some(version)))
    }
}
