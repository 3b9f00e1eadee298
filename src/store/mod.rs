//! The consent store: what recipients have agreed to, kept durably and answered fast.
//!
//! Owns keys, transactions, the cache in front and its freshness. All reasoning about consent is [`crate::consent::dossier`]'s: the store loads, lets it
//! learn and settle, and writes. Knows neither HTTP nor policy.

mod burial;
mod cache;
mod confirming;
mod embedded;
mod erasure;
mod error;
mod fence;
mod file;
mod front;
mod groups;
mod learning;
mod link;
mod naming;
pub mod notes;
mod people;
mod place;
pub mod queue;
pub mod redis;
mod renewals;
mod rows;
mod settings;
mod stamps;
mod sync;
mod tickets;
mod wordings;

#[cfg(test)]
mod front_tests;
#[cfg(test)]
mod model;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use crate::consent::dossier::{Dossier, Provenance};
use crate::consent::lookup::Source;
use crate::consent::terms::{Terms, Validity, WordingNumbers};
use crate::consent::{Clock, Event, Lookup, RecipientKey, TenantId};
use crate::metrics::Metrics;

pub use confirming::Ask as ConfirmationAsk;
pub use erasure::{Erasure, Residue};
pub use error::{OpenError, StoreError};
pub use fence::{Fence, Sentry};
pub use groups::{Group, GroupMark};
pub use naming::Form;
pub use rows::{Counted, RowPage, Rows, StoredRow};
pub use settings::{Kind, Settings};

use embedded::Embedded;
use front::Front;
use naming::{Identities, Identity, Names};
use place::Place;
use redis::Redis;
use wordings::Wordings;

/// An event on its way into the store.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Its tenant, by place in [`Settings::tenants`].
    pub tenant: usize,
    /// What happened.
    pub event: Event,
    /// How far the links that it names are to be trusted.
    pub provenance: Provenance,
    /// Whether an export tells it: its links were weighed by whoever heard it first.
    pub retold: bool,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is stored and in force.
    Applied,
    /// It changes nothing that a send is judged by; the text says why.
    Ignored(&'static str),
}

/// The answer to a lookup and where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the store knows.
    pub lookup: Lookup,
    /// Where that stood.
    pub source: Source,
}

/// How the store is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether it answers and accepts events.
    pub up: bool,
    /// What an operator should know, each with its remedy.
    pub warnings: Vec<String>,
}

/// The consent store, whichever kind was configured; cheap to clone.
#[derive(Clone)]
pub struct ConsentStore {
    inner: Arc<Inner>,
}

struct Inner {
    /// The tenants' numbers and the naming of recipients; none until the store has told them.
    identity: Identities,
    clock: Clock,
    lookup_deadline: Duration,
    front: Arc<Front>,
    wordings: Arc<Wordings>,
    backend: Backend,
    /// What a withdrawal waits for before it is acknowledged.
    fence: OnceLock<Fence>,
}

enum Backend {
    Embedded(Embedded),
    Redis(Redis),
}

/// Some dossiers of a tenant, and where to go on.
#[derive(Debug)]
pub struct Page {
    /// Each with its key. An embedded store brings each once; Redis may bring one again while others are written.
    pub dossiers: Vec<(RecipientKey, Dossier)>,
    /// What to ask for next; `None` is the end.
    pub next: Option<Cursor>,
}

/// A place between two pages.
#[derive(Clone, Debug)]
pub struct Cursor(At);

#[derive(Clone, Debug)]
enum At {
    /// After this key.
    Key(RecipientKey),
    Scan(redis::Position),
}

impl std::fmt::Debug for ConsentStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsentStore").finish_non_exhaustive()
    }
}

impl ConsentStore {
    /// Opens the store and allocates the numbers of tenants that it does not know yet.
    pub async fn open(settings: Settings, clock: Clock) -> Result<Self, OpenError> {
        let wordings = Arc::new(Wordings::new(settings.terms));
        let names = Names {
            tenants: settings.tenants,
            form: settings.form,
            key: settings.recipients_key,
            wordings: Arc::clone(&wordings),
        };
        // One process owns an embedded store's file and tells its own cache of every write: entries need no maximum age.
        let max_age = match &settings.kind {
            Kind::Embedded { .. } => None,
            Kind::Redis(_) => Some(redis::MAX_AGE),
        };
        let front = Arc::new(Front::new(settings.cache_capacity, max_age, clock.clone()));
        let (backend, identity) = match settings.kind {
            Kind::Embedded { path } => {
                let (store, identity) = Embedded::open(path, names, front.clone()).await?;
                (Backend::Embedded(store), Arc::new(ArcSwapOption::from_pointee(identity)))
            }
            Kind::Redis(server) => {
                let (store, identity) = Redis::open(&server, names, front.clone()).await?;
                (Backend::Redis(store), identity)
            }
        };
        let (lookup_deadline, fence) = (settings.lookup_deadline, OnceLock::new());
        let inner = Inner { identity, clock, lookup_deadline, front, wordings, backend, fence };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Keeps the metrics of the store up to date from now on.
    pub fn report_to(&self, metrics: Metrics) {
        match &self.inner.backend {
            // Only this process writes the file: its cache hears of everything.
            Backend::Embedded(_) => metrics.set_invalidation_up(true),
            Backend::Redis(store) => store.report_to(metrics),
        }
    }

    /// Counts up when template lists may have been changed by another node, or could not be read before; `None` if no other node can.
    pub fn templates_changed(&self) -> Option<watch::Receiver<u64>> {
        match &self.inner.backend {
            Backend::Embedded(_) => None,
            Backend::Redis(store) => Some(store.templates_changed()),
        }
    }

    /// What is known about a recipient. Never fails and never outlasts the deadline: a store that cannot answer in time is [`Lookup::Unavailable`].
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing; others who wait for the same record ask again themselves.
    pub async fn lookup(&self, tenant: usize, key: &RecipientKey) -> Answer {
        let Ok(place) = self.place(tenant, key) else {
            return Answer { lookup: Lookup::Unavailable, source: Source::Store };
        };
        if let Some(lookup) = self.inner.front.cached(&place) {
            return Answer { lookup, source: Source::Cache };
        }
        // A miss is rare, and its future large: kept out of the one that every send carries.
        Box::pin(self.fetch(place)).await
    }

    async fn fetch(&self, place: Place) -> Answer {
        match &self.inner.backend {
            Backend::Embedded(store) => {
                let fetch = || std::future::ready(store.gate_record(&place));
                self.inner.front.fetch(&place, self.inner.lookup_deadline, fetch).await
            }
            Backend::Redis(store) => {
                let fetch = || store.gate_record(&place);
                self.inner.front.fetch(&place, self.inner.lookup_deadline, fetch).await
            }
        }
    }

    /// When a tenant's grants end by what the tenant says; `None` if it says nothing. Every record that [`ConsentStore::lookup`] gives is judged by it.
    pub fn validity(&self, tenant: usize) -> Option<Arc<Validity>> {
        self.inner.wordings.validity(tenant)
    }

    /// The numbers of a tenant's wordings, by which its gate records are written.
    pub fn wording_numbers(&self, tenant: usize) -> Result<WordingNumbers, StoreError> {
        Ok(self.inner.wordings.numbers(self.tenant(tenant)?))
    }

    /// From now on a withdrawal is acknowledged only once what was permitted before it has left. The first fence stays.
    pub fn stand_behind(&self, fence: Fence) {
        let _ = self.inner.fence.set(fence);
    }

    /// Waits until nothing that was judged before can still leave.
    async fn pass_fence(&self) {
        if let Some(fence) = self.inner.fence.get() {
            fence.passed().await;
        }
    }

    /// Names the tenants anew: those of before at their places, and after them new ones, which get numbers. Their terms are in force when this returns.
    ///
    /// # Cancel safety
    /// Dropped, the new ones may have numbers already; asking again finds them.
    pub async fn name_tenants(&self, names: Vec<String>, terms: Vec<Terms>) -> Result<(), StoreError> {
        let terms: Arc<[Terms]> = terms.into();
        match &self.inner.backend {
            Backend::Embedded(store) => {
                let (tenants, wordings) = store.number(names, Arc::clone(&terms)).await?;
                self.inner.wordings.settle(terms, &tenants, wordings);
                let naming = self.identity()?.naming.clone();
                self.inner.identity.store(Some(Arc::new(Identity { tenants, naming })));
                Ok(())
            }
            Backend::Redis(store) => store.number(names, terms).await,
        }
    }

    /// The first `limit` dossiers of a tenant, tombstones among them, or the next ones after a page. Whoever came back after an erasure has both.
    pub async fn page(&self, tenant: usize, after: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        let tenant = self.tenant(tenant)?;
        match &self.inner.backend {
            Backend::Embedded(store) => {
                let after = after.and_then(|Cursor(at)| match at {
                    At::Key(key) => Some(key),
                    At::Scan(_) => None,
                });
                let dossiers = store.page(tenant, after, limit).await?;
                let next = dossiers.last().map(|(key, _)| Cursor(At::Key(key.clone())));
                Ok(Page { dossiers, next })
            }
            Backend::Redis(store) => {
                let after = after.and_then(|Cursor(at)| match at {
                    At::Key(_) => None,
                    At::Scan(position) => Some(position),
                });
                let (dossiers, next) = store.page(tenant, after, limit).await?;
                Ok(Page { dossiers, next: next.map(|position| Cursor(At::Scan(position))) })
            }
        }
    }

    /// The keys of a tenant's recipients that are wanted, at most `limit`.
    ///
    /// Looks at every recipient's key: for a question that a person asks now and then.
    pub async fn find(
        &self,
        tenant: usize,
        limit: usize,
        wanted: impl Fn(&RecipientKey) -> bool + Send + 'static,
    ) -> Result<Vec<RecipientKey>, StoreError> {
        let tenant = self.tenant(tenant)?;
        match &self.inner.backend {
            Backend::Embedded(store) => store.find(tenant, limit, wanted).await,
            Backend::Redis(store) => store.find(tenant, limit, wanted).await,
        }
    }

    /// Keeps an account's template list if the stored one is still `before`; gives whether it was.
    pub async fn swap_templates(
        &self,
        account: &str,
        before: Option<Vec<u8>>,
        list: Vec<u8>,
    ) -> Result<bool, StoreError> {
        match &self.inner.backend {
            Backend::Embedded(store) => store.swap_templates(account, before, list).await,
            Backend::Redis(store) => store.swap_templates(account, before, list).await,
        }
    }

    /// An account's template list.
    pub async fn template_list(&self, account: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match &self.inner.backend {
            Backend::Embedded(store) => store.template_list(account).await,
            Backend::Redis(store) => store.template_list(account).await,
        }
    }

    /// Every account's template list.
    pub async fn templates(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        match &self.inner.backend {
            Backend::Embedded(store) => store.templates().await,
            Backend::Redis(store) => store.templates().await,
        }
    }

    /// A secret that is made once from the system's randomness and then kept, so that every node and every start shares it.
    pub async fn secret(&self, name: &str) -> Result<[u8; 32], StoreError> {
        match &self.inner.backend {
            Backend::Embedded(store) => store.secret(name).await,
            Backend::Redis(store) => store.secret(name).await,
        }
    }

    /// How the store is doing, without asking it.
    pub fn health(&self) -> Health {
        let mut health = match &self.inner.backend {
            Backend::Embedded(store) => store.health(),
            Backend::Redis(store) => store.health(),
        };
        health.up &= self.inner.identity.load().is_some();
        health
    }

    /// Whether other nodes may ask the same store.
    pub fn is_shared(&self) -> bool {
        matches!(self.inner.backend, Backend::Redis(_))
    }

    /// Whether every change that is written elsewhere reaches this node's cache. While it does not, no cached grant is trusted.
    pub fn hears_changes(&self) -> bool {
        matches!(self.inner.front.link.state(), link::State::Live(_))
    }

    /// Writes what is queued, then lets go of the store. Lookups answer [`Lookup::Unavailable`] afterwards.
    pub async fn close(&self) {
        match &self.inner.backend {
            Backend::Embedded(store) => store.close().await,
            Backend::Redis(store) => store.close(),
        }
    }

    fn identity(&self) -> Result<Arc<Identity>, StoreError> {
        self.inner.identity.load_full().ok_or(StoreError::NotReady)
    }

    fn tenant(&self, tenant: usize) -> Result<TenantId, StoreError> {
        let identity = self.inner.identity.load();
        let identity = identity.as_deref().ok_or(StoreError::NotReady)?;
        identity.tenants.get(tenant).copied().ok_or(StoreError::UnknownTenant)
    }

    fn place(&self, tenant: usize, key: &RecipientKey) -> Result<Place, StoreError> {
        let identity = self.inner.identity.load();
        let identity = identity.as_deref().ok_or(StoreError::NotReady)?;
        let tenant = identity.tenants.get(tenant).copied().ok_or(StoreError::UnknownTenant)?;
        Ok(identity.naming.place(tenant, key))
    }
}
