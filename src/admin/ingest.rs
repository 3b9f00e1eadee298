//! Taking events in: reading each, settling them with the store in batches, and keeping count.

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::Control;
use super::caller::{Caller, EventCounts, Upshot};
use super::explain;
use super::lines::MAX_LINE;
use super::problem::{Fault, Problem};
use crate::consent::Event;
use crate::consent::dossier::Provenance;
use crate::consent::event::EventAsWritten;
use crate::store::{Incoming, Outcome};

/// How many events go to the store together: enough to share one flush to disk, few enough to hold.
const BATCH_EVENTS: usize = 1_000;
/// How many bytes of events are held before they go to the store, whatever their number.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// How many single results an answer lists.
const MAX_RESULTS: usize = 10_000;

/// Which results the answer lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    /// Every one.
    All,
    /// Those that were not applied: a stream may have millions.
    NotApplied,
}

/// What became of one event.
#[derive(Serialize, ToSchema)]
struct LineResult {
    /// Its place, from 1.
    line: u64,
    /// `applied`, `ignored` or `rejected`.
    #[schema(example = "rejected")]
    result: &'static str,
    /// Why it was not applied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

/// What became of the events.
#[derive(Serialize, ToSchema)]
pub(super) struct Ingested {
    /// How many changed what is stored.
    applied: u64,
    /// How many said nothing new.
    ignored: u64,
    /// How many were not taken in.
    rejected: u64,
    /// What became of each.
    results: Vec<LineResult>,
    /// There were more results than an answer lists.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    results_truncated: bool,
}

/// The counts so far.
#[derive(Default)]
struct Tally {
    applied: u64,
    ignored: u64,
    rejected: u64,
    settled_through_line: u64,
    results: Vec<LineResult>,
    truncated: bool,
}

/// One run of taking events in, of one caller.
pub(super) struct Ingest<'a> {
    control: &'a Control,
    caller: &'a Caller,
    listing: Listing,
    pending: Vec<(u64, Result<Incoming, Vec<String>>)>,
    pending_bytes: usize,
    tally: Tally,
}

impl<'a> Ingest<'a> {
    pub(super) fn new(control: &'a Control, caller: &'a Caller, listing: Listing) -> Self {
        let tally = Tally::default();
        Self { control, caller, listing, pending: Vec::new(), pending_bytes: 0, tally }
    }

    /// Takes one event as written; `line` is its place, from 1.
    ///
    /// # Errors
    /// The store failed; the problem says what was settled before.
    pub(super) async fn offer(&mut self, line: u64, written: &[u8]) -> Result<(), Problem> {
        let event = if written.len() > MAX_LINE { Err(too_long()) } else { self.read(written) };
        self.hold(line, written.len(), event).await
    }

    /// Rejects a line that was too long to be kept.
    pub(super) async fn reject_too_long(&mut self, line: u64) -> Result<(), Problem> {
        self.hold(line, 0, Err(too_long())).await
    }

    async fn hold(
        &mut self,
        line: u64,
        bytes: usize,
        event: Result<Incoming, Vec<String>>,
    ) -> Result<(), Problem> {
        self.pending.push((line, event));
        self.pending_bytes += bytes;
        if self.pending.len() >= BATCH_EVENTS || self.pending_bytes >= BATCH_BYTES {
            self.settle().await?;
        }
        Ok(())
    }

    fn read(&self, written: &[u8]) -> Result<Incoming, Vec<String>> {
        let written: EventAsWritten = explain::read(written, explain::EVENT)?;
        let tenant = self.tenant(written.tenant.as_deref());
        if written.legacy == Some(true) {
            return Err(vec!["legacy: this gate takes no grants without evidence".to_owned()]);
        }
        // What reaches us here was told to us: even "provider" as the actor makes no link an observed one.
        let provenance = Provenance::Declared;
        match (tenant, Event::check(written, self.control.clock.now())) {
            (Ok(tenant), Ok(event)) => Ok(Incoming { tenant, event, provenance }),
            (Err(problem), Ok(_)) => Err(vec![problem]),
            (Ok(_), Err(problems)) => Err(problems),
            (Err(problem), Err(mut problems)) => {
                problems.insert(0, problem);
                Err(problems)
            }
        }
    }

    /// The tenant that an event names, or the only one.
    fn tenant(&self, name: Option<&str>) -> Result<usize, String> {
        let tenants = &self.control.tenants;
        let place = match name {
            Some(name) => tenants.position(name),
            None => (tenants.all().len() == 1).then_some(0),
        };
        let permitted = self.caller.tenant_names(tenants);
        match (place, name) {
            (Some(place), _) if self.caller.may_touch(place) => Ok(place),
            (Some(_), _) => {
                Err(format!("tenant: this token is not permitted for it; permitted: {permitted}"))
            }
            (None, Some(_)) => Err(format!("tenant: no such tenant; write one of: {permitted}")),
            (None, None) => Err(format!("tenant: missing; there are several, write one of: {permitted}")),
        }
    }

    /// Has everything held stored, and counts it.
    async fn settle(&mut self) -> Result<(), Problem> {
        self.pending_bytes = 0;
        let pending = std::mem::take(&mut self.pending);
        let (mut verdicts, mut incoming) = (Vec::with_capacity(pending.len()), Vec::new());
        for (line, event) in pending {
            match event {
                Ok(event) => {
                    self.caller.touches(Some(event.tenant), &event.event.recipient);
                    incoming.push(event);
                    verdicts.push((line, None));
                }
                Err(problems) => verdicts.push((line, Some(problems))),
            }
        }
        let outcomes = if incoming.is_empty() {
            Vec::new()
        } else {
            match self.control.store.apply(incoming).await {
                Ok(outcomes) => outcomes,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "events were not stored");
                    return Err(self.tally.store_failed());
                }
            }
        };
        let before = self.tally.events();
        self.tally.count(verdicts, outcomes, self.listing);
        self.caller.record(self.tally.since(before)).await.map_err(|problem| self.tally.so_far(problem))
    }

    /// Settles what is left and gives the answer.
    pub(super) async fn finish(mut self) -> Result<Settled, Problem> {
        self.settle().await?;
        Ok(Settled(self.tally))
    }

    /// Settles what is left of a stream that broke off, and says so.
    pub(super) async fn break_off(mut self, why: Problem) -> Problem {
        match self.settle().await {
            Ok(()) => self.tally.so_far(why),
            Err(problem) => problem,
        }
    }
}

fn too_long() -> Vec<String> {
    vec![format!("longer than {MAX_LINE} bytes; an event is at most that long")]
}

impl Tally {
    fn count(&mut self, verdicts: Vec<(u64, Option<Vec<String>>)>, outcomes: Vec<Outcome>, listing: Listing) {
        let mut outcomes = outcomes.into_iter();
        for (line, problems) in verdicts {
            self.settled_through_line = line;
            match problems.map_or_else(|| outcomes.next().map(Ok), |problems| Some(Err(problems))) {
                Some(Ok(Outcome::Applied)) => {
                    self.applied += 1;
                    if listing == Listing::All {
                        self.list(line, "applied", Vec::new());
                    }
                }
                Some(Ok(Outcome::Ignored(why))) => {
                    self.ignored += 1;
                    self.list(line, "ignored", vec![why.to_owned()]);
                }
                Some(Err(problems)) => {
                    self.rejected += 1;
                    self.list(line, "rejected", problems);
                }
                None => debug_assert!(false, "the store gives one outcome for each event"),
            }
        }
    }

    fn list(&mut self, line: u64, result: &'static str, reasons: Vec<String>) {
        if self.results.len() < MAX_RESULTS {
            self.results.push(LineResult { line, result, reasons });
        } else {
            self.truncated = true;
        }
    }

    fn store_failed(&mut self) -> Problem {
        let what = "the consent store failed; events after settled_through_line may or may not be stored: send them again, a repeat changes nothing";
        self.so_far(Problem::new(Fault::StoreUnavailable, what))
    }

    fn events(&self) -> EventCounts {
        EventCounts { applied: self.applied, ignored: self.ignored, rejected: self.rejected }
    }

    /// What the access log says of the events since.
    fn since(&self, before: EventCounts) -> Upshot {
        let events = EventCounts {
            applied: self.applied.saturating_sub(before.applied),
            ignored: self.ignored.saturating_sub(before.ignored),
            rejected: self.rejected.saturating_sub(before.rejected),
        };
        Upshot { outcome: "done", status: None, events: Some(events) }
    }

    /// Adds to a problem what was done before it.
    fn so_far(&self, problem: Problem) -> Problem {
        problem
            .with("applied", self.applied)
            .with("ignored", self.ignored)
            .with("rejected", self.rejected)
            .with("settled_through_line", self.settled_through_line)
    }
}

/// The finished answer.
pub(super) struct Settled(Tally);

impl Settled {
    /// The answer's body.
    pub(super) fn into_answer(self) -> Ingested {
        let Tally { applied, ignored, rejected, results, truncated, .. } = self.0;
        Ingested { applied, ignored, rejected, results, results_truncated: truncated }
    }

    /// The answer for a caller who sent just one event, to whom its rejection is an error.
    pub(super) fn into_single(self) -> Result<Ingested, Problem> {
        let reasons = self.0.results.first().map(|only| only.reasons.clone()).unwrap_or_default();
        if self.0.rejected == 0 {
            return Ok(self.into_answer());
        }
        let problem = Problem::new(Fault::Invalid, "the event was rejected and nothing was stored");
        let problem = problem.listing(reasons);
        let problem = problem.with("applied", 0).with("ignored", 0).with("rejected", 1);
        Err(problem.with("results", json!(self.0.results)))
    }
}
