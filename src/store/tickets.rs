//! Fill tickets: what keeps a record that was fetched before a change from entering the cache after it.
//!
//! A fetch takes a ticket before it asks the store. A change removes the ticket. A fetch fills the cache only if its ticket is still there. Whoever misses
//! the same place meanwhile waits for the ticket's holder instead of asking as well. The generation covers changes that nobody reports.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError};

use tokio::sync::Notify;

use crate::consent::Lookup;

use super::link::Generation;
use super::place::Place;
use super::sync::{Mutex, MutexGuard};

const SHARDS: usize = 64;

type Shard = HashMap<Place, Arc<Flight>, ahash::RandomState>;

/// All fetches under way.
pub(super) struct Tickets {
    shards: [Mutex<Shard>; SHARDS],
    hasher: ahash::RandomState,
}

/// One fetch under way, as those who wait for it see it.
pub(super) struct Flight {
    generation: Generation,
    /// What it brought; `None` if its holder gave up.
    brought: OnceLock<Option<Lookup>>,
    landed: Notify,
}

/// How a miss proceeds.
pub(super) enum Seat<'t> {
    /// Nobody fetches this place: the holder of the ticket does.
    Lead(Ticket<'t>),
    /// Somebody fetches it already.
    Follow(Arc<Flight>),
}

/// The right to fetch one place and to fill the cache with it. Dropped unused, it sends those who wait to ask themselves.
pub(super) struct Ticket<'t> {
    tickets: &'t Tickets,
    place: Place,
    flight: Arc<Flight>,
}

impl Tickets {
    pub(super) fn new() -> Self {
        let hasher = ahash::RandomState::new();
        Self { shards: std::array::from_fn(|_| Mutex::new(Shard::with_hasher(hasher.clone()))), hasher }
    }

    /// Joins the fetch of a place, or starts one. A fetch of an earlier generation is not joined: it may bring what has changed unseen.
    pub(super) fn join(&self, place: &Place, generation: Generation) -> Seat<'_> {
        let mut shard = self.shard(place);
        if let Some(flight) = shard.get(place).filter(|flight| flight.generation == generation) {
            return Seat::Follow(flight.clone());
        }
        Seat::Lead(self.lead(&mut shard, place, generation))
    }

    /// The ticket of a place that nobody fetches. This fetch is not joined: whoever misses the place meanwhile takes the ticket over.
    pub(super) fn claim(&self, place: &Place) -> Option<Ticket<'_>> {
        let mut shard = self.shard(place);
        (!shard.contains_key(place)).then(|| self.lead(&mut shard, place, Generation::NEVER))
    }

    fn lead(&self, shard: &mut Shard, place: &Place, generation: Generation) -> Ticket<'_> {
        let flight = Arc::new(Flight { generation, brought: OnceLock::new(), landed: Notify::new() });
        shard.insert(place.clone(), flight.clone());
        Ticket { tickets: self, place: place.clone(), flight }
    }

    /// Takes the ticket of a place away and runs `change` on the cache before any later fetch of the place can fill it.
    pub(super) fn overrule(&self, place: &Place, change: impl FnOnce()) {
        let mut shard = self.shard(place);
        shard.remove(place);
        change();
    }

    fn shard(&self, place: &Place) -> MutexGuard<'_, Shard> {
        let [first, ..] = &self.shards;
        let hash = usize::try_from(self.hasher.hash_one(place) % SHARDS as u64).unwrap_or_default();
        let shard = self.shards.get(hash).unwrap_or(first);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    /// Waits until the fetch has landed; `None` if its holder gave up.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the fetch as it is.
    pub(super) async fn landed(&self) -> Option<Lookup> {
        let mut landed = std::pin::pin!(self.landed.notified());
        // Registered before looking, so that a landing in between is not missed.
        landed.as_mut().enable();
        if self.brought.get().is_none() {
            landed.await;
        }
        self.brought.get().copied().flatten()
    }

    fn land(&self, brought: Option<Lookup>) {
        // Only the holder of the ticket lands, and lands once: dropping after landing finds the place taken.
        let _ = self.brought.set(brought);
        self.landed.notify_waiters();
    }
}

impl Ticket<'_> {
    /// Hands what was fetched to those who wait, and to `fill` if nothing has changed since the ticket was taken.
    pub(super) fn land(self, lookup: Lookup, fill: impl FnOnce(Generation)) {
        let mut shard = self.tickets.shard(&self.place);
        if self.is_mine(&shard) {
            shard.remove(&self.place);
            fill(self.flight.generation);
        }
        drop(shard);
        self.flight.land(Some(lookup));
    }

    fn is_mine(&self, shard: &Shard) -> bool {
        shard.get(&self.place).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight))
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.flight.brought.get().is_some() {
            return;
        }
        let mut shard = self.tickets.shard(&self.place);
        if self.is_mine(&shard) {
            shard.remove(&self.place);
        }
        drop(shard);
        self.flight.land(None);
    }
}
