//! The record of each send: opened before anybody is looked up, closed with what became of it, whatever happens in between.

use std::rc::Rc;

use futures_util::future::try_join_all;

use super::Worker;
use crate::consent::{Basis, Category};
use crate::decision_log::{DecisionId, Guard, Outcome, Verdict};
use crate::judge::{Grounds, Judgement};
use crate::metrics::{self, DecisionLabels, Kind};
use crate::policy::{Decision, Denial};
use crate::senders::{Asked, Who, Written};
use crate::wire::Send;
use crate::wire::cloud::answer::MessageId;

/// The record of one send.
pub(super) struct Entry {
    id: DecisionId,
    /// `None` if the log was full: such a send is refused.
    guard: Option<Guard>,
    worker: Rc<Worker>,
    category: Option<Category>,
    allowed: Option<Allowed>,
    grounds: Option<Grounds>,
    labels: Option<DecisionLabels>,
    who: Who,
    written: Option<Written>,
    /// Which operation of a batch it is.
    operation: Option<usize>,
    decided: bool,
}

/// What an allowed send tells its caller.
#[derive(Clone, Copy, Debug)]
pub(super) enum Allowed {
    /// It rests on this.
    On(Basis),
    /// Only because the policy does not enforce; this would have been the reason.
    WouldDeny(crate::consent::DenyReason),
}

impl Entry {
    /// Takes a place in the log, waiting for one as long as the settings say. Boxed: it is handed from stage to stage.
    pub(super) async fn open(worker: &Rc<Worker>) -> Box<Self> {
        let reserved = worker.log.reserve(worker.judge.now(), worker.settings.log_patience).await;
        let (id, guard) = match reserved {
            Ok(guard) => (guard.id(), Some(guard)),
            Err(full) => (full.id, None),
        };
        Box::new(Self {
            id,
            guard,
            worker: Rc::clone(worker),
            category: None,
            allowed: None,
            grounds: None,
            labels: None,
            who: Who::Nobody,
            written: None,
            operation: None,
            decided: false,
        })
    }

    /// Whether the log had no place.
    pub(super) fn is_unlogged(&self) -> bool {
        self.guard.is_none()
    }

    /// Notes how a send was judged; gives the decision back.
    pub(super) fn judged(&mut self, send: &Send<'_>, judgement: Judgement) -> Decision {
        let Judgement {
            decision,
            tenant,
            sender,
            readings,
            classified,
            listed,
            lookup,
            window,
            policy,
            at,
            grounds,
        } = judgement;
        self.written = written(send);
        self.operation = send.operation;
        self.grounds = grounds;
        self.who = match (sender, tenant) {
            (Some(number), _) => Who::Number(number),
            (None, Some(_)) => Who::Named((*send.sender).into()),
            (None, None) => Who::Nobody,
        };
        self.category = Some(classified.headline);
        if let Some((source, took)) = lookup {
            self.worker.metrics.observe_lookup(source, took);
        }
        self.count(&decision, tenant, policy.mode());
        if let Some(guard) = &mut self.guard {
            guard.fill(|event| {
                event.judged_at(at);
                event.tenant = tenant;
                // Digits in the path of an unknown sender could be anything, somebody's number included.
                if tenant.is_some() {
                    event.set_sender(&send.sender);
                }
                event.readings = readings;
                event.category = Some(classified.headline);
                event.listed = listed;
                event.window = window;
                if let Some(template) = &send.payload.template {
                    event.set_template(&template.name, &template.language);
                }
                event.decided(&decision, &policy);
            });
        }
        decision
    }

    /// Notes a decision that was made without looking anybody up.
    pub(super) fn unjudged(&mut self, worker: &Worker, sender: Option<&str>, decision: &Decision) {
        let tenant = sender.and_then(|id| worker.judge.tenant_of(id));
        let policy = worker.judge.policy();
        self.count(decision, tenant, policy.mode());
        if let Some(guard) = &mut self.guard {
            guard.fill(|event| {
                event.tenant = tenant;
                if let (Some(_), Some(sender)) = (tenant, sender) {
                    event.set_sender(sender);
                }
                event.decided(decision, &policy);
            });
        }
    }

    fn count(&mut self, decision: &Decision, tenant: Option<usize>, mode: crate::policy::Mode) {
        let outcome = match decision {
            Decision::Allow(permit) => {
                let basis = permit.basis();
                if let (Basis::FailOpen, Some(category)) = (basis, self.category) {
                    self.worker.metrics.fail_open(category);
                }
                self.allowed = Some(match permit.would_deny() {
                    Some(denial) => Allowed::WouldDeny(denial.reason),
                    None => Allowed::On(basis),
                });
                metrics::Outcome::Allow(basis)
            }
            Decision::Deny(denial) => metrics::Outcome::Deny(denial.reason),
        };
        self.decided = true;
        let labels = DecisionLabels { tenant, category: self.category, outcome, mode };
        self.labels = Some(labels);
        self.worker.metrics.decision(labels);
    }

    /// Whom the send names, unless it could mean several.
    fn asked(&self) -> Option<Box<Asked>> {
        let (tenant, person) = self.grounds.as_ref()?.only_person()?;
        Some(Box::new(Asked { tenant, person: person.clone(), written: self.written? }))
    }

    fn finish(&mut self, outcome: Outcome) {
        self.decided = true;
        if let Some(guard) = self.guard.take() {
            guard.finish(outcome);
        }
    }
}

/// How a send names whom it goes to, unless it names somebody twice.
fn written(send: &Send<'_>) -> Option<Written> {
    match (&send.to, &send.recipient) {
        (Some(written), None) | (None, Some(written)) => Some(Written::of(written)),
        _ => None,
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // The guard records `aborted` by itself.
        if self.guard.is_some() && !self.decided {
            self.worker.metrics.aborted();
        }
    }
}

/// The records of all sends of one request; there is at least one.
pub(super) struct Entries {
    first: Box<Entry>,
    others: Vec<Entry>,
}

impl Entries {
    pub(super) fn one(entry: Box<Entry>) -> Self {
        Self { first: entry, others: Vec::new() }
    }

    pub(super) fn push(&mut self, entry: Box<Entry>) {
        self.others.push(*entry);
    }

    /// The entry that speaks for the request: the last, which is the refused one if any is.
    fn speaker(&self) -> &Entry {
        self.others.last().unwrap_or(&self.first)
    }

    /// The id that the caller is told.
    pub(super) fn id(&self) -> DecisionId {
        self.speaker().id
    }

    /// The category by which the request is refused.
    pub(super) fn category(&self) -> Option<Category> {
        self.speaker().category
    }

    /// What an allowed request tells its caller.
    pub(super) fn allowed(&self) -> Option<Allowed> {
        self.speaker().allowed
    }

    /// Notes that the request is about to be written: from here on nobody can say that it was not sent, least of all a drain that cuts it.
    pub(super) fn leave(&mut self) {
        let entries = std::iter::once(&mut *self.first).chain(&mut self.others);
        for guard in entries.filter_map(|entry| entry.guard.as_mut()) {
            guard.presume(Outcome::OutcomeUnknown);
        }
    }

    /// Fills in the provider's message id of the send that stands alone, or at this place of its batch.
    pub(super) fn answered(&mut self, place: Option<usize>, message_id: MessageId) {
        let mut entries = std::iter::once(&mut *self.first).chain(&mut self.others);
        let entry = entries.find(|entry| entry.operation == place);
        if let Some(guard) = entry.and_then(|entry| entry.guard.as_mut()) {
            guard.fill(|event| event.set_message_id(message_id));
        }
    }

    /// Who sends, and the category by which the first send is counted; of several sends nobody can tell which answer belongs to which.
    pub(super) fn sender(&self) -> (Who, Option<Category>) {
        (self.first.who.clone(), self.first.category.filter(|_| self.others.is_empty()))
    }

    /// Whom a send names: the only one, or the one that stands at a place of a batch.
    pub(super) fn asked(&self, place: Option<usize>) -> Option<Box<Asked>> {
        let mut entries = std::iter::once(&*self.first).chain(&self.others);
        entries.find(|entry| entry.operation == place)?.asked()
    }

    /// Whether the request was judged as a send.
    pub(super) fn are_judged(&self) -> bool {
        self.first.category.is_some()
    }

    /// Whether the sends, or the only one, came in a batch, and the answer is one to a batch.
    pub(super) fn are_of_a_batch(&self) -> bool {
        self.first.operation.is_some()
    }

    /// Whether the sends were judged one after another, so that the first permit may be old by now.
    pub(super) fn are_several(&self) -> bool {
        !self.others.is_empty()
    }

    /// Whether every permit would be given again. All are asked for at once: the answers are as old as the slowest lookup, not as all of them together.
    pub(super) async fn still_permitted(&self, worker: &Worker) -> Result<(), Denial> {
        let all = std::iter::once(&*self.first).chain(&self.others).filter_map(|e| e.grounds.as_ref());
        try_join_all(all.map(|grounds| worker.judge.still_permits(grounds))).await.map(drop)
    }

    /// Gives back what was reserved for sends of a request of which nothing is forwarded.
    pub(super) async fn give_back(&self, worker: &Worker) {
        let all = std::iter::once(&*self.first).chain(&self.others).filter_map(|e| e.grounds.as_ref());
        for grounds in all {
            // Boxed: what was refused rests on no grounds, and the future of a request is as large as its largest way.
            Box::pin(worker.judge.give_back(grounds)).await;
        }
    }

    /// Notes that what was allowed was denied before anything was written.
    pub(super) fn overruled(&mut self, denial: &Denial) {
        let entry = self.others.last_mut().unwrap_or(&mut self.first);
        if let Some(labels) = entry.labels {
            entry
                .worker
                .metrics
                .decision(DecisionLabels { outcome: metrics::Outcome::Deny(denial.reason), ..labels });
        }
        if let Some(guard) = &mut entry.guard {
            guard.fill(|event| event.verdict = Some(Verdict::Deny(denial.reason)));
        }
    }

    /// Records the refusal of the whole request.
    pub(super) fn refused(mut self, worker: &Worker, denial: &Denial) {
        worker.metrics.request(Kind::Refused);
        if !self.first.decided {
            let decision = Decision::Deny(denial.clone());
            self.first.unjudged(worker, None, &decision);
        }
        self.finish(Outcome::Refused);
    }

    /// Records what became of every send of the request.
    pub(super) fn finish(mut self, outcome: Outcome) {
        self.first.finish(outcome);
        self.others.iter_mut().for_each(|entry| entry.finish(outcome));
    }
}
