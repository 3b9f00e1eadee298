//! The consent store: what recipients have agreed to, kept durably and answered fast.
//!
//! Owns keys, transactions, the cache in front and its freshness. All reasoning about consent is [`crate::consent::dossier`]'s: the store loads, lets it
//! learn and settle, and writes. Knows neither HTTP nor policy.

mod cache;
mod embedded;
mod error;
mod fence;
mod front;
mod learning;
mod link;
mod place;
pub mod redis;
mod rows;
mod stamps;
mod sync;
mod tickets;

#[cfg(test)]
mod front_tests;
#[cfg(test)]
mod model;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use crate::consent::dossier::{Dossier, Provenance};
use crate::consent::lookup::Source;
use crate::consent::{Clock, Event, Lookup, RecipientKey, TenantId};
use crate::metrics::Metrics;

pub use error::{OpenError, StoreError};
pub use fence::{Fence, Sentry};
pub use rows::{RowPage, Rows, StoredRow};

use embedded::Embedded;
use front::Front;
use place::Place;
use redis::Redis;

/// What a store is opened with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which store, and where.
    pub kind: Kind,
    /// After how long a lookup answers [`Lookup::Unavailable`].
    pub lookup_deadline: Duration,
    /// How many records the cache in front holds.
    pub cache_capacity: u64,
    /// The configured tenants' names; a tenant's place in this list names it in every call. [`ConsentStore::name_tenants`] adds to it.
    pub tenants: Vec<String>,
}

impl Settings {
    /// The default of [`Settings::lookup_deadline`].
    pub const LOOKUP_DEADLINE: Duration = Duration::from_millis(50);
    /// The default of [`Settings::cache_capacity`].
    pub const CACHE_CAPACITY: u64 = 1_000_000;
}

/// The kinds of store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file of this process alone: durable, needs no server.
    Embedded {
        /// The file; made, with its folders, if it does not exist.
        path: PathBuf,
    },
    /// A Redis server, shared with other nodes.
    Redis(redis::Settings),
}

/// An event on its way into the store.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Its tenant, by place in [`Settings::tenants`].
    pub tenant: usize,
    /// What happened.
    pub event: Event,
    /// How far the links that it names are to be trusted.
    pub provenance: Provenance,
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
    /// The store's own number of each configured tenant, in configured order; none until the store has told them.
    tenants: redis::Numbers,
    lookup_deadline: Duration,
    front: Arc<Front>,
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
        match settings.kind {
            Kind::Embedded { path } => {
                // One process owns the file and tells its own cache of every write: entries need no maximum age.
                let front = Arc::new(Front::new(settings.cache_capacity, None, clock));
                let (backend, tenants) = Embedded::open(path, settings.tenants, front.clone()).await?;
                let backend = Backend::Embedded(backend);
                let tenants = Arc::new(ArcSwapOption::from_pointee(tenants));
                let fence = OnceLock::new();
                let inner =
                    Inner { tenants, lookup_deadline: settings.lookup_deadline, front, backend, fence };
                Ok(Self { inner: Arc::new(inner) })
            }
            Kind::Redis(server) => {
                let front = Arc::new(Front::new(settings.cache_capacity, Some(redis::MAX_AGE), clock));
                let (backend, tenants) = Redis::open(&server, settings.tenants, front.clone()).await?;
                let backend = Backend::Redis(backend);
                let fence = OnceLock::new();
                let inner =
                    Inner { tenants, lookup_deadline: settings.lookup_deadline, front, backend, fence };
                Ok(Self { inner: Arc::new(inner) })
            }
        }
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
        let Some(place) = self.place(tenant, key) else {
            return Answer { lookup: Lookup::Unavailable, source: Source::Store };
        };
        if let Some(lookup) = self.inner.front.cached(&place) {
            return Answer { lookup, source: Source::Cache };
        }
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

    /// Stores events and returns what became of each, in order, once they are durable and this node enforces them.
    ///
    /// Withdrawals reach every linked identity in the same step. If an error is returned nothing is acknowledged; repeating the events is harmless.
    ///
    /// # Cancel safety
    /// Dropping the future does not take the events back.
    pub async fn apply(&self, incoming: Vec<Incoming>) -> Result<Vec<Outcome>, StoreError> {
        let withdraws = incoming.iter().any(|incoming| incoming.event.kind.withdraws());
        let mut events = Vec::with_capacity(incoming.len());
        for incoming in incoming {
            let tenant = self.tenant(incoming.tenant)?;
            events.push(learning::Lesson { tenant, event: incoming.event, provenance: incoming.provenance });
        }
        let outcomes = match &self.inner.backend {
            Backend::Embedded(store) => store.apply(events).await,
            Backend::Redis(store) => store.apply(events).await,
        }?;
        if withdraws {
            self.pass_fence().await;
        }
        Ok(outcomes)
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

    /// Names the tenants anew: those of before at their places, and after them new ones, which get numbers.
    ///
    /// # Cancel safety
    /// Dropped, the new ones may have numbers already; asking again finds them.
    pub async fn name_tenants(&self, names: Vec<String>) -> Result<(), StoreError> {
        match &self.inner.backend {
            Backend::Embedded(store) => {
                let numbers = store.number(names).await?;
                self.inner.tenants.store(Some(Arc::new(numbers)));
                Ok(())
            }
            Backend::Redis(store) => store.number(names).await,
        }
    }

    /// Everything known about a recipient.
    pub async fn dossier(&self, tenant: usize, key: &RecipientKey) -> Result<Option<Dossier>, StoreError> {
        let place = Place { tenant: self.tenant(tenant)?, key: key.clone() };
        match &self.inner.backend {
            Backend::Embedded(store) => store.dossier(place).await,
            Backend::Redis(store) => store.dossier(place).await,
        }
    }

    /// The first `limit` dossiers of a tenant, or the next ones after a page.
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
                let (dossiers, next) = store.page(tenant, after.unwrap_or_default(), limit).await?;
                Ok(Page { dossiers, next: next.map(|position| Cursor(At::Scan(position))) })
            }
        }
    }

    /// Keeps an account's template list, in place of the one before.
    pub async fn put_templates(&self, account: &str, list: Vec<u8>) -> Result<(), StoreError> {
        match &self.inner.backend {
            Backend::Embedded(store) => store.put_templates(account, list).await,
            Backend::Redis(store) => store.put_templates(account, list).await,
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
        health.up &= self.inner.tenants.load().is_some();
        health
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

    fn tenant(&self, tenant: usize) -> Result<TenantId, StoreError> {
        let tenants = self.inner.tenants.load();
        let tenants = tenants.as_deref().ok_or(StoreError::NotReady)?;
        tenants.get(tenant).copied().ok_or(StoreError::UnknownTenant)
    }

    /// Copies a number and counts up a user id's reference: nothing is allocated on the hot path.
    fn place(&self, tenant: usize, key: &RecipientKey) -> Option<Place> {
        Some(Place { tenant: self.tenant(tenant).ok()?, key: key.clone() })
    }
}
