//! Forwarding what was cleared: on a task of its own, so that it ends and is recorded whatever the caller does.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HeaderValue;
use http::request::Parts;
use http::{Response, header};
use hyper::body::Body as _;

use super::Worker;
use super::answer::Answer;
use super::deny::{Refused, id_value, respond};
use super::detached::Detached;
use super::ledger::{Allowed, Entries};
use super::taken;
use crate::consent::Basis;
use crate::decision_log::Outcome;
use crate::metrics::{Kind, StatusClass, UpstreamFailure};
use crate::net::{Inbound, within};
use crate::policy::Clearance;
use crate::upstream::{Arriving, Failure, Outgoing, headers};
use crate::wire::recognize::Target;
use crate::wire::refusal::{self, Cause, Dialect, Refusal};

/// Answers to sends are short; those up to this size are read whole, so that the message id can be recorded.
const SHORT_ANSWER: usize = 4 * 1024;

/// The same for the answer to a batch, which holds one of each of its fifty operations.
const SHORT_BATCH_ANSWER: usize = 64 * 1024;

/// A request with the authority to forward it.
pub(super) struct Cleared {
    pub(super) clearance: Clearance,
    pub(super) entries: Entries,
    pub(super) parts: Box<Parts>,
    pub(super) target: Option<Target>,
    pub(super) started: Instant,
}

/// Forwards, and waits for the answer.
///
/// # Cancel safety
/// Dropped, the forward goes on: the permit is spent.
pub(super) async fn forward(worker: Rc<Worker>, cleared: Cleared, body: Inbound) -> Response<Answer> {
    Detached::new(run(worker, cleared, body)).await
}

async fn run(worker: Rc<Worker>, cleared: Cleared, body: Inbound) -> Response<Answer> {
    let worker = &*worker;
    let Cleared { clearance, mut entries, mut parts, target, started } = cleared;
    let id = entries.id();
    if entries.are_judged() {
        headers::ask_for_plain(&mut parts.headers);
    }
    let request = request(worker, parts, target, body);
    let sent = Instant::now();
    worker.metrics.observe_decision(sent - started);
    // Judging fifty operations takes as long as fifty lookups, in which somebody may have said no.
    let again = if entries.are_several() { Box::pin(entries.still_permitted(worker)).await } else { Ok(()) };
    entries.leave();
    let still_cleared = async || Box::pin(entries.still_permitted(worker)).await;
    let answer = match again {
        Err(denial) => Err(Failure::Overruled(denial)),
        Ok(()) => match worker.upstream.forward(clearance, request, still_cleared).await {
            Ok(response) => {
                whole_if_short(response, short(&entries), worker.upstream.response_timeout()).await
            }
            Err(failure) => Err(failure),
        },
    };
    match &answer {
        Err(Failure::Overruled(_)) => {}
        Ok(_) | Err(Failure::NotReached(_) | Failure::OutcomeUnknown(_)) => {
            worker.metrics.request(Kind::Send);
        }
    }
    match answer {
        Ok(mut response) => {
            let took = sent.elapsed();
            let status = response.status();
            worker.metrics.observe_upstream(StatusClass::of(status.as_u16()), took);
            taken::learn(worker, &mut entries, &response);
            decorate(&mut response, &entries);
            entries.finish(Outcome::Forwarded { status: status.as_u16() });
            worker.metrics.observe_added(started.elapsed().saturating_sub(took));
            response
        }
        Err(Failure::NotReached(cause)) => {
            tracing::warn!(decision.id = %id, error = %cause, "provider not reached");
            worker.metrics.upstream_failed(UpstreamFailure::NotReached);
            // Nothing was written, so the caller may try again.
            entries.give_back(worker).await;
            entries.finish(Outcome::UpstreamNotReached);
            failed(Cause::UpstreamNotReached, &id)
        }
        Err(Failure::OutcomeUnknown(cause)) => {
            tracing::warn!(decision.id = %id, error = %cause, "provider failed after bytes were written");
            worker.metrics.upstream_failed(UpstreamFailure::OutcomeUnknown);
            taken::unknown(worker, &entries);
            entries.finish(Outcome::OutcomeUnknown);
            failed(Cause::OutcomeUnknown, &id)
        }
        Err(Failure::Overruled(denial)) => {
            entries.give_back(worker).await;
            entries.overruled(&denial);
            Refused { entries, denial, dialect: Dialect::Cloud, started }.answer(worker)
        }
    }
}

/// The request as the provider gets it: the caller's bytes, at the target that was judged.
pub(super) fn request(
    worker: &Worker,
    mut parts: Box<Parts>,
    target: Option<Target>,
    body: Inbound,
) -> (Box<Parts>, Outgoing) {
    headers::prepare_request(&mut parts.headers, worker.upstream.origin().authority());
    let target = target.or_else(|| parts.uri.path_and_query().cloned());
    parts.uri = target.map(http::Uri::from).unwrap_or_default();
    let body = match body {
        Inbound::Read(body) => Outgoing::judged(body),
        Inbound::Unread(body) if body.is_end_stream() => Outgoing::judged(Bytes::new()),
        Inbound::Unread(body) => Outgoing::streamed(body, None),
    };
    (parts, body)
}

fn short(entries: &Entries) -> usize {
    if entries.are_of_a_batch() { SHORT_BATCH_ANSWER } else { SHORT_ANSWER }
}

/// Reads a short answer to its end, also one that does not announce its length. One that breaks off is an unknown outcome: half an answer tells a caller nothing.
async fn whole_if_short(
    response: Response<Arriving>,
    short: usize,
    patience: Duration,
) -> Result<Response<Answer>, Failure> {
    let (mut parts, body) = response.into_parts();
    headers::prepare_response(&mut parts.headers);
    let announced: Option<usize> =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length| length > short) {
        return Ok(Response::from_parts(parts, Answer::Arriving(Box::new(body))));
    }
    let read = within(patience, Answer::read_short(body, short)).await;
    let read = read.ok_or_else(|| Failure::OutcomeUnknown(io::ErrorKind::TimedOut.into()))?;
    let body = read.map_err(Failure::OutcomeUnknown)?;
    Ok(Response::from_parts(parts, body))
}

/// Adds the decision's own header fields.
fn decorate(response: &mut Response<Answer>, entries: &Entries) {
    let headers = response.headers_mut();
    headers.insert(super::DECISION, allow_value(entries.allowed()));
    headers.insert(super::DECISION_ID, id_value(&entries.id()));
}

fn allow_value(allowed: Option<Allowed>) -> HeaderValue {
    match allowed {
        Some(Allowed::On(Basis::Consent)) => HeaderValue::from_static("allow; basis=consent"),
        Some(Allowed::On(Basis::Window)) => HeaderValue::from_static("allow; basis=window"),
        Some(Allowed::On(Basis::Confirmation)) => HeaderValue::from_static("allow; basis=confirmation"),
        Some(Allowed::On(Basis::Policy)) => HeaderValue::from_static("allow; basis=policy"),
        Some(Allowed::On(Basis::FailOpen)) => HeaderValue::from_static("allow; basis=fail_open"),
        Some(Allowed::On(Basis::Shadow)) | None => HeaderValue::from_static("allow; basis=shadow"),
        Some(Allowed::WouldDeny(reason)) => {
            HeaderValue::from_str(&format!("shadow-deny; reason={}", reason.name()))
                .unwrap_or(HeaderValue::from_static("shadow-deny"))
        }
    }
}

/// The answer where the provider gave none.
pub(super) fn failed(cause: Cause, id: &crate::decision_log::DecisionId) -> Response<Answer> {
    let rendered = refusal::render(&Refusal {
        cause,
        category: None,
        why: None,
        operation: None,
        decision_id: id.as_str(),
        dialect: Dialect::Cloud,
    });
    respond(rendered, id, HeaderValue::from_static("failed"))
}
