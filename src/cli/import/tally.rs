//! What became of an import's lines, and how it is told at the end.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::rejects::Rejected;

/// How many rejected lines a JSON summary lists; the file of rejected events has all of them.
const MAX_LISTED: usize = 10_000;
/// How many rejected lines are told on standard error.
const MAX_TOLD: u64 = 20;

/// The counts so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) applied: u64,
    pub(super) ignored: u64,
    pub(super) rejected: u64,
    /// What nothing was wrong with, in a dry run.
    pub(super) valid: u64,
}

/// The counts, and what was rejected.
pub(super) struct Tally {
    pub(super) counts: Counts,
    dry_run: bool,
    /// Rejected lines, kept for a summary in JSON only.
    listed: Option<Vec<Value>>,
    told: u64,
}

impl Tally {
    pub(super) fn new(counts: Counts, dry_run: bool, json: bool) -> Self {
        Self { counts, dry_run, listed: json.then(Vec::new), told: 0 }
    }

    /// Counts a chunk: the gate's answer, and what was rejected. Returns what to tell of it.
    pub(super) fn take(&mut self, answer: &Value, rejected: &[Rejected<'_>]) -> Vec<String> {
        let count = |member| answer.get(member).and_then(Value::as_u64).unwrap_or(0);
        self.counts.applied += count("applied");
        self.counts.ignored += count("ignored");
        self.counts.valid += count("valid");
        rejected.iter().filter_map(|rejected| self.reject(rejected)).collect()
    }

    fn reject(&mut self, rejected: &Rejected<'_>) -> Option<String> {
        self.counts.rejected += 1;
        self.told += 1;
        let Rejected { line, reasons, .. } = rejected;
        if let Some(listed) = self.listed.as_mut().filter(|listed| listed.len() < MAX_LISTED) {
            listed.push(json!({ "line": line, "result": "rejected", "reasons": reasons }));
        }
        match self.told {
            ..=MAX_TOLD => Some(format!("line {line}: rejected: {}", reasons.join("; "))),
            _ if self.told == MAX_TOLD + 1 => {
                Some("more are rejected; no further line is told here".to_owned())
            }
            _ => None,
        }
    }

    /// The counts, for people.
    pub(super) fn summary(&self) -> String {
        let Counts { applied, ignored, rejected, valid } = self.counts;
        if self.dry_run {
            format!("valid {valid}, rejected {rejected}")
        } else {
            format!("applied {applied}, ignored {ignored}, rejected {rejected}")
        }
    }

    /// What is told at the end.
    pub(super) fn ending(&self, rejects: Option<&Path>) -> String {
        let mut text = self.summary() + "\n";
        if self.dry_run {
            text += "nothing was stored: this was a dry run\n";
        }
        if let Some(path) = rejects {
            let path = path.display().to_string();
            text += "what was rejected stands in ";
            text += &path;
            text += " with the reasons: correct it there and import that file\n";
        }
        text
    }

    /// The counts and the rejected lines, for programs.
    pub(super) fn json(&self, rejects: Option<&Path>) -> Value {
        json!({
            "applied": self.counts.applied,
            "ignored": self.counts.ignored,
            "rejected": self.counts.rejected,
            "valid": self.counts.valid,
            "dry_run": self.dry_run,
            "results": self.listed.as_deref().unwrap_or_default(),
            "rejects": rejects.map(|path| path.display().to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::import::rejects::Original;

    #[test]
    fn a_flood_of_rejected_lines_is_told_in_part_and_counted_whole() {
        let mut tally = Tally::new(Counts { applied: 5, ..Counts::default() }, false, false);
        let rejected: Vec<_> = (1..=100)
            .map(|line| Rejected { line, reasons: vec!["a".to_owned()], original: Original::Unknown })
            .collect();
        let told = tally.take(&json!({ "applied": 2, "ignored": 1 }), &rejected);
        assert_eq!(told.len(), 21);
        assert_eq!(told[0], "line 1: rejected: a");
        assert_eq!(tally.summary(), "applied 7, ignored 1, rejected 100");
        assert!(tally.ending(Some(Path::new("x.csv"))).contains("stands in x.csv with the reasons"));
    }

    #[test]
    fn a_dry_run_says_that_nothing_was_stored() {
        let mut tally = Tally::new(Counts::default(), true, true);
        tally.take(&json!({ "applied": 0, "valid": 3 }), &[]);
        assert_eq!(tally.ending(None), "valid 3, rejected 0\nnothing was stored: this was a dry run\n");
        assert_eq!((&tally.json(None)["valid"], &tally.json(None)["dry_run"]), (&json!(3), &json!(true)));
    }
}
