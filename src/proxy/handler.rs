//! The journey of a request, read from top to bottom.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, Version};

use super::Worker;
use super::answer::Answer;
use super::buffer::{self, Unread};
use super::deny::Refused;
use super::forward::{self, Cleared};
use super::ledger::{Entries, Entry};
use super::passthrough::{self, Passing};
use super::rest;
use crate::consent::DenyReason;
use crate::consent::tenant::Tenants;
use crate::net::Inbound;
use crate::policy::{Clearance, Decision, Denial, Permit, decide_steering, refuse};
use crate::wire::Send;
use crate::wire::recognize::{self, Head, Inspect, Recognized, Target, Unreadable};
use crate::wire::refusal::{Cause, Dialect};

/// Answers one request: recognizes it, judges every send in it, and forwards or refuses.
///
/// # Cancel safety
/// Dropped before a send is cleared, nothing was forwarded and the record says `aborted`; dropped later, the forward goes on by itself and is recorded.
pub async fn handle(worker: Rc<Worker>, request: Request<Inbound>) -> Response<Answer> {
    let _in_flight = worker.metrics.in_flight();
    let (parts, body) = request.into_parts();
    // It moves from stage to stage, and on with the forward.
    let parts = Box::new(parts);
    let journey = Journey { started: Instant::now(), tenants: worker.judge.tenants(), worker };
    // Everything but the way of a single send is boxed: the future of a request is as large as its largest way, and is moved.
    // ② recognize, as far as the head tells
    match journey.worker.recognizing(&journey.tenants, |context| recognize::head(&parts, context)) {
        Head::Passthrough(passage, target) => {
            let passing = Passing::freely(passage, target);
            Box::pin(passthrough::pass(journey.worker, parts, body, passing)).await
        }
        Head::Watched(passage, watch, target) => {
            let passing = Passing::watched(passage, watch, target);
            Box::pin(passthrough::pass(journey.worker, parts, body, passing)).await
        }
        Head::Inspect(inspect) => journey.inspect(parts, body, inspect).await,
        Head::Steering(edge) => {
            let body = counted(&journey.worker, body);
            Box::pin(journey.steer(parts, body, edge)).await
        }
        Head::Unreadable(unreadable) => {
            let body = counted(&journey.worker, body);
            Box::pin(journey.unreadable(parts, body, unreadable)).await
        }
    }
}

/// What is here already counts as held, however it is decided.
fn counted(worker: &Worker, body: Inbound) -> Inbound {
    match body {
        Inbound::Read(body) => Inbound::Read(buffer::counted(worker, body)),
        Inbound::Unread(_) => body,
    }
}

/// One request on its way.
pub(super) struct Journey {
    pub(super) started: Instant,
    /// Those of its beginning: a reload changes nothing for a request on its way.
    pub(super) tenants: Arc<Tenants>,
    pub(super) worker: Rc<Worker>,
}

/// What all judgements about one request come to.
struct Verdict {
    entries: Entries,
    ruling: Result<Clearance, Denial>,
}

impl Journey {
    /// Reads the body and goes on by what it turns out to be.
    async fn inspect(self, parts: Box<Parts>, body: Inbound, inspect: Inspect) -> Response<Answer> {
        let body = match buffer::read(&self.worker, body).await {
            Ok(body) => body,
            Err(unread) => return Box::pin(self.unread(unread, inspect.dialect(), parts.version)).await,
        };
        let target = inspect.target().cloned();
        // ② recognize, by the body
        let recognize = |context: recognize::Context<'_>| recognize::body(&inspect, &parts, &body, context);
        match self.worker.recognizing(&self.tenants, recognize) {
            Recognized::One(send) => {
                let verdict = self.judge_one(&send).await;
                drop(send);
                self.settle(verdict, (parts, body, target), inspect.dialect()).await
            }
            Recognized::Batch(sends) => {
                let verdict = Box::pin(self.judge_all(&sends)).await;
                drop(sends);
                self.settle(verdict, (parts, body, target), inspect.dialect()).await
            }
            Recognized::Passthrough(passage) => {
                let passing = Passing::freely(passage, target);
                Box::pin(passthrough::pass_read(self.worker, parts, body, passing)).await
            }
            Recognized::Steering(edge) => Box::pin(self.steer(parts, Inbound::Read(body), edge)).await,
            Recognized::Unreadable(unreadable) => {
                Box::pin(self.unreadable(parts, Inbound::Read(body), unreadable)).await
            }
        }
    }

    /// ③ to ⑥ for the send of a request that has one.
    async fn judge_one(&self, send: &Send<'_>) -> Verdict {
        let (entry, decision) = self.judge(send).await;
        let ruling = match decision {
            Decision::Allow(permit) => Ok(Clearance::send(permit)),
            Decision::Deny(denial) => Err(denial),
        };
        Verdict { entries: Entries::one(entry), ruling }
    }

    /// ③ to ⑥ for every send of a batch. The first that is refused refuses the batch; a batch is forwarded only with a permit for each of its sends.
    async fn judge_all(&self, sends: &[Send<'_>]) -> Verdict {
        let mut entries: Option<Entries> = None;
        let mut permits = Vec::with_capacity(sends.len());
        let mut refused = None;
        for send in sends {
            let (entry, decision) = self.judge(send).await;
            match &mut entries {
                None => entries = Some(Entries::one(entry)),
                Some(entries) => entries.push(entry),
            }
            match decision {
                Decision::Allow(permit) => permits.push(permit),
                Decision::Deny(denial) => {
                    refused = Some(denial);
                    break;
                }
            }
        }
        let entries = match entries {
            Some(entries) => entries,
            None => Entries::one(Entry::open(&self.worker).await),
        };
        let ruling = match refused {
            Some(denial) => Err(denial),
            None => Clearance::batch(permits, sends.len())
                .ok_or_else(|| Denial::of(DenyReason::RequestUnreadable)),
        };
        Verdict { entries, ruling }
    }

    async fn judge(&self, send: &Send<'_>) -> (Box<Entry>, Decision) {
        let mut entry = Entry::open(&self.worker).await;
        if entry.is_unlogged() {
            return (entry, log_full());
        }
        let judgement = self.worker.judge.judge_among(&self.tenants, send).await;
        let decision = entry.judged(send, judgement);
        match decision {
            Decision::Deny(denial) => {
                let operation = denial.operation.or(send.operation);
                (entry, Decision::Deny(Denial { operation, ..denial }))
            }
            Decision::Allow(_) => (entry, decision),
        }
    }

    /// ⑦ forward or deny, ⑧ record.
    async fn settle(
        self,
        verdict: Verdict,
        (parts, body, target): (Box<Parts>, Bytes, Option<Target>),
        dialect: Dialect,
    ) -> Response<Answer> {
        let Verdict { entries, ruling } = verdict;
        match ruling {
            Ok(clearance) => {
                let cleared = Cleared { clearance, entries, parts, target, started: self.started };
                forward::forward(self.worker, cleared, Inbound::Read(body)).await
            }
            Err(denial) => {
                entries.give_back(&self.worker).await;
                Refused { entries, denial, dialect, started: self.started }.answer(&self.worker)
            }
        }
    }

    /// A write that could move webhooks away or make the provider send by itself.
    async fn steer(self, parts: Box<Parts>, body: Inbound, edge: &'static str) -> Response<Answer> {
        let decision = decide_steering(&self.worker.judge.policy(), edge);
        let cause = Cause::Denied(DenyReason::SteeringWrite);
        self.unjudged((parts, body), decision, Dialect::Cloud, cause).await
    }

    /// A request that could be a send and cannot be read with certainty.
    async fn unreadable(self, parts: Box<Parts>, body: Inbound, unreadable: Unreadable) -> Response<Answer> {
        let Unreadable { reason, why, operation, dialect, cause } = unreadable;
        let denial = Denial { reason, why: Some(why), operation };
        let decision = refuse(&self.worker.judge.policy(), denial);
        self.unjudged((parts, body), decision, dialect, cause).await
    }

    /// ⑦ and ⑧ for a request that was decided without looking anybody up.
    async fn unjudged(
        self,
        (parts, body): (Box<Parts>, Inbound),
        decision: Decision,
        dialect: Dialect,
        cause: Cause,
    ) -> Response<Answer> {
        let mut entry = Entry::open(&self.worker).await;
        // Without a place in the log nothing passes, not even what the policy only watches.
        let unlogged = entry.is_unlogged();
        let decision = if unlogged { log_full() } else { decision };
        let cause = if unlogged { Cause::Denied(DenyReason::Overloaded) } else { cause };
        entry.unjudged(&self.worker, recognize::sender_of(&parts), &decision);
        match decision {
            Decision::Allow(permit) => self.let_pass(parts, body, entry, permit).await,
            Decision::Deny(denial) => {
                let refused =
                    Refused { entries: Entries::one(entry), denial, dialect, started: self.started };
                let refusal = refused.answer_as(&self.worker, cause);
                rest::read(&self.worker, refusal, &parts, body).await
            }
        }
    }

    async fn let_pass(
        self,
        parts: Box<Parts>,
        body: Inbound,
        entry: Box<Entry>,
        permit: Permit,
    ) -> Response<Answer> {
        let clearance = Clearance::send(permit);
        let entries = Entries::one(entry);
        let target = self.worker.recognizing(&self.tenants, |context| recognize::target_of(&parts, context));
        let cleared = Cleared { clearance, entries, parts, target, started: self.started };
        forward::forward(self.worker, cleared, body).await
    }

    /// A body that could not be read whole: too large to be judged, cut short by its caller, or one too many.
    async fn unread(self, unread: Unread, dialect: Dialect, version: Version) -> Response<Answer> {
        let mut entry = Entry::open(&self.worker).await;
        let denial = match unread {
            Unread::TooLarge => Denial::because(
                DenyReason::RequestUnreadable,
                "the body is larger than [proxy] max_send_body",
            ),
            Unread::Broken => Denial::because(DenyReason::RequestUnreadable, "the body ended before its end"),
            Unread::NoRoom => no_room(),
        };
        let decision = Decision::Deny(denial.clone());
        entry.unjudged(&self.worker, None, &decision);
        let refused = Refused { entries: Entries::one(entry), denial, dialect, started: self.started };
        let refusal = match unread {
            Unread::TooLarge => refused.answer_as(&self.worker, Cause::TooLarge),
            Unread::Broken | Unread::NoRoom => refused.answer(&self.worker),
        };
        rest::closing(refusal, version)
    }
}

pub(super) fn no_room() -> Denial {
    let why = "the bodies that this worker holds fill [proxy] max_buffered_per_worker";
    Denial::because(DenyReason::Overloaded, why)
}

fn log_full() -> Decision {
    Decision::Deny(Denial::because(DenyReason::Overloaded, "the decision log is full"))
}
