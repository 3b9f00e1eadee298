//! The bounded cache of records that were found or found absent. Hides which cache library does it.

use std::time::Duration;

use crate::consent::{Clock, GateRecord, Lookup, Timestamp};

use super::link::Generation;
use super::place::Place;

/// What the cache holds about one place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// The record; `None` if the store said that there is none.
    pub(super) record: Option<GateRecord>,
    /// The generation in which it was fetched. Kept here because the library's own mass invalidation compares coarse times and lets some entries survive.
    pub(super) generation: Generation,
    filled_at: Timestamp,
}

impl Entry {
    /// The entry as the answer to a lookup.
    pub(super) fn lookup(&self) -> Lookup {
        self.record.map_or(Lookup::Absent, Lookup::Found)
    }

    /// Whether it could let a send through.
    fn permits_anything(&self) -> bool {
        self.record.is_some_and(|record| record.permits_anything())
    }
}

/// A bounded map of places to entries.
pub(super) struct Cache {
    entries: moka::sync::Cache<Place, Entry, ahash::RandomState>,
    /// The oldest that an entry which permits something may get, a backstop where changes come over a network.
    max_age: Option<Duration>,
    clock: Clock,
}

impl Cache {
    pub(super) fn new(capacity: u64, max_age: Option<Duration>, clock: Clock) -> Self {
        let entries =
            moka::sync::Cache::builder().max_capacity(capacity).build_with_hasher(ahash::RandomState::new());
        Self { entries, max_age, clock }
    }

    /// The entry of a place, unless it permits something and is too old.
    pub(super) fn get(&self, place: &Place) -> Option<Entry> {
        self.entries.get(place).filter(|entry| !self.too_old(entry))
    }

    /// The clock of the store.
    pub(super) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// A clock that was set back shows entries from the future: those are too old as well.
    fn too_old(&self, entry: &Entry) -> bool {
        let Some(max_age) = self.max_age.filter(|_| entry.permits_anything()) else { return false };
        let now = self.clock.now();
        now < entry.filled_at || now.since(entry.filled_at) > max_age
    }

    pub(super) fn put(&self, place: Place, record: Option<GateRecord>, generation: Generation) {
        let filled_at = if self.max_age.is_some() { self.clock.now() } else { Timestamp::EPOCH };
        self.entries.insert(place, Entry { record, generation, filled_at });
    }

    pub(super) fn remove(&self, place: &Place) {
        self.entries.invalidate(place);
    }
}
