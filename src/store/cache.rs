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
    /// When it was asked for, at the latest.
    asked_at: Timestamp,
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

/// How old an entry is that may still be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// It has its time.
    Fresh,
    /// It permits something and is in the last third of its time.
    Ageing,
}

/// How many entries there is room for from the start; an idle gate should be small.
const EXPECTED: usize = 10_000;

/// A bounded map of places to entries. A hit takes a shard's lock for reading and does no housekeeping: nobody's send waits for that.
pub(super) struct Cache {
    entries: quick_cache::sync::Cache<Place, Entry, UnitWeighter, ahash::RandomState>,
    /// The oldest that an entry which permits something may get, a backstop where changes come over a network.
    life: Option<Life>,
    clock: Clock,
}

/// The time of an entry.
#[derive(Clone, Copy, Debug)]
struct Life {
    /// When it begins to age.
    ages: Duration,
    /// When it is over.
    ends: Duration,
}

impl Life {
    fn of(max_age: Duration) -> Self {
        Self { ages: max_age.saturating_mul(2) / 3, ends: max_age }
    }
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
        Self { entries, life: max_age.map(Life::of), clock }
    }

    /// The entry of a place and its age, unless it permits something and is too old.
    pub(super) fn get(&self, place: &Place) -> Option<(Entry, Age)> {
        let entry = self.entries.get(place)?;
        let Some(life) = self.life.filter(|_| entry.permits_anything()) else {
            return Some((entry, Age::Fresh));
        };
        match self.age(&entry)? {
            age if age > life.ends => None,
            age if age > life.ages => Some((entry, Age::Ageing)),
            _ => Some((entry, Age::Fresh)),
        }
    }

    /// The record of a place, whatever its age: for what it withdraws.
    pub(super) fn recall(&self, place: &Place) -> Option<GateRecord> {
        self.entries.get(place).and_then(|entry| entry.record)
    }

    /// The clock of the store.
    pub(super) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// A clock that was set back shows entries from the future: nobody knows how old those are.
    fn age(&self, entry: &Entry) -> Option<Duration> {
        let now = self.clock.now();
        (now >= entry.asked_at).then(|| now.since(entry.asked_at))
    }

    /// The time from which an entry that is asked for now is counted.
    pub(super) fn now(&self) -> Timestamp {
        if self.life.is_some() { self.clock.now() } else { Timestamp::EPOCH }
    }

    pub(super) fn put(
        &self,
        place: Place,
        record: Option<GateRecord>,
        generation: Generation,
        asked_at: Timestamp,
    ) {
        self.entries.insert(place, Entry { record, generation, asked_at });
    }

    pub(super) fn remove(&self, place: &Place) {
        self.entries.remove(place);
    }
}
