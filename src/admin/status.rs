//! What monitoring and clients read without a token: alive, ready, metrics, the description of the API.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName};
use serde_json::{Value, json};

use super::Control;
use crate::metrics;

/// The description of the API.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

/// In which part of its life the gate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not everything runs yet.
    Starting,
    /// Sends are taken and judged.
    Serving,
    /// No new connections are taken; what is in flight is finished.
    Draining,
}

/// Tells `/readyz` in which phase the gate is. Clones share one phase; the first is [`Phase::Starting`].
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

impl Readiness {
    /// Enters a phase.
    pub fn enter(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Release);
    }

    /// The phase now.
    pub fn phase(&self) -> Phase {
        let now = self.0.load(Ordering::Acquire);
        let all = [Phase::Starting, Phase::Serving, Phase::Draining];
        all.into_iter().find(|phase| *phase as u8 == now).unwrap_or(Phase::Starting)
    }
}

/// The process answers.
pub(super) async fn healthz() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

/// Whether sends can be judged, and what an operator should know even if they can.
pub(super) async fn readyz(State(control): State<Arc<Control>>) -> (StatusCode, Json<Value>) {
    let mut health = control.store.health();
    health.warnings.extend(control.reloads.warnings());
    let mut lacking = Vec::new();
    if !health.up {
        lacking.push("the consent store does not answer");
    }
    if !control.catalogue.is_loaded() {
        lacking.push("the template catalogue has not been read from the consent store yet");
    }
    match control.readiness.phase() {
        Phase::Starting => lacking.push("the gate is starting"),
        Phase::Serving => {}
        Phase::Draining => lacking.push("the gate is draining"),
    }
    let policy = control.judge.policy();
    let answer = json!({
        "ready": lacking.is_empty(),
        "not_ready": lacking,
        "warnings": health.warnings,
        "policy": { "revision": policy.revision(), "mode": policy.mode().name() },
        "templates": { "count": control.catalogue.count(), "oldest_list_seconds": control.catalogue.age().map(|age| age.as_secs()) },
    });
    let status = if lacking.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(answer))
}

/// The counters, as Prometheus reads them.
pub(super) async fn metrics(
    State(control): State<Arc<Control>>,
) -> ([(HeaderName, &'static str); 1], String) {
    control.metrics.set_store_up(control.store.health().up);
    control.metrics.set_invalidation_up(control.store.hears_changes());
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], control.metrics.render())
}

/// The description of this API.
pub(super) async fn openapi() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(CONTENT_TYPE, "application/json")], OPENAPI)
}
