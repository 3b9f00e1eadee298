//! The embedded store: one file, one writer thread, readers on the newest committed snapshot.

mod batch;
mod cleaning;
mod confirming;
mod groups;
mod jobs;
mod notes;
mod rewrite;
mod row;
mod rows;
mod tables;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::consent::dossier::Dossier;
use crate::consent::terms::Terms;
use crate::consent::{Lookup, RecipientKey, TenantId};

use super::erasure::Wanted;
use super::front::Front;
use super::learning::Lesson;
use super::link::State;
use super::naming::{Identity, Names, Naming};
use super::place::Place;
use super::stamps::Stamps;
use super::{Erasure, Health, OpenError, Outcome, StoreError};

use batch::Tenants;
use cleaning::Cleaning;
use jobs::{Ask, Job, Numbered};
use row::Row;
use tables::Snapshot;
use writer::Writer;

/// How many jobs may wait for the writer before those who bring more must wait as well.
const QUEUE: usize = 1024;

/// How long an erasure waits for the file to be written anew; small files are by then.
const CLEANING: Duration = Duration::from_secs(2);

/// A handle on the file; its writer thread ends when the handle is closed or dropped.
pub(super) struct Embedded {
    jobs: mpsc::Sender<Job>,
    snapshot: Arc<ArcSwapOption<Snapshot>>,
    front: Arc<Front>,
    naming: Naming,
    /// What is left in the file of people who were erased.
    cleaning: watch::Receiver<cleaning::State>,
}

impl Embedded {
    /// Opens or makes the file, gives the tenants their numbers and starts the writer.
    pub(super) async fn open(
        path: PathBuf,
        names: Names,
        front: Arc<Front>,
    ) -> Result<(Self, Identity), OpenError> {
        let (at, wordings) = (path.clone(), Arc::clone(&names.wordings));
        // A damaged file can make redb panic rather than fail: the blocking task turns that into an error.
        let opened = tokio::task::spawn_blocking(move || tables::open(&at, &names)).await;
        let (database, identity) =
            opened.unwrap_or(Err(OpenError::Unreadable { path: path.clone(), source: None }))?;
        let unreadable =
            |source| OpenError::Unreadable { path: path.clone(), source: Some(Box::new(source)) };
        let first = Snapshot::of(&database).map_err(unreadable)?;
        let dirty = first.is_dirty().map_err(unreadable)?;
        let (state, cleaning) =
            watch::channel(if dirty { cleaning::State::Cleaning } else { cleaning::State::Clean });
        let snapshot = Arc::new(ArcSwapOption::from_pointee(first));
        let (jobs, queue) = mpsc::channel(QUEUE);
        front.link.go_live();
        let naming = identity.naming.clone();
        let writer = Writer {
            database,
            snapshot: snapshot.clone(),
            stamps: Stamps::of(&front),
            front: front.clone(),
            naming: naming.clone(),
            wordings,
            cleaning: Cleaning::new(path.clone(), state, jobs.downgrade()),
            retired: Vec::new(),
            heard: Tenants::default(),
        };
        writer.start(queue).map_err(|source| OpenError::NotAccessible { path, source })?;
        Ok((Self { jobs, snapshot, front, naming, cleaning }, identity))
    }

    /// The gate record of a place, read on the caller's own thread.
    ///
    /// The snapshot is an immutable tree, mostly in memory: a read takes no lock that a commit holds and costs about a microsecond, a tenth of what handing
    /// it to another thread would. A page that is not in memory costs one read of the disk, which blocks this thread's other requests for as long; the deadline of a
    /// lookup is judged after it.
    pub(super) fn gate_record(&self, place: &Place) -> Lookup {
        let snapshot = self.snapshot.load();
        let Some(snapshot) = snapshot.as_deref() else { return Lookup::Unavailable };
        match (gate_record(snapshot, place), self.naming.tombstone(place)) {
            // Whoever was erased stands under their hash.
            (Lookup::Absent, Some(tombstone)) => gate_record(snapshot, &tombstone),
            (found, _) => found,
        }
    }

    pub(super) async fn apply(&self, lessons: Vec<Lesson>) -> Result<Vec<Outcome>, StoreError> {
        self.ask(lessons, Job::Apply).await
    }

    /// Returns once everything that was stamped before is there to be read: there is one writer, and it does one thing after the other.
    pub(super) async fn settled(&self) -> Result<(), StoreError> {
        self.apply(Vec::new()).await.map(drop)
    }

    /// Waits a little if the file is written anew at once.
    pub(super) async fn erase(&self, wanted: Wanted) -> Result<Erasure, StoreError> {
        let erased = self.ask(wanted, Job::Erase).await?;
        let mut cleaning = self.cleaning.clone();
        // Whether it was in time is told by [`Embedded::is_clean`].
        let _ = timeout(CLEANING, cleaning.wait_for(|state| *state != cleaning::State::Cleaning)).await;
        Ok(erased)
    }

    /// Whether nobody who was erased stands in the file any more.
    pub(super) fn is_clean(&self) -> bool {
        *self.cleaning.borrow() == cleaning::State::Clean
    }

    pub(super) async fn swap_templates(
        &self,
        account: &str,
        before: Option<Vec<u8>>,
        list: Vec<u8>,
    ) -> Result<bool, StoreError> {
        self.ask((account.to_owned(), before, list), Job::Templates).await
    }

    pub(super) async fn template_list(&self, account: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let account = account.to_owned();
        self.read(move |snapshot| snapshot.template_list(&account)).await
    }

    /// The numbers of tenants and of their wordings; those that have none yet get one.
    pub(super) async fn number(
        &self,
        names: Vec<String>,
        terms: Arc<[Terms]>,
    ) -> Result<Numbered, StoreError> {
        self.ask((names, terms), Job::Number).await
    }

    /// A secret that exists is read without the writer; only the first asking writes.
    pub(super) async fn secret(&self, name: &str) -> Result<[u8; 32], StoreError> {
        match self.snapshot()?.secret(name)? {
            Some(secret) => Ok(secret),
            None => self.ask(name.to_owned(), Job::Secret).await,
        }
    }

    pub(super) async fn dossier(&self, place: Place) -> Result<Option<Dossier>, StoreError> {
        self.read(move |snapshot| snapshot.dossier(&place)).await
    }

    pub(super) async fn page(
        &self,
        tenant: TenantId,
        after: Option<RecipientKey>,
        limit: usize,
    ) -> Result<Vec<(RecipientKey, Dossier)>, StoreError> {
        self.read(move |snapshot| snapshot.page(tenant, after, limit)).await
    }

    pub(super) async fn find(
        &self,
        tenant: TenantId,
        limit: usize,
        wanted: impl Fn(&RecipientKey) -> bool + Send + 'static,
    ) -> Result<Vec<RecipientKey>, StoreError> {
        self.read(move |snapshot| snapshot.find(tenant, limit, &wanted)).await
    }

    pub(super) async fn templates(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.read(Snapshot::templates).await
    }

    pub(super) fn health(&self) -> Health {
        let open = !self.jobs.is_closed();
        let written = matches!(self.front.link.state(), State::Live(_));
        let mut warnings = Vec::new();
        if open && !written {
            warnings.push(StoreError::LAST_WRITE_FAILED.to_owned());
        }
        Health { up: open && written, warnings }
    }

    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.jobs.send(Job::Close(done)).await.is_ok() {
            // An error means that somebody else's close came first and has ended the writer.
            let _ = closed.await;
        }
    }

    /// Hands the writer a job and waits for its answer.
    async fn ask<I, O>(&self, input: I, job: impl FnOnce(Ask<I, O>) -> Job) -> Result<O, StoreError>
    where
        O: Default,
    {
        let (ask, answer) = Ask::new(input);
        self.jobs.send(job(ask)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Reads what may be long off the runtime's own threads.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Snapshot) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let snapshot = self.snapshot()?;
        tokio::task::spawn_blocking(move || read(&snapshot)).await.map_err(|_| StoreError::Unreadable)?
    }

    fn snapshot(&self) -> Result<Arc<Snapshot>, StoreError> {
        self.snapshot.load_full().ok_or(StoreError::Closed)
    }
}

fn gate_record(snapshot: &Snapshot, place: &Place) -> Lookup {
    match snapshot.row(place) {
        Ok(None) => Lookup::Absent,
        // A value that is no record must never read as "nothing was withdrawn".
        Ok(Some(bytes)) => {
            Row::decode(bytes.value()).map_or(Lookup::Unavailable, |row| Lookup::Found(row.gate))
        }
        Err(_) => Lookup::Unavailable,
    }
}
