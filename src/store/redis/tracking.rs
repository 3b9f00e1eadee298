//! The link over which Redis tells this node what changed, under a supervisor that never trusts its silence.
//!
//! A heartbeat on the link itself is answered in order with what was pushed before it: an answer proves that every earlier change has arrived.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, PushInfo, PushKind, Value};
use tokio::sync::{Notify, watch};

use crate::metrics::Metrics;
use crate::net::pulse::in_step;
use crate::store::front::Front;
use crate::store::link::State;

use super::door::{Door, ask, ask_all, bytes, proven};
use super::fault::RedisFault;
use super::keys;
use super::lane::Pause;
use super::tenants::Numbering;

const HEARTBEAT: Duration = Duration::from_millis(200);
/// A silent link is noticed within the heartbeat and this.
const PATIENCE: Duration = Duration::from_millis(150);
const SETUP: Duration = Duration::from_secs(1);
/// How long a canary stays when its node is gone; each one renews it.
const CANARY_LIFE_SECONDS: u32 = 60;

/// The supervised link.
pub(super) struct Tracking {
    front: Arc<Front>,
    numbering: Arc<Numbering>,
    /// The link whose pushes count; those of earlier links may still arrive.
    current: AtomicU64,
    standing: watch::Sender<Standing>,
    templates: watch::Sender<u64>,
    canary: Canary,
    metrics: OnceLock<Metrics>,
}

/// How the link stands.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// It delivers.
    Live,
    /// It does not, since when and why.
    Down { since: Instant, fault: RedisFault },
}

/// One connection that is told of changes, and whether it has ended.
struct TrackedLink {
    connection: MultiplexedConnection,
    lost: Arc<Notify>,
}

/// A key that this node changes itself to measure how long a change takes to arrive.
struct Canary {
    key: String,
    sent: Mutex<Option<Instant>>,
}

impl Tracking {
    pub(super) fn new(front: Arc<Front>, numbering: Arc<Numbering>, node: u64) -> Self {
        let down = Standing::Down { since: Instant::now(), fault: RedisFault::Unreachable };
        Self {
            front,
            numbering,
            current: AtomicU64::new(0),
            standing: watch::Sender::new(down),
            templates: watch::Sender::new(0),
            canary: Canary { key: keys::canary(node), sent: Mutex::default() },
            metrics: OnceLock::new(),
        }
    }

    pub(super) fn report_to(&self, metrics: Metrics) {
        metrics.set_invalidation_up(matches!(self.standing(), Standing::Live));
        // A second call finds the place taken and changes nothing.
        let _ = self.metrics.set(metrics);
    }

    pub(super) fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    pub(super) fn templates_changed(&self) -> watch::Receiver<u64> {
        self.templates.subscribe()
    }

    /// Waits until the link delivers.
    pub(super) async fn live(&self) {
        let mut standing = self.standing.subscribe();
        // The sender lives as long as this does.
        let _ = standing.wait_for(|standing| matches!(standing, Standing::Live)).await;
    }

    /// Keeps the link until the store closes.
    pub(super) async fn supervise(self: Arc<Self>, door: Arc<Door>, mut open: watch::Receiver<bool>) {
        tokio::select! {
            () = Arc::clone(&self).keep(door) => {}
            _ = open.wait_for(|open| !open) => {}
        }
        self.down(RedisFault::Unreachable);
    }

    async fn keep(self: Arc<Self>, door: Arc<Door>) {
        let mut pause = Pause::default();
        loop {
            let fault = match self.establish(&door).await {
                Ok(link) => {
                    pause.reset();
                    self.up();
                    self.watch_over(&link).await
                }
                Err(fault) => fault,
            };
            self.down(fault);
            pause.wait().await;
        }
    }

    /// Connects, learns the tenants' numbers and asks to be told of every change.
    async fn establish(self: &Arc<Self>, door: &Door) -> Result<TrackedLink, RedisFault> {
        let id = self.current.load(Ordering::Acquire);
        let heard = Arc::downgrade(self);
        let lost = Arc::new(Notify::new());
        let ended = Arc::clone(&lost);
        let connection = door
            .connect(move |push| {
                if let Some(tracking) = heard.upgrade().filter(|t| t.current.load(Ordering::Acquire) == id) {
                    tracking.pushed(&push, &ended);
                }
            })
            .await?;
        self.numbering.settle(&connection).await?;
        let mut track = redis::cmd("CLIENT");
        track.arg("TRACKING").arg("ON").arg("BCAST").arg("PREFIX").arg(keys::TRACKED);
        ask(&connection, &track, SETUP).await?;
        self.prove(&connection, SETUP).await?;
        Ok(TrackedLink { connection, lost })
    }

    fn up(&self) {
        self.front.link.go_live();
        let before = self.standing.send_replace(Standing::Live);
        // What changed while nothing was heard is read again.
        self.templates.send_modify(|changes| *changes += 1);
        if let Some(metrics) = self.metrics.get() {
            metrics.set_invalidation_up(true);
        }
        if let Standing::Down { since, .. } = before {
            tracing::info!(down_ms = since.elapsed().as_millis(), "changes in Redis reach this node");
        }
    }

    fn down(&self, fault: RedisFault) {
        self.front.link.go_down();
        self.current.fetch_add(1, Ordering::AcqRel);
        if let Some(metrics) = self.metrics.get() {
            metrics.set_invalidation_up(false);
        }
        let before = self.standing();
        let (since, news) = match &before {
            Standing::Live => (Instant::now(), true),
            Standing::Down { since, fault: known } => (*since, *known != fault),
        };
        if news {
            tracing::warn!(error = %fault, "changes in Redis do not reach this node; cached grants are not used");
        }
        self.standing.send_replace(Standing::Down { since, fault });
    }

    /// Returns what ended the link.
    async fn watch_over(&self, link: &TrackedLink) -> RedisFault {
        let mut beats = in_step(HEARTBEAT);
        beats.tick().await;
        loop {
            tokio::select! {
                _ = beats.tick() => {}
                () = link.lost.notified() => return RedisFault::Unreachable,
            }
            if let Err(fault) = self.prove(&link.connection, PATIENCE).await {
                return fault;
            }
        }
    }

    async fn prove(&self, connection: &MultiplexedConnection, patience: Duration) -> Result<(), RedisFault> {
        let answers = ask_all(connection, &questions(), patience).await?;
        proven(&answers)?;
        // The server forgets tracking without a word when it closes a connection for another reason than ours, such as RESET.
        if answers.get(1).is_some_and(is_tracking) { Ok(()) } else { Err(RedisFault::Unreachable) }
    }

    /// Called by the connection's driver for every push, in the order of the wire.
    fn pushed(&self, push: &PushInfo, lost: &Notify) {
        if push.kind == PushKind::Disconnection {
            lost.notify_one();
        }
        if push.kind != PushKind::Invalidate {
            return;
        }
        if let Some(Value::Array(keys)) = push.data.first() {
            for key in keys.iter().filter_map(bytes) {
                self.changed(key);
            }
        } else {
            // The whole database was emptied, the tenants' numbers with it: begin anew.
            self.front.link.renew();
            lost.notify_one();
        }
    }

    fn changed(&self, key: &[u8]) {
        if let Some(place) = keys::place_of_gate(key) {
            self.front.forget(&place);
        } else if key == keys::TEMPLATES_CHANGED.as_bytes() {
            self.templates.send_modify(|changes| *changes += 1);
        } else if key == self.canary.key.as_bytes() {
            let sent = self.canary.sent.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let (Some(sent), Some(metrics)) = (sent, self.metrics.get()) {
                metrics.observe_propagation(sent.elapsed());
            }
        }
    }

    /// Changes the canary over another connection; its push measures the way of every change.
    pub(super) async fn sing(&self, connection: &MultiplexedConnection) -> Result<(), RedisFault> {
        if !matches!(self.front.link.state(), State::Live(_)) {
            return Ok(());
        }
        *self.canary.sent.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let mut set = redis::cmd("SET");
        set.arg(&self.canary.key).arg(1).arg("EX").arg(CANARY_LIFE_SECONDS);
        ask(connection, &set, SETUP).await.map(drop)
    }
}

fn questions() -> Pipeline {
    let mut questions = redis::pipe();
    questions.cmd("ROLE").cmd("CLIENT").arg("TRACKINGINFO");
    questions
}

/// Whether the server says that it tells this connection of every change under our prefix.
fn is_tracking(info: &Value) -> bool {
    let Value::Map(fields) = info else { return false };
    let field = |name: &[u8]| {
        let named = fields.iter().find(|(key, _)| bytes(key) == Some(name));
        named.map(|(_, value)| texts(value)).unwrap_or_default()
    };
    let flags = field(b"flags");
    flags.contains(&&b"on"[..])
        && flags.contains(&&b"bcast"[..])
        && field(b"prefixes") == [keys::TRACKED.as_bytes()]
}

fn texts(value: &Value) -> Vec<&[u8]> {
    if let Value::Array(items) | Value::Set(items) = value {
        items.iter().filter_map(bytes).collect()
    } else {
        Vec::new()
    }
}
