//! The bounded cache of records that were found or found absent. Hides which cache library does it.

use std::time::Duration;

use quick_cache::UnitWeighter;
use quick_cache::sync::DefaultLifecycle;

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

/// How many entries there is room for from the start; an idle gate should be small.
const EXPECTED: usize = 10_000;

/// A bounded map of places to entries. A hit takes a shard's lock for reading and does no housekeeping: nobody's send waits for that.
pub(super) struct Cache {
    entries: quick_cache::sync::Cache<Place, Entry, UnitWeighter, ahash::RandomState>,
    /// The oldest that an entry which permits something may get, a backstop where changes come over a network.
    max_age: Option<Duration>,
    clock: Clock,
}

impl Cache {
    pub(super) fn new(capacity: u64, max_age: Option<Duration>, clock: Clock) -> Self {
        let expected = usize::try_from(capacity).map_or(EXPECTED, |capacity| capacity.min(EXPECTED));
        let hasher = ahash::RandomState::new();
        let entries = quick_cache::sync::Cache::with(
            expected,
            capacity,
            UnitWeighter,
            hasher,
            DefaultLifecycle::default(),
        );
        Self { entries, max_age, clock }
    }

    /// The entry of a place, unless it permits something and is too old.
    pub(super) fn get(&self, place: &Place) -> Option<Entry> {
        self.entries.get(place).filter(|entry| !self.too_old(entry))
    }

    /// The record of a place, whatever its age: for what it withdraws.
    pub(super) fn recall(&self, place: &Place) -> Option<GateRecord> {
        self.entries.get(place).and_then(|entry| entry.record)
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
        self.entries.remove(place);
    }
}
