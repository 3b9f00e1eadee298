//! What a store is opened with. Knows no configuration file.

use std::path::PathBuf;
use std::time::Duration;

use super::naming::Form;
use super::redis;
use crate::consent::redact::Redacted;
use crate::consent::terms::Terms;

/// What a store is opened with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which store, and where.
    pub kind: Kind,
    /// After how long a lookup answers [`Lookup::Unavailable`](crate::consent::Lookup::Unavailable).
    pub lookup_deadline: Duration,
    /// How many records the cache in front holds.
    pub cache_capacity: u64,
    /// The configured tenants' names; a tenant's place in this list names it in every call. [`super::ConsentStore::name_tenants`] adds to it.
    pub tenants: Vec<String>,
    /// When their grants end by what they say, in the same order; a tenant beyond the end of the list sets no terms.
    pub terms: Vec<Terms>,
    /// Whether recipients are kept as numbers or as keyed hashes. A store keeps the form that it was made with.
    pub form: Form,
    /// The key of the hashes; `None` takes the store's own, which is made with it. A store keeps the one that it was made with.
    pub recipients_key: Option<Redacted<[u8; 32]>>,
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
