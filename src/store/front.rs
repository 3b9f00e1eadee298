//! What stands in front of a store: the cache, the tickets that keep it honest, and the link that says whether it may be trusted.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::consent::lookup::Source;
use crate::consent::record::State as CategoryState;
use crate::consent::{Clock, GateRecord, Lookup, Timestamp};

use super::Answer;
use super::cache::{Age, Cache};
use super::link::{Generation, Link, State};
use super::place::Place;
use super::renewals::Renewals;
use super::stamps::Floor;
use super::tickets::{Seat, Ticket, Tickets};

/// Answers lookups from memory where that is safe, else through a store's fetch.
pub(super) struct Front {
    pub(super) cache: Cache,
    tickets: Tickets,
    pub(super) link: Link,
    /// What is used and will soon be too old.
    pub(super) renewals: Renewals,
    /// What every write to the store is stamped after.
    pub(super) floor: Floor,
}

/// The right to read a place again before its entry is too old. No send waits for it: who misses the place meanwhile asks.
pub(super) struct Renewal<'f> {
    ticket: Ticket<'f>,
    generation: Generation,
    asked_at: Timestamp,
}

impl Front {
    /// An empty front whose link is down.
    pub(super) fn new(capacity: u64, max_age: Option<Duration>, clock: Clock) -> Self {
        let cache = Cache::new(capacity, max_age, clock);
        let (tickets, link, floor) = (Tickets::new(), Link::down(), Floor::default());
        Self { cache, tickets, link, renewals: Renewals::default(), floor }
    }

    /// The answer from memory, if the link vouches for it.
    pub(super) fn cached(&self, place: &Place) -> Option<Lookup> {
        let State::Live(now) = self.link.state() else { return None };
        let (entry, age) = self.cache.get(place).filter(|(entry, _)| entry.generation == now)?;
        if age == Age::Ageing {
            self.renewals.note(place);
        }
        Some(entry.lookup())
    }

    /// The right to read a place again whose entry may still be used and is ageing; `None` if there is no such entry or somebody asks for it just now.
    pub(super) fn renewing(&self, place: &Place) -> Option<Renewal<'_>> {
        let State::Live(now) = self.link.state() else { return None };
        let (entry, age) = self.cache.get(place)?;
        if age != Age::Ageing || entry.generation != now {
            return None;
        }
        let asked_at = self.cache.now();
        Some(Renewal { ticket: self.tickets.claim(place)?, generation: now, asked_at })
    }

    /// Takes in what a place was found to hold by whoever had the right to read it again.
    pub(super) fn renewed(&self, place: &Place, renewal: Renewal<'_>, record: GateRecord) {
        let Renewal { ticket, generation, asked_at } = renewal;
        let lookup = Lookup::Found(record);
        ticket.land(lookup, |_| self.fill(place, lookup, State::Live(generation), asked_at));
    }

    /// The answer from the store, shared with everybody who misses the same place meanwhile.
    ///
    /// A store that fails or is too late is [`Lookup::Unavailable`], unless the cache remembers a withdrawal: a withdrawal that was once seen here stays in
    /// force while the store is away.
    pub(super) async fn fetch<F>(&self, place: &Place, deadline: Duration, fetch: impl Fn() -> F) -> Answer
    where
        F: Future<Output = Lookup>,
    {
        let deadline = Instant::now() + deadline;
        let fetched = timeout_at(deadline, self.miss(place, fetch)).await;
        // A fetch that does not yield cannot be cut short: what it brought too late still fills the cache for the next.
        let in_time = fetched.ok().filter(|_| Instant::now() <= deadline);
        match in_time.unwrap_or(Lookup::Unavailable) {
            Lookup::Unavailable => self.remembered(place),
            lookup @ (Lookup::Found(_) | Lookup::Absent | Lookup::Remembered(_)) => {
                Answer { lookup, source: Source::Store }
            }
        }
    }

    pub(super) async fn miss<F>(&self, place: &Place, fetch: impl Fn() -> F) -> Lookup
    where
        F: Future<Output = Lookup>,
    {
        loop {
            match self.tickets.join(place, self.link.state().generation()) {
                Seat::Lead(ticket) => {
                    let asked_at = self.cache.now();
                    let lookup = fetch().await;
                    ticket.land(lookup, |taken| self.fill(place, lookup, State::Live(taken), asked_at));
                    return lookup;
                }
                Seat::Follow(flight) => {
                    if let Some(lookup) = flight.landed().await {
                        return lookup;
                    }
                }
            }
        }
    }

    /// Called with the place's shard locked, so no change of the place can come between.
    fn fill(&self, place: &Place, lookup: Lookup, then: State, asked_at: Timestamp) {
        if self.link.state() != then {
            return;
        }
        match lookup {
            Lookup::Found(record) => {
                self.cache.put(place.clone(), Some(record), then.generation(), asked_at);
            }
            Lookup::Absent => self.cache.put(place.clone(), None, then.generation(), asked_at),
            Lookup::Unavailable | Lookup::Remembered(_) => {}
        }
    }

    /// A withdrawal that the cache remembers, of any generation and age: it can only refuse.
    fn remembered(&self, place: &Place) -> Answer {
        match self.cache.recall(place).filter(withdraws) {
            Some(record) => Answer { lookup: Lookup::Remembered(record), source: Source::Cache },
            None => Answer { lookup: Lookup::Unavailable, source: Source::Store },
        }
    }

    /// Takes in a record that was just written here. For the one writer of a store that has no other writers.
    ///
    /// A record without a withdrawal is only dropped from memory: an import of millions would wash out what sends are using.
    pub(super) fn written(&self, place: &Place, record: GateRecord) {
        self.tickets.overrule(place, || {
            if withdraws(&record) {
                let generation = self.link.state().generation();
                self.cache.put(place.clone(), Some(record), generation, self.cache.now());
            } else {
                self.cache.remove(place);
            }
        });
    }

    /// Takes in that a record changed somewhere, to something unknown.
    ///
    /// A withdrawal that was known before is kept for the time when the store is away: there it can only refuse.
    pub(super) fn forget(&self, place: &Place) {
        self.tickets.overrule(place, || match self.cache.recall(place) {
            Some(record) if withdraws(&record) => {
                self.cache.put(place.clone(), Some(record), Generation::NEVER, self.cache.now());
            }
            Some(_) | None => self.cache.remove(place),
        });
    }

    /// Takes in a record that was written here and may be written elsewhere at the same time. Sends ask the store for it again.
    pub(super) fn overwritten(&self, place: &Place, record: GateRecord) {
        self.tickets.overrule(place, || {
            if withdraws(&record) {
                self.cache.put(place.clone(), Some(record), Generation::NEVER, self.cache.now());
            } else {
                self.cache.remove(place);
            }
        });
    }
}

fn withdraws(record: &GateRecord) -> bool {
    record.slots.iter().any(|slot| slot.state == CategoryState::Revoked)
}
