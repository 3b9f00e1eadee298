//! Gates in every state that the dashboard and the alerts are about, and somebody who keeps sending.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::gate::{ACCOUNT, Gate, GateBuilder, SENDER};
use crate::support::upstream::{Answer, Upstream};
use crate::support::{evidence, free_addr};

pub(super) const AGREED: &str = "+15550000001";
const STRANGER: &str = "+15550000002";
/// To this one the provider takes the send and gives no answer.
const VANISHES: &str = "+15550000003";

/// Several gates under traffic; they end with the test.
pub(super) struct Fleet {
    traffic: Traffic,
    gates: Vec<Gate>,
    _upstream: Upstream,
}

impl Fleet {
    /// Starts them all: healthy, watching in front of a dead provider, losing decisions, and refusing because its log is full.
    pub(super) fn start() -> Self {
        let upstream = Upstream::start();
        upstream.respond(|received| {
            let vanishes = String::from_utf8_lossy(received.payload()).contains(VANISHES);
            if vanishes { Answer::close() } else { Answer::sent() }
        });
        let gate = |upstream: &str| Gate::to(upstream).tenant("acme", SENDER, ACCOUNT, "+15550783881");
        let full = |on_full: &str| unrecorded(gate(&upstream.url()), on_full);
        let dead = format!("http://{}", free_addr());
        let gates = vec![
            gate(&upstream.url()).start(),
            gate(&dead).set("policy", "mode", "\"shadow\"").start(),
            full("drop").start(),
            full("wait").start(),
        ];
        for gate in &gates {
            gate.apply(&[AGREED, VANISHES].map(grant));
        }
        let traffic = Traffic::start(gates.iter().map(Gate::addr).collect());
        Self { traffic, gates, _upstream: upstream }
    }

    /// Where Prometheus reads them.
    pub(super) fn metrics(&self) -> Vec<SocketAddr> {
        self.gates.iter().map(Gate::admin_addr).collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.traffic.end();
        for gate in &self.gates {
            // Decisions that can never be written would hold a gentle end up for as long as the gate keeps trying.
            gate.signal("KILL");
        }
    }
}

/// A gate whose disk is full.
fn unrecorded(gate: GateBuilder, on_full: &str) -> GateBuilder {
    gate.set("decision_log", "file", "\"/dev/full\"")
        .set("decision_log", "on_full", &format!("{on_full:?}"))
        .set("decision_log", "queue", "1")
}

/// A grant that satisfies the strict rules.
pub(super) fn grant(recipient: &str) -> Value {
    json!({
        "recipient": recipient, "kind": "grant", "categories": ["service", "utility", "marketing"],
        "occurred_at": "2026-01-31T09:30:00Z", "actor": "person", "source": "website",
        "evidence": evidence(&["service", "utility", "marketing"]),
    })
}

/// Callers of every gate, each at its own pace.
struct Traffic {
    over: Arc<AtomicBool>,
    callers: Vec<JoinHandle<()>>,
}

impl Traffic {
    fn start(gates: Vec<SocketAddr>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let caller = |gate| {
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    round(gate);
                    std::thread::sleep(Duration::from_millis(50));
                }
            })
        };
        let callers = gates.into_iter().map(caller).collect();
        Self { over, callers }
    }

    fn end(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for caller in self.callers.drain(..) {
            let _ = caller.join();
        }
    }
}

/// One send to each person and one request that is no send. What a gate answers is not this test's business.
fn round(gate: SocketAddr) {
    for recipient in [AGREED, STRANGER, VANISHES] {
        ask(gate, "POST", &format!("/v23.0/{SENDER}/messages"), text(recipient).to_string().as_bytes());
    }
    ask(gate, "GET", &format!("/v23.0/{SENDER}"), b"");
}

/// A free-form message.
pub(super) fn text(recipient: &str) -> Value {
    json!({
        "messaging_product": "whatsapp", "recipient_type": "individual", "to": recipient,
        "type": "text", "text": { "body": "hello" },
    })
}

fn ask(gate: SocketAddr, method: &str, target: &str, body: &[u8]) {
    let Ok(mut client) = Client::try_connect(gate) else { return };
    let head = client.head(method, target, &[("Content-Type", "application/json")], body.len());
    let answer =
        client.try_send(&[head.as_slice(), body].concat()).and_then(|()| client.try_response(method));
    drop(answer);
}
