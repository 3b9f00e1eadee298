//! Events into Redis: read whom they concern, learn in memory, write each dossier and its gate record in one step.
//!
//! A write is refused by the script if somebody else changed the dossier since it was read; the lessons concerned are then done again, from what the refusal
//! gave back. Whoever has no links is taken for unknown at first: of an import nearly everybody is, and of the others the script tells what is stored.
//! An event that changes several keys leaves an intent first, and each of its keys is complete in itself: a writer that dies half-way leaves identities
//! stricter, never milder.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value};
use tokio::task::JoinSet;

use crate::consent::dossier::Dossier;
use crate::consent::event::Kind;
use crate::consent::{GateRecord, Recipient, RecipientKey, TenantId};
use crate::store::front::Front;
use crate::store::learning::{self, Lesson};
use crate::store::naming::Naming;
use crate::store::place::Place;
use crate::store::wordings::Wordings;
use crate::store::{Outcome, StoreError};

use super::batch::{Batch, Change, Read, Taught};
use super::door::{ask, ask_all};
use super::fault::RedisFault;
use super::lane::jittered;
use super::recall::{self, Erasures};
use super::script::{self, Lost, Pen, sha1hex};
use super::{intents, keys};

/// How often lessons are tried against other writers.
pub(super) const ROUNDS: u32 = 24;
/// How many commands travel together.
const CHUNK: usize = 128;
/// How long Redis may take over one chunk, everything queued before it included. Less than the ten seconds after which many a caller stops listening.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);
/// How long replicas may take to confirm.
const REPLICAS: Duration = Duration::from_secs(1);
/// After so many lessons others on this thread have their turn.
const TURN: usize = 128;

/// Writes lessons over one connection.
pub(super) struct Writing {
    pub(super) connection: MultiplexedConnection,
    pub(super) front: Arc<Front>,
    pub(super) naming: Naming,
    /// What the numbers in gate records are taken from.
    pub(super) wordings: Arc<Wordings>,
    pub(super) wait_replicas: u32,
}

/// How one round went.
struct Round {
    taught: Vec<Taught>,
    /// Where somebody else was faster, or somebody was not unknown after all.
    lost: Lost,
}

impl Writing {
    /// Teaches the lessons and returns once everything they change is written, confirmed and no longer cached here.
    pub(super) async fn apply(&self, lessons: Vec<Lesson>) -> Result<Vec<Outcome>, StoreError> {
        // An export that is taken in again brings tombstones.
        let buries = |lesson: &Lesson| {
            lesson.event.kind == Kind::Erase && matches!(lesson.event.recipient, Recipient::Hashed(_))
        };
        let tombstones = lessons.iter().filter(|lesson| buries(lesson)).count();
        if tombstones > 0 {
            Erasures::announce(&self.connection, &self.naming, tombstones).await?;
        }
        let lessons = Arc::new(lessons);
        let mut outcomes: Vec<Option<Outcome>> = vec![None; lessons.len()];
        let mut pending: Vec<usize> = (0..lessons.len()).collect();
        let mut open_intents = BTreeMap::new();
        let mut known = None;
        for round in 1..=ROUNDS {
            let erasures = Erasures::count(&self.connection, &self.naming).await?;
            // Whoever looks unknown may have a tombstone: where there are any, nobody is taken for unknown.
            let guess = known.is_none() && !erasures.may_be();
            let wanted = wanted(&lessons, &pending, guess);
            let batch = self.load(wanted, known.unwrap_or_default(), erasures).await?;
            let done = self.round(batch, &lessons, &pending, &mut open_intents).await?;
            pending.clear();
            for taught in done.taught {
                let Some(lesson) = lessons.get(taught.lesson) else { continue };
                let own = Place { tenant: lesson.tenant, key: lesson.event.recipient.key() };
                let Some(outcome) = outcomes.get_mut(taught.lesson) else { continue };
                // What a lesson did for its own recipient stands once that is written; a repeat for somebody linked adds nothing to it.
                outcome.get_or_insert(taught.outcome);
                if done.lost.contains_key(&own)
                    || taught.changed.iter().any(|place| done.lost.contains_key(place))
                {
                    outcome.take_if(|_| done.lost.contains_key(&own));
                    pending.push(taught.lesson);
                }
            }
            if pending.is_empty() {
                self.confirm().await?;
                self.forget_intents(open_intents.into_values().collect()).await;
                return Ok(outcomes.into_iter().map(|o| o.unwrap_or(Outcome::Applied)).collect());
            }
            known = Some(done.lost);
            // What the first round lost was mostly a guess, not a race.
            if round > 1 {
                tokio::time::sleep(jittered(Duration::from_millis(u64::from(round)))).await;
            }
        }
        Err(RedisFault::Contended.into())
    }

    /// Teaches the pending lessons to those read and writes what changes.
    async fn round(
        &self,
        mut batch: Batch,
        lessons: &[Lesson],
        pending: &[usize],
        open_intents: &mut BTreeMap<usize, String>,
    ) -> Result<Round, StoreError> {
        let concerned = pending.iter().filter_map(|n| Some((*n, lessons.get(*n)?)));
        let mut taught = Vec::with_capacity(pending.len());
        let mut heard = BTreeSet::new();
        for (n, lesson) in concerned {
            if lesson.event.kind == Kind::Inbound {
                heard.insert(lesson.tenant);
            }
            taught.push(batch.teach(n, lesson));
            if taught.len() % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        self.announce(lessons, &taught, open_intents).await?;
        self.mark_heard(heard).await?;
        let lost = self.write(batch).await?;
        Ok(Round { taught, lost })
    }

    /// Gathers dossiers and those of everybody they are linked to, reading what is not `known` from the round before.
    async fn load(
        &self,
        mut wanted: BTreeSet<Place>,
        mut known: Lost,
        erasures: Erasures,
    ) -> Result<Batch, StoreError> {
        let mut batch = Batch::after(erasures);
        while !wanted.is_empty() {
            let mut found = Vec::with_capacity(wanted.len());
            let mut unknown = Vec::new();
            for place in wanted {
                match known.remove(&place).flatten() {
                    Some(bytes) => found.push(as_stored(place, &bytes)?),
                    None => unknown.push(place),
                }
            }
            found.extend(self.read_all(unknown).await?);
            if erasures.may_be() {
                recall::tombstones(&self.connection, &self.naming, &mut found).await?;
            }
            let mut linked = BTreeSet::new();
            for read in found {
                let place_of = |key: &RecipientKey| Place { tenant: read.place.tenant, key: key.clone() };
                linked.extend(read.dossier.links().map(|(key, _)| place_of(key)));
                batch.hold(read);
            }
            wanted = linked.into_iter().filter(|place| !batch.holds(place)).collect();
        }
        Ok(batch)
    }

    async fn read_all(&self, places: Vec<Place>) -> Result<Vec<Read>, StoreError> {
        let mut chunks = JoinSet::new();
        for chunk in places.chunks(CHUNK) {
            chunks.spawn(read(self.connection.clone(), chunk.to_vec()));
        }
        let mut all = Vec::with_capacity(places.len());
        while let Some(chunk) = chunks.join_next().await {
            all.extend(chunk.map_err(|_| StoreError::Closed)??);
        }
        Ok(all)
    }

    /// Leaves an intent for every lesson that changes more than one key and has none yet.
    async fn announce(
        &self,
        lessons: &[Lesson],
        taught: &[Taught],
        open_intents: &mut BTreeMap<usize, String>,
    ) -> Result<(), StoreError> {
        let mut announced = redis::cmd("HSET");
        announced.arg(keys::INTENTS);
        let before = open_intents.len();
        for Taught { lesson: n, changed, .. } in taught {
            if changed.len() > 1
                && !open_intents.contains_key(n)
                && let Some(lesson) = lessons.get(*n)
            {
                let id = intents::id().map_err(StoreError::Randomness)?;
                announced.arg(&id).arg(intents::encode(lesson));
                open_intents.insert(*n, id);
            }
        }
        if open_intents.len() > before {
            ask(&self.connection, &announced, PATIENCE).await?;
        }
        Ok(())
    }

    /// What is not removed here is finished again by whoever finds it, which is harmless.
    pub(super) async fn forget_intents(&self, ids: Vec<String>) {
        if !ids.is_empty() {
            let mut done = redis::cmd("HDEL");
            done.arg(keys::INTENTS).arg(ids);
            let _ = ask(&self.connection, &done, PATIENCE).await;
        }
    }

    /// Notes that inbound events are learnt for some tenants, before the first of them counts for a person.
    async fn mark_heard(&self, tenants: BTreeSet<TenantId>) -> Result<(), StoreError> {
        for tenant in tenants {
            let place = Place { tenant, key: RecipientKey::Tenant };
            let gate = GateRecord { window_until: 1, ..GateRecord::default() };
            let mut mark = redis::cmd("SET");
            mark.arg(keys::gate(&place)).arg(&gate.encode()[..]).arg("NX");
            ask(&self.connection, &mark, PATIENCE).await?;
            self.front.forget(&place);
        }
        Ok(())
    }

    fn pen(&self) -> Pen {
        let (front, wordings) = (Arc::clone(&self.front), Arc::clone(&self.wordings));
        Pen { connection: self.connection.clone(), front, wordings }
    }

    /// Writes what changed; returns where something else stands.
    async fn write(&self, batch: Batch) -> Result<Lost, StoreError> {
        let erasures = batch.erasures();
        let (unchanged, changes) = batch.into_changes();
        let mut chunks = JoinSet::new();
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            let chunk: Vec<Change> = changes.by_ref().take(CHUNK).collect();
            chunks.spawn(script::write(self.pen(), chunk, erasures));
        }
        let mut lost = Lost::default();
        let mut failed = None;
        while let Some(chunk) = chunks.join_next().await {
            match chunk.map_err(|_| StoreError::Closed).and_then(|chunk| chunk) {
                Ok(places) => lost.extend(places),
                Err(error) => failed = Some(error),
            }
        }
        // What was read here may be newer than what is cached here, even where it needed no change.
        for place in &unchanged {
            self.front.forget(place);
        }
        failed.map_or(Ok(lost), Err)
    }

    /// Waits until as many replicas have everything as were asked for.
    pub(super) async fn confirm(&self) -> Result<(), StoreError> {
        if self.wait_replicas == 0 {
            return Ok(());
        }
        let mut confirm = redis::pipe();
        // WAIT counts from this connection's last write: after a reconnect there must be one.
        confirm.cmd("SET").arg(keys::ACKNOWLEDGED).arg(1);
        confirm.cmd("WAIT").arg(self.wait_replicas).arg(u64::try_from(REPLICAS.as_millis()).unwrap_or(1));
        let answers = ask_all(&self.connection, &confirm, REPLICAS.saturating_mul(2)).await?;
        match answers.as_slice() {
            [Value::ServerError(error), _] | [_, Value::ServerError(error)] => {
                Err(RedisFault::of_reply(error).into())
            }
            [_, Value::Int(confirmed)] if *confirmed >= i64::from(self.wait_replicas) => Ok(()),
            _ => Err(RedisFault::NotReplicated.into()),
        }
    }
}

/// Whose dossiers the pending lessons need. At first those without links are taken for unknown: a guess that the script corrects.
fn wanted(lessons: &[Lesson], pending: &[usize], guess: bool) -> BTreeSet<Place> {
    let concerned = pending.iter().filter_map(|n| lessons.get(*n));
    let to_read = concerned.filter(|lesson| !guess || !lesson.event.links.is_empty());
    let named = to_read.flat_map(|lesson| {
        let place = |key| Place { tenant: lesson.tenant, key };
        learning::named(&lesson.event).into_iter().map(place)
    });
    named.collect()
}

async fn read(connection: MultiplexedConnection, places: Vec<Place>) -> Result<Vec<Read>, StoreError> {
    let mut gets = Pipeline::with_capacity(places.len());
    for place in &places {
        gets.cmd("GET").arg(keys::dossier(place));
    }
    let answers = ask_all(&connection, &gets, PATIENCE).await?;
    places.into_iter().zip(answers).map(|(place, answer)| as_read(place, answer)).collect()
}

pub(super) fn as_read(place: Place, answer: Value) -> Result<Read, StoreError> {
    match stored(answer)? {
        None => Ok(Read { place, dossier: Dossier::default(), seen: None, recalled: false }),
        Some(bytes) => as_stored(place, &bytes),
    }
}

fn as_stored(place: Place, bytes: &[u8]) -> Result<Read, StoreError> {
    let dossier = Dossier::decode(bytes).ok_or(StoreError::Unreadable)?;
    Ok(Read { place, dossier, seen: Some(sha1hex(bytes)), recalled: false })
}

/// The bytes of an answer to GET; `None` if there are none.
pub(super) fn stored(answer: Value) -> Result<Option<Vec<u8>>, StoreError> {
    if let Value::ServerError(error) = &answer {
        Err(RedisFault::of_reply(error).into())
    } else if answer == Value::Nil {
        Ok(None)
    } else if let Value::BulkString(bytes) = answer {
        Ok(Some(bytes))
    } else {
        Err(StoreError::Unreadable)
    }
}
