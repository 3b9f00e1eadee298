//! Keeping count of what became of events, and the answers that tell it.

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::caller::EventCounts;
use super::problem::{Fault, Problem};
use crate::store::Outcome;

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

/// An event's place, and what is wrong with it if anything is.
pub(super) type Verdict = (u64, Option<Vec<String>>);

/// What was done with the events of a batch that nothing is wrong with.
pub(super) enum Done {
    /// They are stored; one outcome for each, in order.
    Stored(Vec<Outcome>),
    /// They were only looked at.
    Checked,
}

/// What became of one event.
#[derive(Serialize, ToSchema)]
struct LineResult {
    /// Its place, from 1.
    line: u64,
    /// `applied`, `ignored` or `rejected`; `valid` in a dry run.
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
    /// Nothing was stored, because the query asked for a dry run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
    /// Of a dry run: with how many nothing is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    valid: Option<u64>,
}

/// The counts so far.
pub(super) struct Tally {
    listing: Listing,
    applied: u64,
    ignored: u64,
    rejected: u64,
    /// What nothing was wrong with, where events are only checked.
    valid: Option<u64>,
    settled_through_line: u64,
    results: Vec<LineResult>,
    truncated: bool,
}

impl Tally {
    pub(super) fn new(listing: Listing, dry_run: bool) -> Self {
        Self {
            listing,
            applied: 0,
            ignored: 0,
            rejected: 0,
            valid: dry_run.then_some(0),
            settled_through_line: 0,
            results: Vec::new(),
            truncated: false,
        }
    }

    /// Counts a batch that is settled.
    pub(super) fn count(&mut self, verdicts: Vec<Verdict>, done: Done) {
        let mut outcomes = match done {
            Done::Stored(outcomes) => outcomes.into_iter().map(Some).collect(),
            Done::Checked => vec![None; verdicts.len()],
        }
        .into_iter();
        for (line, problems) in verdicts {
            self.settled_through_line = line;
            match problems.map_or_else(|| outcomes.next().map(Ok), |problems| Some(Err(problems))) {
                Some(Ok(Some(Outcome::Applied))) => {
                    self.applied += 1;
                    self.list_if_all(line, "applied");
                }
                Some(Ok(Some(Outcome::Ignored(why)))) => {
                    self.ignored += 1;
                    self.list(line, "ignored", vec![why.to_owned()]);
                }
                Some(Ok(None)) => {
                    self.valid = self.valid.map(|valid| valid.saturating_add(1));
                    self.list_if_all(line, "valid");
                }
                Some(Err(problems)) => {
                    self.rejected += 1;
                    self.list(line, "rejected", problems);
                }
                None => debug_assert!(false, "the store gives one outcome for each event"),
            }
        }
    }

    /// The counts so far.
    pub(super) fn events(&self) -> EventCounts {
        EventCounts { applied: self.applied, ignored: self.ignored, rejected: self.rejected }
    }

    fn list_if_all(&mut self, line: u64, result: &'static str) {
        if self.listing == Listing::All {
            self.list(line, result, Vec::new());
        }
    }

    fn list(&mut self, line: u64, result: &'static str, reasons: Vec<String>) {
        if self.results.len() < MAX_RESULTS {
            self.results.push(LineResult { line, result, reasons });
        } else {
            self.truncated = true;
        }
    }

    /// The error for a batch that the store did not take.
    pub(super) fn store_failed(&self) -> Problem {
        let what = "the consent store failed; events after settled_through_line may or may not be stored: send them again, a repeat changes nothing";
        self.so_far(Problem::new(Fault::StoreUnavailable, what))
    }

    /// Adds to a problem what was done before it, and which events were refused until then.
    pub(super) fn so_far(&self, problem: Problem) -> Problem {
        problem
            .with("applied", self.applied)
            .with("ignored", self.ignored)
            .with("rejected", self.rejected)
            .with("settled_through_line", self.settled_through_line)
            .with("results", json!(self.results))
    }

    /// The answer's body.
    pub(super) fn into_answer(self) -> Ingested {
        let Self { applied, ignored, rejected, results, truncated, valid, .. } = self;
        let dry_run = valid.is_some();
        Ingested { applied, ignored, rejected, results, results_truncated: truncated, dry_run, valid }
    }

    /// The answer for a caller who sent a list, to whom it is an error if nothing of it was taken in.
    pub(super) fn into_list(self) -> Result<Ingested, Problem> {
        let taken = self.applied.saturating_add(self.ignored).saturating_add(self.valid.unwrap_or_default());
        if self.rejected == 0 || taken > 0 {
            return Ok(self.into_answer());
        }
        let placed = |result: &LineResult| {
            let line = result.line;
            result.reasons.iter().map(move |reason| format!("line {line}: {reason}")).collect::<Vec<_>>()
        };
        let problems = self.results.iter().flat_map(placed).collect();
        Err(self.rejection("every event was rejected and nothing was stored").listing(problems))
    }

    /// The answer for a caller who sent just one event, to whom its rejection is an error.
    pub(super) fn into_single(self) -> Result<Ingested, Problem> {
        if self.rejected == 0 {
            return Ok(self.into_answer());
        }
        let reasons = self.results.first().map(|only| only.reasons.clone()).unwrap_or_default();
        Err(self.rejection("the event was rejected and nothing was stored").listing(reasons))
    }

    fn rejection(&self, what: &'static str) -> Problem {
        let problem = Problem::new(Fault::Invalid, what);
        let problem = problem.with("applied", 0).with("ignored", 0).with("rejected", self.rejected);
        problem.with("results", json!(self.results))
    }
}
