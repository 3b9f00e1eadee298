//! Taking events in: reading each, and having the store settle them in batches.
//!
//! While the store is busy with a batch the next ones are read, a few at most: whoever sends faster than the store settles has to wait. Events about the same
//! people never overtake each other.

use std::collections::VecDeque;

use tokio::task::JoinHandle;

use super::Control;
use super::auth::Scope;
use super::caller::{Caller, Touched, Upshot};
use super::explain::{self, Unread};
use super::lines::MAX_LINE;
use super::problem::Problem;
use super::tally::{Done, Listing, Tally, Verdict};
use crate::consent::dossier::Provenance;
use crate::consent::event::EventAsWritten;
use crate::consent::{Event, Recipient};
use crate::policy::opt_in;
use crate::store::{Incoming, Outcome, StoreError};

/// How many events go to the store together: enough to share one flush to disk, few enough to hold.
const BATCH_EVENTS: usize = 512;
/// How many bytes of events are held before they go to the store, whatever their number.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// How many batches the store may be busy with.
const IN_FLIGHT: usize = 4;
/// After so many lines others on this thread have their turn.
const TURN: u64 = 128;

/// Why somebody may not say that a link was seen on the wire.
const OBSERVED: &str = "observed: an export says so of links that the provider showed; a token needs the scope admin to write it, because grants cross such a link: leave it out";

/// How a run of events is to be taken.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    /// Which results the answer lists.
    pub(super) listing: Listing,
    /// Whether events are only checked and nothing is stored.
    pub(super) dry_run: bool,
    /// The tenant of events that name none.
    pub(super) tenant: Option<String>,
    /// Whether it is one event alone, so that the line of the access log can wait for its answer.
    pub(super) single: bool,
}

/// One run of taking events in, of one caller.
pub(super) struct Ingest<'a> {
    control: &'a Control,
    caller: &'a Caller,
    manner: Manner,
    held: Batch,
    flights: VecDeque<Flight>,
    hasher: ahash::RandomState,
    tally: Tally,
}

/// Events that have been read.
#[derive(Default)]
struct Batch {
    verdicts: Vec<Verdict>,
    incoming: Vec<Incoming>,
    /// Whom the rejected ones were about, as far as they say it.
    refused: Vec<(Option<usize>, Recipient)>,
    bytes: usize,
}

/// An event that is not taken in.
struct Rejection {
    problems: Vec<String>,
    whom: Option<(Option<usize>, Recipient)>,
}

impl From<Vec<String>> for Rejection {
    fn from(problems: Vec<String>) -> Self {
        Self { problems, whom: None }
    }
}

/// A batch that the store is busy with.
struct Flight {
    verdicts: Vec<Verdict>,
    /// `None` if there was nothing for the store to do.
    outcomes: Option<JoinHandle<Result<Vec<Outcome>, StoreError>>>,
    /// Hashes of everybody whom its events name, in order.
    people: Vec<u64>,
    /// Which of its events are legacy grants, and whose.
    legacy: Vec<(usize, usize)>,
    /// Whom its events are about, for the access log.
    touched: Vec<Touched>,
}

impl<'a> Ingest<'a> {
    pub(super) fn new(control: &'a Control, caller: &'a Caller, manner: Manner) -> Self {
        let tally = Tally::new(manner.listing, manner.dry_run);
        let (held, flights, hasher) = (Batch::default(), VecDeque::new(), ahash::RandomState::new());
        Self { control, caller, manner, held, flights, hasher, tally }
    }

    /// Takes one event as written; `line` is its place, from 1.
    ///
    /// # Errors
    /// The store failed; the problem says what was settled before.
    pub(super) async fn offer(&mut self, line: u64, written: &[u8]) -> Result<(), Problem> {
        let event = if written.len() > MAX_LINE { Err(too_long().into()) } else { self.read(written) };
        self.hold(line, written.len(), event).await
    }

    /// Rejects a line that was too long to be kept.
    pub(super) async fn reject_too_long(&mut self, line: u64) -> Result<(), Problem> {
        self.hold(line, 0, Err(too_long().into())).await
    }

    async fn hold(
        &mut self,
        line: u64,
        bytes: usize,
        event: Result<Incoming, Rejection>,
    ) -> Result<(), Problem> {
        self.held.bytes += bytes;
        match event {
            Ok(event) => {
                self.held.verdicts.push((line, None));
                self.held.incoming.push(event);
            }
            Err(Rejection { problems, whom }) => {
                self.held.verdicts.push((line, Some(problems)));
                self.held.refused.extend(whom);
            }
        }
        if self.held.verdicts.len() >= BATCH_EVENTS || self.held.bytes >= BATCH_BYTES {
            return self.hand_over().await;
        }
        if line.is_multiple_of(TURN) {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn read(&self, written: &[u8]) -> Result<Incoming, Rejection> {
        match explain::read(written, explain::EVENT) {
            Ok(written) => self.judge(written),
            Err(Unread { problems, rest: None }) => Err(problems.into()),
            Err(Unread { problems, rest: Some(rest) }) => {
                // What can be read is judged all the same: who corrects it sees everything at once.
                let of_the_rest = self.judge(rest).err();
                let (further, whom) = of_the_rest.map_or_else(Default::default, |r| (r.problems, r.whom));
                Err(Rejection { problems: explain::beside(problems, further), whom })
            }
        }
    }

    fn judge(&self, mut written: EventAsWritten) -> Result<Incoming, Rejection> {
        let tenant = self.tenant(written.tenant.as_deref().or(self.manner.tenant.as_deref()));
        let mut problems: Vec<String> = tenant.as_ref().err().cloned().into_iter().collect();
        let place = tenant.ok();
        if let Some(rules) = place.and_then(|place| self.control.tenants.all().get(place)) {
            problems.extend(opt_in::admit(rules, &mut written).err().unwrap_or_default());
        }
        // What reaches us here was told to us: even "provider" as the actor makes no link an observed one. An export that is taken in again may say so.
        let observed = written.observed == Some(true);
        if observed && !self.caller.holds(Scope::Admin) {
            problems.push(OBSERVED.to_owned());
        }
        let provenance = if observed { Provenance::Observed } else { Provenance::Declared };
        let (hash_key, recipient) = (written.hash_key.take(), written.recipient.clone());
        match (place, Event::check(written, self.control.clock.now())) {
            (Some(tenant), Ok(event)) => {
                let objection = self.control.store.objection(tenant, &event, hash_key.as_deref());
                problems.extend(objection.map(str::to_owned));
                if problems.is_empty() {
                    return Ok(Incoming { tenant, event, provenance, retold: observed });
                }
            }
            (None, Ok(_)) => {}
            (_, Err(of_shape)) => problems = explain::once(problems, of_shape),
        }
        Err(Rejection { problems, whom: Recipient::parse(&recipient).map(|recipient| (place, recipient)) })
    }

    /// The tenant that an event names, or the only one.
    fn tenant(&self, name: Option<&str>) -> Result<usize, String> {
        let tenants = &self.control.tenants;
        let place = match name {
            Some(name) => tenants.position(name),
            None => tenants.only(),
        };
        let permitted = || self.caller.tenant_names(tenants);
        match (place, name) {
            (Some(place), _) if self.caller.may_touch(place) => Ok(place),
            (Some(_), _) => {
                Err(format!("tenant: this token is not permitted for it; permitted: {}", permitted()))
            }
            (None, Some(_)) => Err(format!("tenant: no such tenant; write one of: {}", permitted())),
            (None, None) => Err(format!("tenant: missing; there are several, write one of: {}", permitted())),
        }
    }

    /// Hands what is held to the store, once it has room and nothing before it about the same people.
    async fn hand_over(&mut self) -> Result<(), Problem> {
        let batch = std::mem::take(&mut self.held);
        if self.manner.dry_run {
            self.tally.count(batch.verdicts, Done::Checked);
            return Ok(());
        }
        let people = self.people(&batch.incoming);
        while self.flights.len() >= IN_FLIGHT || self.flights.iter().any(|flight| flight.concerns(&people)) {
            self.land().await?;
        }
        let legacy = batch.incoming.iter().enumerate().filter(|(_, incoming)| incoming.event.legacy);
        let legacy = legacy.map(|(place, incoming)| (place, incoming.tenant)).collect();
        let taken = batch.incoming.iter().map(|incoming| (Some(incoming.tenant), &incoming.event.recipient));
        let refused = batch.refused.iter().map(|(tenant, recipient)| (*tenant, recipient));
        let touched = taken.chain(refused).map(|(tenant, whom)| self.caller.person(tenant, whom)).collect();
        let store = self.control.store.clone();
        let outcomes = (!batch.incoming.is_empty())
            .then(|| tokio::spawn(async move { store.apply(batch.incoming).await }));
        self.flights.push_back(Flight { verdicts: batch.verdicts, outcomes, people, touched, legacy });
        Ok(())
    }

    fn people(&self, incoming: &[Incoming]) -> Vec<u64> {
        let mut people = Vec::with_capacity(incoming.len());
        for Incoming { tenant, event, .. } in incoming {
            let everybody = std::iter::once(&event.recipient).chain(&event.links);
            people.extend(everybody.map(|person| self.hasher.hash_one((tenant, person.key()))));
        }
        people.sort_unstable();
        people
    }

    /// Waits for the batch that was handed over first, and counts it.
    async fn land(&mut self) -> Result<(), Problem> {
        let Some(Flight { verdicts, outcomes, touched, legacy, .. }) = self.flights.pop_front() else {
            return Ok(());
        };
        let outcomes = match outcomes {
            None => Ok(Vec::new()),
            Some(outcomes) => outcomes.await.unwrap_or(Err(StoreError::Closed)),
        };
        match outcomes {
            Ok(outcomes) => {
                for (place, tenant) in legacy {
                    if outcomes.get(place) == Some(&Outcome::Applied) {
                        self.control.metrics.legacy_grant(tenant);
                    }
                }
                let before = self.tally.events();
                self.tally.count(verdicts, Done::Stored(outcomes));
                let upshot = Upshot::of_events(before, self.tally.events());
                if self.manner.single {
                    self.caller.leave_to_the_end(touched, upshot);
                    return Ok(());
                }
                self.caller.record(touched, upshot).await.map_err(|problem| self.tally.so_far(problem))
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "events were not stored");
                // They may be all the same.
                if self.manner.single {
                    self.caller.leave_to_the_end(touched, Upshot::FAILED);
                } else {
                    self.caller.record(touched, Upshot::FAILED).await?;
                }
                Err(self.tally.store_failed())
            }
        }
    }

    async fn settle(&mut self) -> Result<(), Problem> {
        self.hand_over().await?;
        while !self.flights.is_empty() {
            self.land().await?;
        }
        Ok(())
    }

    /// Settles what is left and gives the counts.
    pub(super) async fn finish(mut self) -> Result<Tally, Problem> {
        self.settle().await?;
        Ok(self.tally)
    }

    /// Settles what is left of a stream that broke off, and says so.
    pub(super) async fn break_off(mut self, why: Problem) -> Problem {
        match self.settle().await {
            Ok(()) => self.tally.so_far(why),
            Err(problem) => problem,
        }
    }
}

impl Flight {
    fn concerns(&self, people: &[u64]) -> bool {
        people.iter().any(|person| self.people.binary_search(person).is_ok())
    }
}

fn too_long() -> Vec<String> {
    vec![format!("longer than {MAX_LINE} bytes; an event is at most that long")]
}
