//! Refusing: the answer that the caller's own software understands, and its record.

use std::sync::LazyLock;
use std::time::Instant;

use http::Response;
use http::header::{self, HeaderMap, HeaderValue};

use super::Worker;
use super::answer::Answer;
use super::ledger::Entries;
use crate::consent::DenyReason;
use crate::decision_log::DecisionId;
use crate::policy::Denial;
use crate::wire::refusal::{self, Cause, Dialect, Refusal, Rendered};

/// A request that was refused.
pub(super) struct Refused {
    pub(super) entries: Entries,
    pub(super) denial: Denial,
    pub(super) dialect: Dialect,
    pub(super) started: Instant,
}

impl Refused {
    /// Answers and records.
    pub(super) fn answer(self, worker: &Worker) -> Response<Answer> {
        let cause = Cause::Denied(self.denial.reason);
        self.answer_as(worker, cause)
    }

    /// Answers with another cause than the reason of the record.
    pub(super) fn answer_as(self, worker: &Worker, cause: Cause) -> Response<Answer> {
        let Self { entries, denial, dialect, started } = self;
        let id = entries.id();
        let rendered = refusal::render(&Refusal {
            cause,
            category: entries.category(),
            why: denial.why.as_deref(),
            operation: denial.operation,
            decision_id: id.as_str(),
            dialect,
        });
        entries.refused(worker, &denial);
        let took = started.elapsed();
        worker.metrics.observe_decision(took);
        worker.metrics.observe_added(took);
        respond(rendered, &id, deny_value(denial.reason))
    }
}

/// An answer in the provider's envelope, with the decision's header fields.
pub(super) fn respond(rendered: Rendered, id: &DecisionId, decision: HeaderValue) -> Response<Answer> {
    // Made large enough at once for what is put in here.
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    if let Some(seconds) = rendered.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    headers.insert(super::DECISION, decision);
    headers.insert(super::DECISION_ID, id_value(id));
    let mut response = Response::new(Answer::whole(rendered.body));
    *response.status_mut() = rendered.status;
    *response.headers_mut() = headers;
    response
}

/// The decision's id as a field value.
pub(super) fn id_value(id: &DecisionId) -> HeaderValue {
    // Crockford's base32 has no byte that a field value could not hold.
    HeaderValue::from_bytes(id.as_str().as_bytes()).unwrap_or(HeaderValue::from_static("unknown"))
}

fn deny_value(reason: DenyReason) -> HeaderValue {
    DENIALS.get(reason.index()).cloned().unwrap_or(HeaderValue::from_static("deny"))
}

/// One for each reason. They live as long as the program, so that no two workers count how often the same one is in use.
static DENIALS: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| {
    let value =
        |reason: &DenyReason| HeaderValue::from_static(format!("deny; reason={}", reason.name()).leak());
    DenyReason::ALL.iter().map(value).collect()
});
