//! What monitoring and clients read without a token: alive, ready, metrics, the description of the API.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName};
use serde::Serialize;
use utoipa::ToSchema;

use super::Control;
use super::openapi::{AnyObject, DOCUMENT, Description};
use crate::metrics;
use crate::policy::Mode;

/// Easily forgotten after a trial, and then nobody is protected.
const SHADOW: &str = "[policy] mode is \"shadow\": every send passes and refusals are only recorded; set \"enforce\" to refuse";

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

/// What to do about an admin listener that others can listen to.
pub const EXPOSED: &str = "the admin listener is reachable from other machines and speaks plain HTTP, so tokens and numbers can be read on the way: set [admin] tls_cert and tls_key, or listen on 127.0.0.1";

/// The process answers.
#[derive(Serialize, ToSchema)]
pub(super) struct Alive {
    /// Always `alive`.
    #[schema(example = "alive")]
    status: &'static str,
}

/// Whether sends can be judged.
#[derive(Serialize, ToSchema)]
pub(super) struct Readable {
    /// Whether they can.
    ready: bool,
    /// Why not.
    not_ready: Vec<&'static str>,
    /// What an operator should know even if they can.
    warnings: Vec<String>,
    policy: PolicyInForce,
    templates: TemplatesKnown,
}

/// The policy in force.
#[derive(Serialize, ToSchema)]
struct PolicyInForce {
    /// Names its content: the same settings have the same revision.
    revision: String,
    /// `enforce` or `shadow`.
    #[schema(example = "enforce")]
    mode: &'static str,
}

/// The template catalogue in numbers.
#[derive(Serialize, ToSchema)]
struct TemplatesKnown {
    /// How many templates are known, languages counted singly.
    count: usize,
    /// How long ago the oldest list was whole: imported, or read from the provider to its end.
    oldest_list_seconds: Option<u64>,
}

pub(super) async fn healthz() -> Json<Alive> {
    Json(Alive { status: "alive" })
}

pub(super) fn describe_healthz() -> Description {
    Description::of("The process answers").answers::<Alive>(200, "It does")
}

/// Whether sends can be judged, and what an operator should know even if they can.
pub(super) async fn readyz(State(control): State<Arc<Control>>) -> (StatusCode, Json<Readable>) {
    let mut health = control.store.health();
    health.warnings.extend(control.reloads.warnings());
    let mut not_ready = Vec::new();
    if !health.up {
        not_ready.push("the consent store does not answer");
    }
    if !control.catalogue.is_loaded() {
        not_ready.push("the template catalogue has not been read from the consent store yet");
    }
    match control.readiness.phase() {
        Phase::Starting => not_ready.push("the gate is starting"),
        Phase::Serving => {}
        Phase::Draining => not_ready.push("the gate is draining"),
    }
    let mut warnings = health.warnings;
    if control.exposed {
        warnings.push(EXPOSED.to_owned());
    }
    warnings.extend(control.senders.warnings());
    let policy = control.judge.policy();
    if policy.mode() == Mode::Shadow {
        warnings.push(SHADOW.into());
    }
    let answer = Readable {
        ready: not_ready.is_empty(),
        not_ready,
        warnings,
        policy: PolicyInForce { revision: policy.revision().to_owned(), mode: policy.mode().name() },
        templates: TemplatesKnown {
            count: control.catalogue.count(),
            oldest_list_seconds: control.catalogue.age().map(|age| age.as_secs()),
        },
    };
    let status = if answer.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(answer))
}

pub(super) fn describe_readyz() -> Description {
    Description::of("Whether sends can be judged")
        .answers::<Readable>(200, "They can")
        .answers::<Readable>(503, "They cannot; not_ready says why")
}

/// The counters, as Prometheus reads them.
pub(super) async fn metrics(
    State(control): State<Arc<Control>>,
) -> ([(HeaderName, &'static str); 1], String) {
    control.metrics.set_store_up(control.store.health().up);
    control.metrics.set_invalidation_up(control.store.hears_changes());
    let ages = control.catalogue.ages().into_iter();
    control.metrics.set_template_ages(ages.map(|(account, by, age)| (account, by.name(), age)).collect());
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], control.metrics.render())
}

pub(super) fn describe_metrics() -> Description {
    Description::of("Counters and histograms").answers_as::<String>(
        200,
        "OpenMetrics text, as Prometheus reads it",
        "application/openmetrics-text",
    )
}

/// The description of this API.
pub(super) async fn openapi() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}

pub(super) fn describe_openapi() -> Description {
    Description::of("This document").answers::<AnyObject>(200, "OpenAPI 3.1")
}
