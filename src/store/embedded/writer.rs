//! The one thread that writes: it groups what is queued into transactions and acknowledges after the commit.

use std::io;
use std::sync::{Arc, Weak};
use std::thread;

use arc_swap::ArcSwapOption;
use redb::{Database, ReadableTable, WriteTransaction};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use crate::consent::{GateRecord, RecipientKey};
use crate::store::front::Front;
use crate::store::link::State;
use crate::store::naming::Naming;
use crate::store::place::Place;
use crate::store::stamps::Stamps;
use crate::store::wordings::Wordings;
use crate::store::{Erasure, StoreError};

use super::batch::{Batch, Tenants};
use super::cleaning::Cleaning;
use super::jobs::Job;
use super::tables::{
    Snapshot, TEMPLATES, begin, find_or_make_secret, note_dirty, number, number_wordings, write_failed,
};
use super::{confirming, groups, notes, rows};

/// A transaction takes no further job once it holds this many events.
const GROUP: usize = 20_000;

/// The writer's own side of the store.
pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) snapshot: Arc<ArcSwapOption<Snapshot>>,
    pub(super) front: Arc<Front>,
    pub(super) naming: Naming,
    pub(super) wordings: Arc<Wordings>,
    pub(super) stamps: Stamps,
    pub(super) cleaning: Cleaning,
    /// Files that were replaced, and who may still read them.
    pub(super) retired: Vec<(Weak<Snapshot>, Database)>,
    /// Tenants whose own record is known to be written.
    pub(super) heard: Tenants,
}

impl Writer {
    /// Starts the thread, which ends with the queue or with the first job that closes it.
    pub(super) fn start(self, queue: mpsc::Receiver<Job>) -> io::Result<()> {
        thread::Builder::new().name("consent-store".to_owned()).spawn(move || self.run(queue)).map(drop)
    }

    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut closing = None;
        while closing.is_none() {
            let first = if self.cleaning.is_due() {
                queue.try_recv()
            } else {
                queue.blocking_recv().ok_or(TryRecvError::Disconnected)
            };
            match first {
                Ok(first) => closing = self.take_turn(first, &mut queue),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => break,
            }
            if let Some(fresh) = self.cleaning.go_on(&self.database) {
                self.replace(fresh);
            }
            self.retired.retain(|(readers, _)| readers.strong_count() > 0);
        }
        if let Some(fresh) = self.cleaning.finish(&self.database) {
            self.replace(fresh);
        }
        self.close();
        drop(queue);
        if let Some(job) = closing {
            job.answer(Ok(()));
        }
    }

    /// Does what is queued; returns the job that closes the store, if it came.
    fn take_turn(&mut self, first: Job, queue: &mut mpsc::Receiver<Job>) -> Option<Job> {
        let mut closing = None;
        let mut group = Vec::new();
        let mut weight = 0usize;
        let mut next = Some(first);
        // Whatever came while the last commit was on its way to the disk shares the next one; nobody waits for company.
        while let Some(job) = next {
            weight = weight.saturating_add(job.weight());
            if let Job::Close(_) = job {
                closing = Some(job);
                break;
            }
            if !matches!(job, Job::Wake) {
                group.push(job);
            }
            next = if weight < GROUP { queue.try_recv().ok() } else { None };
        }
        self.process(group);
        closing
    }

    /// Goes on with a file that holds the same. Whoever reads the old one may finish.
    fn replace(&mut self, fresh: Database) {
        let snapshot = match Snapshot::of(&fresh) {
            Ok(snapshot) => Some(Arc::new(snapshot)),
            Err(error) => {
                self.lose_trust(&write_failed(error));
                None
            }
        };
        let old = std::mem::replace(&mut self.database, fresh);
        if let Some(before) = self.snapshot.swap(snapshot) {
            self.retired.push((Arc::downgrade(&before), old));
        }
    }

    /// Lookups stop finding a snapshot before the file is let go of.
    fn close(self) {
        self.snapshot.store(None);
        if let Err(error) = self.database.close() {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "closing the consent store failed; it will be repaired when it is next opened"
            );
        }
    }

    /// Commits a group in one transaction; if that fails, each job in its own, so that one bad job fails alone.
    fn process(&mut self, mut group: Vec<Job>) {
        match self.commit(&mut group) {
            Ok(()) => group.into_iter().for_each(|job| job.answer(Ok(()))),
            Err(error) if group.len() < 2 => group.into_iter().for_each(|job| job.answer(Err(error.clone()))),
            Err(_) => group.into_iter().for_each(|job| self.process(vec![job])),
        }
    }

    fn commit(&mut self, group: &mut [Job]) -> Result<(), StoreError> {
        if group.is_empty() {
            return Ok(());
        }
        let transaction = begin(&self.database).map_err(write_failed)?;
        let written = self.fill(&transaction, group)?;
        if written.is_empty() && self.taught_nothing(group) {
            // What is told again, as after an outage of whoever tells it, waits for no disk.
            return transaction.abort().map_err(write_failed);
        }
        let committed = transaction.commit().map_err(write_failed);
        if let Err(error) = committed {
            self.lose_trust(&error);
            return Err(error);
        }
        for (place, _) in &written {
            self.cleaning.note(place);
        }
        if group.iter().any(|job| matches!(job, Job::Erase(ask) if matches!(ask.output, Erasure::Now { .. })))
        {
            self.cleaning.want();
        }
        self.publish(written)
    }

    /// Whether a group that changed no record changed nothing at all. While no cached record is trusted a commit has to show that the file can be written.
    fn taught_nothing(&self, group: &[Job]) -> bool {
        let trusted = matches!(self.front.link.state(), State::Live(_));
        trusted && group.iter().all(|job| matches!(job, Job::Apply(_)))
    }

    /// Does the work of every job within the transaction; returns the gate records that it changes.
    fn fill(
        &mut self,
        transaction: &WriteTransaction,
        group: &mut [Job],
    ) -> Result<Vec<(Place, GateRecord)>, StoreError> {
        let mut batch = Batch::of(transaction, &self.naming, &self.wordings)?;
        for job in group {
            match job {
                Job::Apply(ask) => {
                    ask.output =
                        ask.input.iter().map(|lesson| batch.learn(lesson)).collect::<Result<_, _>>()?;
                }
                Job::Templates(ask) => {
                    let (account, before, list) = &ask.input;
                    let mut templates = transaction.open_table(TEMPLATES).map_err(write_failed)?;
                    let stored = templates.get(account.as_str()).map_err(write_failed)?;
                    ask.output = stored.map(|list| list.value().to_vec()) == *before;
                    if ask.output {
                        templates.insert(account.as_str(), list.as_slice()).map_err(write_failed)?;
                    }
                }
                Job::Note(ask) => notes::put(transaction, &ask.input)?,
                Job::Group(ask) => groups::change(transaction, &ask.input)?,
                Job::Checkpoint(ask) => rows::put_checkpoint(transaction, &ask.input)?,
                Job::Number(ask) => {
                    let (names, terms) = &ask.input;
                    let numbers = number(transaction, names).map_err(write_failed)?;
                    let wordings = number_wordings(transaction, &numbers, terms).map_err(write_failed)?;
                    ask.output = (numbers, wordings);
                }
                Job::Secret(ask) => {
                    let made = find_or_make_secret(transaction, &ask.input).map_err(write_failed)?;
                    ask.output = made.map_err(StoreError::Randomness)?;
                }
                Job::Erase(ask) => {
                    ask.output = batch.erase(&ask.input)?;
                    if matches!(ask.output, Erasure::Now { .. }) {
                        note_dirty(transaction).map_err(write_failed)?;
                    }
                }
                Job::Confirm(ask) => {
                    ask.output = confirming::reserve(transaction, &ask.input).map_err(write_failed)?;
                }
                Job::Wake | Job::Close(_) => {}
            }
        }
        batch.write(&self.heard, &mut self.stamps)
    }

    /// Shows the commit to readers, then corrects the cache; only then is anything acknowledged.
    fn publish(&mut self, written: Vec<(Place, GateRecord)>) -> Result<(), StoreError> {
        let snapshot = match Snapshot::of(&self.database) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                let error = write_failed(error);
                self.lose_trust(&error);
                return Err(error);
            }
        };
        self.snapshot.store(Some(Arc::new(snapshot)));
        for (place, record) in written {
            self.front.written(&place, record);
            if place.key == RecipientKey::Tenant {
                self.heard.insert(place.tenant);
            }
        }
        self.regain_trust();
        Ok(())
    }

    /// After a commit that failed nobody knows what the file holds: no cached record is trusted until a commit succeeds.
    fn lose_trust(&self, error: &StoreError) {
        self.front.link.go_down();
        tracing::error!(error = error as &dyn std::error::Error, "committing to the consent store failed");
    }

    fn regain_trust(&self) {
        if let State::Down(_) = self.front.link.state() {
            self.front.link.go_live();
            tracing::info!("committing to the consent store works again");
        }
    }
}
