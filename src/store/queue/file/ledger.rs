//! What the file holds, and an index of it in memory: when each parcel is due.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use crate::consent::{Clock, Timestamp};
use crate::store::StoreError;
use crate::store::file::{self, read_failed, write_failed};

use super::super::{DeadLetter, Fill, KEPT, LEASE, Parcel, Put};
use super::{Task, name};

/// Id -> [`Card`].
const CARDS: TableDefinition<u64, &[u8]> = TableDefinition::new("cards");
/// Id -> the sealed content.
const BODIES: TableDefinition<u64, &[u8]> = TableDefinition::new("bodies");
/// Pages that redb keeps in memory; a body is written once and read once.
const PAGE_CACHE_BYTES: usize = 16 << 20;

/// What is known of a parcel beside its content.
#[derive(Clone, Serialize, Deserialize)]
struct Card {
    lane: String,
    queued_at: u64,
    due: u64,
    attempts: u32,
    died_at: Option<u64>,
    why: String,
    bytes: u64,
}

/// The file and its index.
pub(super) struct Ledger {
    database: Database,
    clock: Clock,
    cards: BTreeMap<u64, Card>,
    /// Those that wait, by when they are due or their lease ends.
    due: BTreeSet<(u64, u64)>,
    /// Those that wait, by when they came.
    since: BTreeSet<(u64, u64)>,
    /// Those that were given up, by when.
    dead: BTreeSet<(u64, u64)>,
    bytes: u64,
    next: u64,
}

/// An answer that is given once the transaction is durable.
type Answer = Box<dyn FnOnce(Result<(), StoreError>)>;

impl Ledger {
    /// Opens or makes the file. One that nobody waits in is made anew: what was delivered stands in its unused pages.
    pub(super) fn open(path: &Path, clock: Clock) -> Result<Self, StoreError> {
        let ledger = Self::read(path, clock.clone())?;
        if !ledger.cards.is_empty() {
            return Ok(ledger);
        }
        drop(ledger);
        fs::remove_file(path).map_err(|error| write_failed(redb::Error::Io(error)))?;
        Self::read(path, clock)
    }

    fn read(path: &Path, clock: Clock) -> Result<Self, StoreError> {
        file::prepare(path).map_err(|error| write_failed(redb::Error::Io(error)))?;
        let database = file::builder(PAGE_CACHE_BYTES).create(path).map_err(write_failed)?;
        let mut ledger = Self {
            database,
            clock,
            cards: BTreeMap::new(),
            due: BTreeSet::new(),
            since: BTreeSet::new(),
            dead: BTreeSet::new(),
            bytes: 0,
            next: 0,
        };
        let write = ledger.begin()?;
        write.open_table(CARDS).map_err(write_failed)?;
        write.open_table(BODIES).map_err(write_failed)?;
        write.commit().map_err(write_failed)?;
        ledger.recount()?;
        Ok(ledger)
    }

    /// The index anew, from the file alone.
    fn recount(&mut self) -> Result<(), StoreError> {
        let cards = self.stored().map_err(read_failed)?;
        (self.cards, self.due, self.since, self.dead) = Default::default();
        self.bytes = 0;
        for (id, card) in cards {
            self.next = self.next.max(id.saturating_add(1));
            self.note(id, serde_json::from_slice(&card).map_err(|_| StoreError::Unreadable)?);
        }
        Ok(())
    }

    fn stored(&self) -> Result<Vec<(u64, Vec<u8>)>, redb::Error> {
        let read = self.database.begin_read()?;
        let mut cards = Vec::new();
        for row in read.open_table(CARDS)?.iter()? {
            let (id, card) = row?;
            cards.push((id.value(), card.value().to_vec()));
        }
        Ok(cards)
    }

    fn begin(&self) -> Result<WriteTransaction, StoreError> {
        file::begin(&self.database).map_err(write_failed)
    }

    /// Does what a group of tasks asks, in one transaction; each is told once that is durable.
    pub(super) fn process(&mut self, group: Vec<Task>) {
        let mut answers: Vec<Answer> = Vec::with_capacity(group.len());
        let committed = self.commit(group, &mut answers);
        if committed.is_err()
            && let Err(error) = self.recount()
        {
            tracing::error!(error = &error as &dyn std::error::Error, "the queue of webhooks cannot be read");
        }
        for answer in answers {
            answer(committed.clone());
        }
    }

    fn commit(&mut self, group: Vec<Task>, answers: &mut Vec<Answer>) -> Result<(), StoreError> {
        let mut write = None;
        for task in group {
            let writes = !matches!(task, Task::Take { .. } | Task::Dead { .. });
            if writes && write.is_none() {
                write = Some(self.begin()?);
            }
            answers.push(self.perform(task, write.as_ref()));
        }
        write.map_or(Ok(()), |write| write.commit().map_err(write_failed))
    }

    fn perform(&mut self, task: Task, write: Option<&WriteTransaction>) -> Answer {
        match task {
            Task::Put { lane, sealed, max, told } => after(self.put(write, lane, &sealed, max), told),
            Task::Take { limit, told } => after(self.take(limit), told),
            Task::Remove { id, dead, told } => {
                let there = self.cards.get(&id).is_some_and(|card| card.died_at.is_some() == dead);
                after(if there { self.remove(write, id) } else { Ok(false) }, told)
            }
            Task::PutOff { id, after: pause, why, told } => {
                let due = self.clock.now().plus(pause).as_millis();
                let put_off = self.change(write, id, |card| {
                    (card.due, card.why) = (due, why);
                    card.attempts = card.attempts.saturating_add(1);
                });
                after(put_off.map(drop), told)
            }
            Task::GiveUp { id, why, told } => {
                let now = self.clock.now().as_millis();
                let given_up = self.change(write, id, |card| {
                    (card.died_at, card.why) = (Some(now), why);
                    card.attempts = card.attempts.saturating_add(1);
                });
                after(given_up.map(drop), told)
            }
            Task::Revive { id, told } => {
                let now = self.clock.now().as_millis();
                let dead = self.cards.get(&id).is_some_and(|card| card.died_at.is_some());
                let revived = if dead {
                    self.change(write, id, |card| {
                        (card.died_at, card.queued_at, card.due, card.attempts) = (None, now, now, 0);
                    })
                } else {
                    Ok(false)
                };
                after(revived, told)
            }
            Task::Dead { after: from, limit, told } => after(Ok(self.dead(from, limit)), told),
            Task::Fill { told } => after(self.fill(write), told),
        }
    }

    fn put(
        &mut self,
        write: Option<&WriteTransaction>,
        lane: String,
        sealed: &[u8],
        max: u64,
    ) -> Result<Put, StoreError> {
        let bytes = u64::try_from(sealed.len()).unwrap_or(u64::MAX);
        if self.bytes.saturating_add(bytes) > max {
            return Ok(Put::Full);
        }
        let now = self.clock.now().as_millis();
        let card =
            Card { lane, queued_at: now, due: now, attempts: 0, died_at: None, why: String::new(), bytes };
        let id = self.next;
        self.next = id.saturating_add(1);
        let write = write.ok_or(StoreError::Closed)?;
        write_card(write, id, &card)?;
        write.open_table(BODIES).map_err(write_failed)?.insert(id, sealed).map_err(write_failed)?;
        self.note(id, card);
        Ok(Put::Queued)
    }

    /// Only what is durable is found: what this group puts has no readable body yet and is taken next time.
    fn take(&mut self, limit: usize) -> Result<Vec<Parcel>, StoreError> {
        let now = self.clock.now().as_millis();
        let lease = now.saturating_add(u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX));
        let ready: Vec<u64> =
            self.due.iter().take_while(|(due, _)| *due <= now).map(|(_, id)| *id).take(limit).collect();
        let read = self.database.begin_read().map_err(read_failed)?;
        let bodies = read.open_table(BODIES).map_err(read_failed)?;
        let mut parcels = Vec::with_capacity(ready.len());
        for id in ready {
            let Some(body) = bodies.get(id).map_err(read_failed)? else { continue };
            let Some(card) = self.cards.get_mut(&id) else { continue };
            self.due.remove(&(card.due, id));
            card.due = lease;
            self.due.insert((lease, id));
            parcels.push(Parcel {
                id: name(id),
                lane: card.lane.clone(),
                queued_at: Timestamp::from_millis(card.queued_at),
                attempts: card.attempts,
                content: body.value().to_vec(),
            });
        }
        Ok(parcels)
    }

    fn remove(&mut self, write: Option<&WriteTransaction>, id: u64) -> Result<bool, StoreError> {
        if self.forget(id).is_none() {
            return Ok(false);
        }
        let write = write.ok_or(StoreError::Closed)?;
        write.open_table(CARDS).map_err(write_failed)?.remove(id).map_err(write_failed)?;
        write.open_table(BODIES).map_err(write_failed)?.remove(id).map_err(write_failed)?;
        Ok(true)
    }

    /// False if there is none of that name.
    fn change(
        &mut self,
        write: Option<&WriteTransaction>,
        id: u64,
        change: impl FnOnce(&mut Card),
    ) -> Result<bool, StoreError> {
        let Some(mut card) = self.forget(id) else { return Ok(false) };
        change(&mut card);
        write_card(write.ok_or(StoreError::Closed)?, id, &card)?;
        self.note(id, card);
        Ok(true)
    }

    fn dead(&self, from: usize, limit: usize) -> Vec<DeadLetter> {
        let letter = |(died_at, id): &(u64, u64)| {
            let card = self.cards.get(id)?;
            Some(DeadLetter {
                id: name(*id),
                lane: card.lane.clone(),
                queued_at: Timestamp::from_millis(card.queued_at),
                died_at: Timestamp::from_millis(*died_at),
                attempts: card.attempts,
                bytes: card.bytes,
                why: card.why.clone(),
            })
        };
        self.dead.iter().skip(from).take(limit).filter_map(letter).collect()
    }

    fn fill(&mut self, write: Option<&WriteTransaction>) -> Result<Fill, StoreError> {
        let kept = u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX);
        let oldest = self.clock.now().as_millis().saturating_sub(kept);
        let old: Vec<u64> =
            self.dead.iter().take_while(|(died, _)| *died < oldest).map(|(_, id)| *id).collect();
        for id in old {
            self.remove(write, id)?;
        }
        let count = |set: &BTreeSet<(u64, u64)>| u64::try_from(set.len()).unwrap_or(u64::MAX);
        Ok(Fill {
            waiting: count(&self.since),
            dead: count(&self.dead),
            bytes: self.bytes,
            oldest: self.since.first().map(|(at, _)| Timestamp::from_millis(*at)),
        })
    }

    fn note(&mut self, id: u64, card: Card) {
        if let Some(died) = card.died_at {
            self.dead.insert((died, id));
        } else {
            self.due.insert((card.due, id));
            self.since.insert((card.queued_at, id));
        }
        self.bytes = self.bytes.saturating_add(card.bytes);
        self.cards.insert(id, card);
    }

    fn forget(&mut self, id: u64) -> Option<Card> {
        let card = self.cards.remove(&id)?;
        self.due.remove(&(card.due, id));
        self.since.remove(&(card.queued_at, id));
        self.dead.remove(&(card.died_at.unwrap_or_default(), id));
        self.bytes = self.bytes.saturating_sub(card.bytes);
        Some(card)
    }
}

fn write_card(write: &WriteTransaction, id: u64, card: &Card) -> Result<(), StoreError> {
    let card = serde_json::to_vec(card).map_err(|_| StoreError::Unreadable)?;
    let mut cards = write.open_table(CARDS).map_err(write_failed)?;
    cards.insert(id, card.as_slice()).map(drop).map_err(write_failed)
}

/// The outcome, told when the transaction came to its own.
fn after<T: 'static>(
    outcome: Result<T, StoreError>,
    told: tokio::sync::oneshot::Sender<Result<T, StoreError>>,
) -> Answer {
    Box::new(move |committed| {
        // Whoever asked may have gone.
        let _ = told.send(committed.and(outcome));
    })
}
