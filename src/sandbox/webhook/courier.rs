//! Delivery: in order for each person, bounded, and repeated as Meta repeats, only sooner and not for days.
//!
//! A few lanes deliver at once; all that concerns one person or template goes through the same lane, so nothing overtakes what was told before.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::super::json::{Object, list};
use super::endpoint::{Attempt, Endpoint};

const LANES: usize = 8;
/// How many webhooks wait in a lane before further ones are dropped.
const LANE: usize = 2048;
/// How often a webhook is tried: with pauses of one, two, four and eight times the first.
const ATTEMPTS: u32 = 5;
/// How many settled deliveries can be looked at.
const REMEMBERED: usize = 200;

/// A webhook on its way.
pub(super) struct Parcel {
    field: String,
    body: Bytes,
    /// Who wants to know how the first attempt went.
    first: Option<oneshot::Sender<Attempt>>,
}

impl Parcel {
    pub(super) fn new(field: &str, body: String) -> Self {
        Parcel { field: field.to_owned(), body: Bytes::from(body), first: None }
    }
}

/// Delivers to one endpoint until it is dropped.
pub(super) struct Courier {
    lanes: Vec<mpsc::Sender<Parcel>>,
    ledger: Arc<Ledger>,
    endpoint: Arc<Endpoint>,
    /// Dropped, they end.
    _tasks: JoinSet<()>,
}

impl Courier {
    /// Begins to deliver, with this pause before a first repetition.
    pub(super) fn to(endpoint: Endpoint, pause: Duration) -> Self {
        let (endpoint, ledger) = (Arc::new(endpoint), Arc::new(Ledger::default()));
        let mut tasks = JoinSet::new();
        let lane = |_| {
            let (lane, parcels) = mpsc::channel(LANE);
            tasks.spawn(run(parcels, Arc::clone(&endpoint), Arc::clone(&ledger), pause));
            lane
        };
        let lanes = (0..LANES).map(lane).collect();
        Courier { lanes, ledger, endpoint, _tasks: tasks }
    }

    /// Sends a webhook off, after all others with the same key.
    pub(super) fn send(&self, key: &str, parcel: Parcel) {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let turn = usize::try_from(hasher.finish() % LANES as u64).unwrap_or_default();
        self.ledger.counts().waiting += 1;
        if self.lanes.get(turn).is_none_or(|lane| lane.try_send(parcel).is_err()) {
            let mut counts = self.ledger.counts();
            counts.waiting -= 1;
            counts.dropped += 1;
        }
    }

    /// The same, and tells how the first attempt went; nothing comes if the webhook was dropped.
    pub(super) fn send_and_tell(&self, key: &str, mut parcel: Parcel) -> oneshot::Receiver<Attempt> {
        let (tell, told) = oneshot::channel();
        parcel.first = Some(tell);
        self.send(key, parcel);
        told
    }

    /// Where it delivers and how that went, as JSON.
    pub(super) fn state(&self) -> String {
        let counts = self.ledger.counts();
        Object::new()
            .text("url", &self.endpoint.url().to_string())
            .raw("waiting", counts.waiting)
            .raw("delivered", counts.delivered)
            .raw("failed_attempts", counts.failed_attempts)
            .raw("given_up", counts.given_up)
            .raw("dropped", counts.dropped)
            .maybe("last_trouble", counts.last_trouble.as_deref())
            .finish()
    }

    /// The last webhooks that were delivered or given up, as JSON.
    pub(super) fn settled(&self) -> String {
        list(self.ledger.counts().settled.iter().cloned())
    }
}

/// What became of everything.
#[derive(Default)]
struct Ledger(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    waiting: u64,
    delivered: u64,
    failed_attempts: u64,
    given_up: u64,
    dropped: u64,
    last_trouble: Option<String>,
    /// As JSON.
    settled: VecDeque<String>,
}

impl Ledger {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, attempt: &Attempt) {
        let mut counts = self.counts();
        counts.failed_attempts += 1;
        counts.last_trouble = Some(attempt.trouble());
    }

    fn settle(&self, parcel: &Parcel, (attempts, taken): (u32, bool)) {
        let told = Object::new()
            .text("field", &parcel.field)
            .raw("attempts", attempts)
            .raw("delivered", taken)
            .raw("body", String::from_utf8_lossy(&parcel.body));
        let mut counts = self.counts();
        counts.waiting -= 1;
        *(if taken { &mut counts.delivered } else { &mut counts.given_up }) += 1;
        if counts.settled.len() == REMEMBERED {
            counts.settled.pop_front();
        }
        counts.settled.push_back(told.finish());
    }
}

/// Delivers what comes into a lane, one after the other.
async fn run(
    mut parcels: mpsc::Receiver<Parcel>,
    endpoint: Arc<Endpoint>,
    ledger: Arc<Ledger>,
    pause: Duration,
) {
    while let Some(parcel) = parcels.recv().await {
        deliver(parcel, &endpoint, &ledger, pause).await;
    }
}

/// Tries until it is taken, or often enough.
async fn deliver(mut parcel: Parcel, endpoint: &Endpoint, ledger: &Ledger, mut pause: Duration) {
    for attempts in 1..=ATTEMPTS {
        let attempt = endpoint.deliver(&parcel.body).await;
        let taken = attempt.is_taken();
        if !taken {
            ledger.failed(&attempt);
        }
        let settled = taken || attempts == ATTEMPTS;
        if settled {
            ledger.settle(&parcel, (attempts, taken));
        }
        if let Some(first) = parcel.first.take() {
            // Who asked may have gone.
            let _ = first.send(attempt);
        }
        if settled {
            return;
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}
