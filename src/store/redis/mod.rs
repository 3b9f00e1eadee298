//! The Redis store: shared by several nodes, each told by the server of what the others change.
//!
//! Every record is one binary string, written together with the dossier that it follows from. Lookups run on connections of their threads' own, everything
//! else on one for control, and changes arrive on a third kind whose silence is never trusted.

mod batch;
mod confirming;
mod door;
mod erasing;
mod fault;
mod groups;
mod intents;
mod keys;
mod lane;
mod queueing;
mod notes;
mod recall;
mod renewing;
mod rows;
mod scan;
mod script;
mod templates;
mod tenants;
mod tracking;
mod upkeep;
mod writing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use redis::Value;
use redis::aio::MultiplexedConnection;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::consent::dossier::Dossier;
use crate::consent::terms::Terms;
use crate::consent::{GateRecord, Lookup, RecipientKey, TenantId};
use crate::metrics::Metrics;

use super::erasure::{Erasure, Wanted};
use super::front::Front;
use super::learning::Lesson;
use super::naming::{Identities, Names};
use super::place::Place;
use super::wordings::Wordings;
use super::{Health, OpenError, Outcome, StoreError};

pub use door::{Settings, Trust};
pub use fault::RedisFault;
pub(super) use queueing::QueueDoor;
pub(super) use scan::Position;

use door::{Door, ask, ask_all, breaks};
use lane::{Lane, Lanes};
use tenants::Numbering;
use tracking::{Standing, Tracking};
use upkeep::Findings;
use writing::{Writing, stored};

/// The oldest that a cached grant may get, though its link says that nothing changed.
pub(super) const MAX_AGE: Duration = Duration::from_secs(30);
/// How long opening waits for the first answer; after that the gate starts and goes on trying.
const FIRST_ATTEMPT: Duration = Duration::from_secs(2);
/// How long a lane for lookups may be silent.
const LOOKUP_PATIENCE: Duration = Duration::from_millis(500);
/// How long the control lane may be silent: large writes go before its heartbeat.
const CONTROL_PATIENCE: Duration = Duration::from_secs(3);
/// How long a request of the control plane may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A handle on a Redis store; its tasks end when it is closed or dropped.
pub(super) struct Redis {
    shared: Arc<Shared>,
    lanes: Lanes,
    runtime: Handle,
}

/// What the tasks share.
struct Shared {
    front: Arc<Front>,
    identity: Identities,
    control: Arc<Lane>,
    tracking: Arc<Tracking>,
    numbering: Arc<Numbering>,
    findings: Findings,
    /// Why the last write failed.
    write_fault: ArcSwapOption<StoreError>,
    wait_replicas: u32,
    wordings: Arc<Wordings>,
    open: watch::Sender<bool>,
}

impl Redis {
    /// Connects, waiting a little for the first answer, and keeps connecting in the background.
    pub(super) async fn open(
        settings: &Settings,
        names: Names,
        front: Arc<Front>,
    ) -> Result<(Self, Identities), OpenError> {
        let door = Arc::new(Door::new(settings)?);
        let node = getrandom::u64().map_err(|source| OpenError::Randomness { source })?;
        let identity = Identities::default();
        let wordings = Arc::clone(&names.wordings);
        let numbering = Arc::new(Numbering::new(names, Arc::clone(&identity)));
        let (open, opened) = watch::channel(true);
        let tracking = Arc::new(Tracking::new(Arc::clone(&front), Arc::clone(&numbering), node));
        let control = Lane::start(Arc::clone(&door), opened.clone(), CONTROL_PATIENCE, None);
        tokio::spawn(Arc::clone(&tracking).supervise(Arc::clone(&door), opened.clone()));
        let shared = Arc::new(Shared {
            front,
            identity: Arc::clone(&identity),
            control,
            tracking,
            numbering,
            findings: Findings::default(),
            write_fault: ArcSwapOption::empty(),
            wait_replicas: settings.wait_replicas,
            wordings,
            open,
        });
        let first = async { tokio::join!(shared.tracking.live(), shared.control.connection()) };
        if timeout(FIRST_ATTEMPT, first).await.is_err() {
            tracing::warn!(
                "Redis does not answer: starting without it, refusing what it would have to judge"
            );
        }
        tokio::spawn(upkeep::run(Arc::clone(&shared)));
        let lanes = Lanes::new(door, opened, LOOKUP_PATIENCE, Arc::clone(&shared.front));
        Ok((Self { shared, lanes, runtime: Handle::current() }, identity))
    }

    /// The gate record of a place, asked on this thread's own connection. Whoever was erased stands under their hash, which is asked for second.
    pub(super) async fn gate_record(&self, place: &Place) -> Lookup {
        if !self.is_open() {
            return Lookup::Unavailable;
        }
        let lane = self.lanes.here();
        let Ok(mut connection) = lane.connection().await else { return Lookup::Unavailable };
        match gate_record(&lane, &mut connection, place).await {
            Lookup::Absent => match self.shared.identity.load_full() {
                Some(identity) => match identity.naming.tombstone(place) {
                    Some(tombstone) => gate_record(&lane, &mut connection, &tombstone).await,
                    None => Lookup::Absent,
                },
                None => Lookup::Unavailable,
            },
            found @ (Lookup::Found(_) | Lookup::Unavailable | Lookup::Remembered(_)) => found,
        }
    }

    /// The write goes on where the store was opened, whatever becomes of the caller.
    pub(super) async fn apply(&self, lessons: Vec<Lesson>) -> Result<Vec<Outcome>, StoreError> {
        self.control().await?;
        let shared = Arc::clone(&self.shared);
        let write = self.runtime.spawn(async move { shared.write(lessons).await });
        write.await.map_err(|_| StoreError::Closed)?
    }

    /// Goes on like a write.
    pub(super) async fn erase(&self, wanted: Wanted) -> Result<Erasure, StoreError> {
        self.control().await?;
        let shared = Arc::clone(&self.shared);
        let erasing = self.runtime.spawn(async move { shared.erase(wanted).await });
        erasing.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn dossier(&self, place: Place) -> Result<Option<Dossier>, StoreError> {
        let mut get = redis::cmd("GET");
        get.arg(keys::dossier(&place));
        let bytes = stored(ask(&self.control().await?, &get, PATIENCE).await?)?;
        bytes.map(|bytes| Dossier::decode(&bytes).ok_or(StoreError::Unreadable)).transpose()
    }

    pub(super) async fn page(
        &self,
        tenant: TenantId,
        after: Option<Position>,
        limit: usize,
    ) -> Result<scan::Found, StoreError> {
        let connection = self.control().await?;
        let identity = self.shared.identity.load_full().ok_or(StoreError::NotReady)?;
        let first =
            if identity.naming.buries_in_place() { Position::without_tombstones } else { Position::default };
        let after = after.unwrap_or_else(first);
        scan::page(&connection, tenant, after, limit).await
    }

    pub(super) async fn find(
        &self,
        tenant: TenantId,
        limit: usize,
        wanted: impl Fn(&RecipientKey) -> bool + Send,
    ) -> Result<Vec<RecipientKey>, StoreError> {
        scan::find(&self.control().await?, tenant, limit, wanted).await
    }

    /// Gives tenants that have none yet their numbers.
    pub(super) async fn number(&self, names: Vec<String>, terms: Arc<[Terms]>) -> Result<(), StoreError> {
        Ok(self.shared.numbering.rename(&self.control().await?, names, terms).await?)
    }

    pub(super) async fn secret(&self, name: &str) -> Result<[u8; 32], StoreError> {
        let mut fresh = [0; 32];
        getrandom::fill(&mut fresh).map_err(StoreError::Randomness)?;
        let key = keys::secret(name);
        let mut find = redis::pipe();
        find.cmd("SET").arg(&key).arg(&fresh[..]).arg("NX").cmd("GET").arg(&key);
        let mut known = None;
        for answer in ask_all(&self.control().await?, &find, PATIENCE).await? {
            if let Value::ServerError(error) = &answer {
                return Err(RedisFault::of_reply(error).into());
            }
            known = door::bytes(&answer).map(<[u8]>::to_vec);
        }
        known.and_then(|bytes| bytes.try_into().ok()).ok_or(StoreError::Unreadable)
    }

    pub(super) fn health(&self) -> Health {
        if !self.is_open() {
            return Health { up: false, warnings: Vec::new() };
        }
        let fault = self.shared.control.fault();
        let mut warnings: Vec<String> = fault.iter().map(ToString::to_string).collect();
        if let Standing::Down { since, fault } = self.shared.tracking.standing() {
            warnings.push(down_since(since, &fault));
        }
        if let Some(fault) = self.shared.write_fault.load_full() {
            warnings.push(format!("the last write failed: {fault}"));
        }
        warnings.extend(self.shared.findings.texts());
        Health { up: fault.is_none(), warnings }
    }

    pub(super) fn report_to(&self, metrics: Metrics) {
        self.shared.tracking.report_to(metrics);
    }

    pub(super) fn templates_changed(&self) -> watch::Receiver<u64> {
        self.shared.tracking.templates_changed()
    }

    pub(super) fn close(&self) {
        self.shared.open.send_replace(false);
        self.shared.front.link.go_down();
    }

    fn is_open(&self) -> bool {
        *self.shared.open.borrow()
    }

    async fn control(&self) -> Result<MultiplexedConnection, StoreError> {
        if !self.is_open() {
            return Err(StoreError::Closed);
        }
        Ok(self.shared.control.connection().await?)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// Teaches and writes lessons, and remembers whether that failed.
    async fn write(&self, lessons: Vec<Lesson>) -> Result<Vec<Outcome>, StoreError> {
        let written = self.writing().await?.apply(lessons).await;
        self.write_fault.store(written.as_ref().err().cloned().map(Arc::new));
        written
    }

    async fn erase(&self, wanted: Wanted) -> Result<Erasure, StoreError> {
        let erased = self.writing().await?.erase(&wanted).await;
        self.write_fault.store(erased.as_ref().err().cloned().map(Arc::new));
        erased
    }

    async fn writing(&self) -> Result<Writing, StoreError> {
        let connection = self.control.connection().await?;
        let identity = self.identity.load_full().ok_or(StoreError::NotReady)?;
        let (front, naming) = (Arc::clone(&self.front), identity.naming.clone());
        let (wordings, wait_replicas) = (Arc::clone(&self.wordings), self.wait_replicas);
        Ok(Writing { connection, front, naming, wordings, wait_replicas })
    }
}

async fn gate_record(lane: &Lane, connection: &mut MultiplexedConnection, place: &Place) -> Lookup {
    let mut get = redis::cmd("GET");
    get.arg(keys::gate(place));
    match connection.send_packed_command(&get).await {
        Ok(answer) => gate_record_of(&answer),
        Err(error) => {
            if breaks(&error) {
                lane.report_broken();
            }
            Lookup::Unavailable
        }
    }
}

fn gate_record_of(answer: &Value) -> Lookup {
    if matches!(answer, Value::Nil) {
        return Lookup::Absent;
    }
    // A value that is no record must never read as "nothing was withdrawn".
    let Value::BulkString(bytes) = answer else { return Lookup::Unavailable };
    GateRecord::decode(bytes).map_or(Lookup::Unavailable, Lookup::Found)
}

fn down_since(since: Instant, fault: &RedisFault) -> String {
    format!(
        "changes made by other nodes have not reached this one for {} s, so every send asks Redis: {fault}",
        since.elapsed().as_secs()
    )
}
