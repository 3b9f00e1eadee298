//! A connection that is kept: made again when it breaks, and watched so that a silent one is noticed.
//!
//! Each thread that looks recipients up has a lane of its own, whose connection lives on that thread's runtime: a lookup then wakes no other core.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, ThreadId};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind};
use tokio::runtime::{Handle, Id};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use crate::net::pulse::in_step;
use crate::store::front::Front;

use super::door::{Door, ask_all, proof, proven};
use super::fault::RedisFault;
use super::renewing::renew;

/// How often a lane proves that it reaches a primary.
const HEARTBEAT: Duration = Duration::from_millis(200);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How a lane stands.
#[derive(Clone)]
enum State {
    /// It has not been connected yet.
    Connecting,
    Up(MultiplexedConnection),
    Down(RedisFault),
}

/// A kept connection.
pub(super) struct Lane {
    state: watch::Sender<State>,
    /// Has to be proven now rather than at the next heartbeat.
    broken: Arc<Notify>,
}

impl Lane {
    /// Starts a lane on the runtime of the caller; it ends when `open` turns false or its sender is dropped. A lane for lookups of this
    /// thread reads again what the thread noted in `front`.
    pub(super) fn start(
        door: Arc<Door>,
        open: watch::Receiver<bool>,
        patience: Duration,
        front: Option<Arc<Front>>,
    ) -> Arc<Self> {
        let front = front.map(|front| (front, thread::current().id()));
        let lane = Arc::new(Self { state: watch::Sender::new(State::Connecting), broken: Arc::default() });
        tokio::spawn(keep(Arc::clone(&lane), door, open, (patience, front)));
        lane
    }

    /// The connection. Waits only for the very first one: a lane that is down says so at once.
    pub(super) async fn connection(&self) -> Result<MultiplexedConnection, RedisFault> {
        if let Some(known) = self.known() {
            return known;
        }
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Connecting)).await;
        drop(settled.map_err(|_| RedisFault::Unreachable)?);
        self.known().unwrap_or(Err(RedisFault::Unreachable))
    }

    /// Why it is down, if it is.
    pub(super) fn fault(&self) -> Option<RedisFault> {
        match &*self.state.borrow() {
            State::Connecting => Some(RedisFault::Unreachable),
            State::Up(_) => None,
            State::Down(fault) => Some(fault.clone()),
        }
    }

    /// Somebody saw the connection fail.
    pub(super) fn report_broken(&self) {
        self.broken.notify_one();
    }

    fn known(&self) -> Option<Result<MultiplexedConnection, RedisFault>> {
        match &*self.state.borrow() {
            State::Connecting => None,
            State::Up(connection) => Some(Ok(connection.clone())),
            State::Down(fault) => Some(Err(fault.clone())),
        }
    }
}

/// Keeps the lane until the store closes.
async fn keep(
    lane: Arc<Lane>,
    door: Arc<Door>,
    mut open: watch::Receiver<bool>,
    (patience, front): (Duration, Option<(Arc<Front>, ThreadId)>),
) {
    tokio::select! {
        () = connect_again_and_again(&lane, &door, patience, front.as_ref()) => {}
        // An error says that the store is gone, which closes it as well.
        _ = open.wait_for(|open| !open) => {}
    }
    lane.state.send_replace(State::Down(RedisFault::Unreachable));
}

async fn connect_again_and_again(
    lane: &Lane,
    door: &Door,
    patience: Duration,
    front: Option<&(Arc<Front>, ThreadId)>,
) {
    let mut pause = Pause::default();
    loop {
        let fault = once(lane, door, (patience, front), &mut pause).await;
        lane.state.send_replace(State::Down(fault));
        pause.wait().await;
    }
}

/// One connection from its making to its end; returns what ended it.
async fn once(
    lane: &Lane,
    door: &Door,
    (patience, front): (Duration, Option<&(Arc<Front>, ThreadId)>),
    pause: &mut Pause,
) -> RedisFault {
    let broken = Arc::clone(&lane.broken);
    let ended = move |push: PushInfo| {
        if push.kind == PushKind::Disconnection {
            broken.notify_one();
        }
    };
    let connection = match door.connect(ended).await {
        Ok(connection) => connection,
        Err(fault) => return fault,
    };
    let mut up = false;
    let mut beats = in_step(HEARTBEAT);
    beats.tick().await;
    loop {
        let alive = ask_all(&connection, &proof(), patience).await;
        if let Err(fault) = alive.and_then(|answers| proven(&answers)) {
            return fault;
        }
        if !up {
            lane.state.send_replace(State::Up(connection.clone()));
            pause.reset();
            up = true;
        }
        if let Some((front, home)) = front
            && *home == thread::current().id()
            && let Err(fault) = renew(front, &connection).await
        {
            return fault;
        }
        tokio::select! {
            _ = beats.tick() => {}
            () = lane.broken.notified() => {}
        }
    }
}

/// How long to wait before the next attempt: longer each time, and never in step with other nodes.
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(FIRST_PAUSE)
    }
}

impl Pause {
    pub(super) fn reset(&mut self) {
        self.0 = FIRST_PAUSE;
    }

    pub(super) async fn wait(&mut self) {
        let now = self.0;
        self.0 = now.saturating_mul(2).min(LONGEST_PAUSE);
        sleep(jittered(now)).await;
    }
}

/// Between half of a duration and all of it.
pub(super) fn jittered(duration: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or_default();
    duration.mul_f64(0.5 + f64::from(random) / f64::from(u32::MAX) / 2.0)
}

/// The lanes of one store, one for each thread that looks recipients up.
pub(super) struct Lanes {
    store: u64,
    door: Arc<Door>,
    open: watch::Receiver<bool>,
    patience: Duration,
    front: Arc<Front>,
}

/// A thread's lane to one store.
struct Seat {
    store: u64,
    /// A lane's tasks end with the runtime on which they were started.
    runtime: Id,
    open: watch::Receiver<bool>,
    lane: Arc<Lane>,
}

thread_local! {
    static SEATS: RefCell<Vec<Seat>> = const { RefCell::new(Vec::new()) };
}

impl Lanes {
    pub(super) fn new(
        door: Arc<Door>,
        open: watch::Receiver<bool>,
        patience: Duration,
        front: Arc<Front>,
    ) -> Self {
        static STORES: AtomicU64 = AtomicU64::new(0);
        Self { store: STORES.fetch_add(1, Ordering::Relaxed), door, open, patience, front }
    }

    /// This thread's lane; must be called on a runtime.
    pub(super) fn here(&self) -> Arc<Lane> {
        let runtime = Handle::current().id();
        SEATS.with_borrow_mut(|seats| {
            let mine = |seat: &&Seat| seat.store == self.store && seat.runtime == runtime;
            if let Some(seat) = seats.iter().find(mine) {
                return Arc::clone(&seat.lane);
            }
            seats.retain(|seat| *seat.open.borrow() && seat.open.has_changed().is_ok());
            let (door, front) = (Arc::clone(&self.door), Arc::clone(&self.front));
            let lane = Lane::start(door, self.open.clone(), self.patience, Some(front));
            let (store, open) = (self.store, self.open.clone());
            seats.push(Seat { store, runtime, open, lane: Arc::clone(&lane) });
            lane
        })
    }
}
