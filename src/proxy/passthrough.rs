//! What is no send: streams through in both directions, untouched.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use hyper::body::{Body, Incoming};

use super::Worker;
use super::answer::Answer;
use super::budget::Held;
use super::buffer;
use super::deny::Refused;
use super::forward::{self, failed};
use super::ledger::{Entries, Entry};
use crate::metrics::{Kind, StatusClass, UpstreamFailure};
use crate::net::Inbound;
use crate::policy::{Clearance, Decision, Denial, Mode};
use crate::upstream::body::{Inspect, Refused as RefusedBody};
use crate::upstream::{Failure, Outgoing, headers};
use crate::wire::recognize::{Passage, Target, Unreadable, Watch, sender_of};
use crate::wire::refusal::Cause;

/// How a request passes.
pub(super) struct Passing {
    passage: Passage,
    target: Option<Target>,
    watch: Option<Watch>,
}

impl Passing {
    /// Nothing in its body could be a send.
    pub(super) fn freely(passage: Passage, target: Option<Target>) -> Self {
        Self { passage, target, watch: None }
    }

    /// Its body is looked at while it passes.
    pub(super) fn watched(passage: Passage, watch: Watch, target: Option<Target>) -> Self {
        Self { passage, target, watch: Some(watch) }
    }
}

/// What a watch found, told across the body that found it.
type Found = Rc<RefCell<Option<Unreadable>>>;

/// A watch on a body that streams.
struct Streaming {
    watch: Option<Watch>,
    found: Found,
}

impl Streaming {
    fn note(&self, seen: Result<(), Unreadable>) -> Result<(), RefusedBody> {
        seen.map_err(|unreadable| {
            *self.found.borrow_mut() = Some(unreadable);
            RefusedBody
        })
    }
}

impl Inspect for Streaming {
    fn chunk(&mut self, chunk: &[u8]) -> Result<(), RefusedBody> {
        let seen = self.watch.as_mut().map_or(Ok(()), |watch| watch.feed(chunk));
        self.note(seen)
    }

    fn end(&mut self) -> Result<(), RefusedBody> {
        let seen = self.watch.take().map_or(Ok(()), Watch::finish);
        self.note(seen)
    }
}

/// Passes a request whose body is still on its way.
///
/// A watched body that is short enough is read before anything is sent, so that one which hides a send never reaches the provider at all.
///
/// # Cancel safety
/// Dropped, the exchange with the provider is aborted, as it would be without a gate.
pub(super) async fn pass(
    worker: Rc<Worker>,
    parts: Box<Parts>,
    body: Inbound,
    passing: Passing,
) -> Response<Answer> {
    let enforced = worker.judge.policy().mode() == Mode::Enforce;
    match passing.watch {
        Some(watch) if enforced => {
            pass_watched(worker, (parts, body), (passing.passage, passing.target), watch).await
        }
        Some(_) | None => {
            let clearance = Clearance::passthrough(passing.passage);
            worker.metrics.request(Kind::Passthrough);
            let request = forward::request(&worker, parts, passing.target, body);
            answered(&worker, send(&worker, clearance, request).await)
        }
    }
}

/// Passes a request whose body was read.
pub(super) async fn pass_read(
    worker: Rc<Worker>,
    parts: Box<Parts>,
    body: Bytes,
    passing: Passing,
) -> Response<Answer> {
    let clearance = Clearance::passthrough(passing.passage);
    worker.metrics.request(Kind::Passthrough);
    let request = forward::request(&worker, parts, passing.target, Inbound::Read(body));
    answered(&worker, send(&worker, clearance, request).await)
}

async fn pass_watched(
    worker: Rc<Worker>,
    (parts, body): (Box<Parts>, Inbound),
    (passage, target): (Passage, Option<Target>),
    mut watch: Watch,
) -> Response<Answer> {
    let sender = sender_of(&parts).map(str::to_owned);
    let body = match body {
        Inbound::Read(body) => Ok(buffer::counted(&worker, body)),
        Inbound::Unread(body) => match hold_if_short(&worker, &body) {
            Some(held) => buffer::read_within(&worker, body, held).await.map_err(|_| None),
            None => Err(Some(body)),
        },
    };
    let body = match body {
        Ok(body) => {
            return match watch.feed(&body).and_then(|()| watch.finish()) {
                Ok(()) => pass_read(worker, parts, body, Passing::freely(passage, target)).await,
                Err(unreadable) => refuse(&worker, sender.as_deref(), unreadable).await,
            };
        }
        Err(None) => {
            let broken = Unreadable::request("the body ended before its end");
            return refuse(&worker, sender.as_deref(), broken).await;
        }
        Err(Some(streaming)) => streaming,
    };
    let found = Found::default();
    let streaming = Streaming { watch: Some(watch), found: Rc::clone(&found) };
    let mut request = forward::request(&worker, parts, target, Inbound::Unread(body));
    if let Outgoing::Streamed { watch, .. } = &mut request.1 {
        *watch = Some(Box::new(streaming));
    }
    let sent = send(&worker, Clearance::passthrough(passage), request).await;
    let found = found.borrow_mut().take();
    if let Some(unreadable) = found {
        // The provider got a request without an end: it did nothing.
        return refuse(&worker, sender.as_deref(), unreadable).await;
    }
    worker.metrics.request(Kind::Passthrough);
    answered(&worker, sent)
}

/// Room for a body that is short enough to be read first; without room it streams as a long one does.
fn hold_if_short(worker: &Worker, body: &Incoming) -> Option<Held> {
    let length = usize::try_from(body.size_hint().upper()?).ok()?;
    if length <= worker.settings.max_send_body { worker.budget.hold_if_ample(length) } else { None }
}

/// Refuses what a watch found.
async fn refuse(worker: &Rc<Worker>, sender: Option<&str>, unreadable: Unreadable) -> Response<Answer> {
    let started = Instant::now();
    let Unreadable { reason, why, operation, dialect, cause } = unreadable;
    let denial = Denial { reason, why: Some(why), operation };
    let mut entry = Entry::open(worker).await;
    entry.unjudged(worker, sender, &Decision::Deny(denial.clone()));
    Refused { entries: Entries::one(entry), denial, dialect, started }.answer_as(worker, cause)
}

async fn send(
    worker: &Worker,
    clearance: Clearance,
    request: (Box<Parts>, Outgoing),
) -> Result<Response<Answer>, Failure> {
    let sent = Instant::now();
    let mut response = worker.upstream.forward(clearance, request, async || Ok(())).await?;
    worker.metrics.observe_upstream(StatusClass::of(response.status().as_u16()), sent.elapsed());
    headers::prepare_response(response.headers_mut());
    Ok(response.map(|body| Answer::Arriving(Box::new(body))))
}

/// The provider's answer, or ours where it gave none.
fn answered(worker: &Worker, sent: Result<Response<Answer>, Failure>) -> Response<Answer> {
    let failure = match sent {
        Ok(response) => return response,
        Err(failure) => failure,
    };
    let id = worker.log.id(worker.judge.now());
    let (cause, kind, error) = match failure {
        Failure::NotReached(error) => (Cause::UpstreamNotReached, UpstreamFailure::NotReached, error),
        Failure::OutcomeUnknown(error) => (Cause::OutcomeUnknown, UpstreamFailure::OutcomeUnknown, error),
        // What passes is never asked about again.
        Failure::Overruled(denial) => {
            (Cause::Denied(denial.reason), UpstreamFailure::NotReached, io::Error::other("overruled"))
        }
    };
    tracing::warn!(request.id = %id, error = %error, "passthrough failed");
    worker.metrics.upstream_failed(kind);
    failed(cause, &id)
}
