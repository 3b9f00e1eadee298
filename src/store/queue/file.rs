//! The queue of a single node: a file beside the consent store, and one thread that owns it.
//!
//! What is queued at once shares a transaction. Leases are kept in memory: only this process delivers, and when it dies they die with it.

mod ledger;

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::consent::Clock;
use crate::store::StoreError;

use super::{DeadLetter, Fill, Parcel, Put};
use ledger::Ledger;

/// How many tasks may wait for the thread before those who bring more wait as well.
const WAITING: usize = 256;
/// How many tasks, and how many bytes of bodies, share a transaction.
const GROUP: usize = 128;
const GROUP_BYTES: usize = 32 << 20;

/// A handle on the file; its thread ends with the last handle.
pub(super) struct QueueFile(mpsc::Sender<Task>);

/// What the thread is asked to do.
pub(super) enum Task {
    /// Keep a parcel if the file then holds no more than `max`.
    Put { lane: String, sealed: Vec<u8>, max: u64, told: Told<Put> },
    /// Hand out what is due.
    Take { limit: usize, told: Told<Vec<Parcel>> },
    /// Forget one that waits or is dead.
    Remove { id: u64, dead: bool, told: Told<bool> },
    /// Try one again later.
    PutOff { id: u64, after: Duration, why: String, told: Told<()> },
    /// Make one a dead letter.
    GiveUp { id: u64, why: String, told: Told<()> },
    /// List dead letters.
    Dead { after: usize, limit: usize, told: Told<Vec<DeadLetter>> },
    /// Try a dead letter anew.
    Revive { id: u64, told: Told<bool> },
    /// Count.
    Fill { told: Told<Fill> },
}

/// Who waits for the outcome.
pub(super) type Told<T> = oneshot::Sender<Result<T, StoreError>>;

impl QueueFile {
    /// Opens or makes the file and starts its thread.
    pub(super) async fn open(path: PathBuf, clock: Clock) -> Result<Self, StoreError> {
        let (tasks, mut queue) = mpsc::channel(WAITING);
        let (opened, open) = oneshot::channel();
        let run = move || {
            let mut ledger = match Ledger::open(&path, clock) {
                Ok(ledger) => ledger,
                Err(error) => return drop(opened.send(Err(error))),
            };
            // Whoever opened it has gone: so has everybody who could ask.
            let _ = opened.send(Ok(()));
            while let Some(first) = queue.blocking_recv() {
                ledger.process(group(first, &mut queue));
            }
        };
        let started = thread::Builder::new().name("webhook-queue".to_owned()).spawn(run);
        started.map_err(|error| StoreError::Write(std::sync::Arc::new(redb::Error::Io(error))))?;
        open.await.map_err(|_| StoreError::Closed)??;
        Ok(Self(tasks))
    }

    pub(super) async fn put(&self, lane: &str, sealed: Vec<u8>, max: u64) -> Result<Put, StoreError> {
        let lane = lane.to_owned();
        self.ask(|told| Task::Put { lane, sealed, max, told }).await
    }

    pub(super) async fn take(&self, limit: usize) -> Result<Vec<Parcel>, StoreError> {
        self.ask(|told| Task::Take { limit, told }).await
    }

    pub(super) async fn remove(&self, id: &str) -> Result<(), StoreError> {
        let Some(id) = number(id) else { return Ok(()) };
        self.ask(|told| Task::Remove { id, dead: false, told }).await.map(drop)
    }

    pub(super) async fn drop_dead(&self, id: &str) -> Result<bool, StoreError> {
        let Some(id) = number(id) else { return Ok(false) };
        self.ask(|told| Task::Remove { id, dead: true, told }).await
    }

    pub(super) async fn put_off(&self, id: &str, after: Duration, why: &str) -> Result<(), StoreError> {
        let (Some(id), why) = (number(id), why.to_owned()) else { return Ok(()) };
        self.ask(|told| Task::PutOff { id, after, why, told }).await
    }

    pub(super) async fn give_up(&self, id: &str, why: &str) -> Result<(), StoreError> {
        let (Some(id), why) = (number(id), why.to_owned()) else { return Ok(()) };
        self.ask(|told| Task::GiveUp { id, why, told }).await
    }

    pub(super) async fn dead(&self, after: usize, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.ask(|told| Task::Dead { after, limit, told }).await
    }

    pub(super) async fn revive(&self, id: &str) -> Result<bool, StoreError> {
        let Some(id) = number(id) else { return Ok(false) };
        self.ask(|told| Task::Revive { id, told }).await
    }

    pub(super) async fn fill(&self) -> Result<Fill, StoreError> {
        self.ask(|told| Task::Fill { told }).await
    }

    async fn ask<T>(&self, task: impl FnOnce(Told<T>) -> Task) -> Result<T, StoreError> {
        let (told, outcome) = oneshot::channel();
        self.0.send(task(told)).await.map_err(|_| StoreError::Closed)?;
        outcome.await.map_err(|_| StoreError::Closed)?
    }
}

/// What is there already shares a transaction; nobody waits for company.
fn group(first: Task, queue: &mut mpsc::Receiver<Task>) -> Vec<Task> {
    let mut group = vec![first];
    let mut bytes = 0usize;
    while group.len() < GROUP && bytes < GROUP_BYTES {
        let Ok(task) = queue.try_recv() else { break };
        if let Task::Put { sealed, .. } = &task {
            bytes = bytes.saturating_add(sealed.len());
        }
        group.push(task);
    }
    group
}

/// Names as the admin API shows them, sixteen digits like those of Redis.
pub(super) fn name(id: u64) -> String {
    format!("{id:016x}")
}

fn number(name: &str) -> Option<u64> {
    (name.len() == 16).then(|| u64::from_str_radix(name, 16).ok()).flatten()
}
