//! What became of an import's lines, and telling it while it goes on.

use std::io::{self, IsTerminal};

use serde_json::{Value, json};

/// How often progress is told where a line cannot be overwritten.
const PLAIN_EVERY: u64 = 100_000;
/// How many rejected lines a JSON summary lists; standard error has all of them.
const MAX_LISTED: usize = 100_000;

/// The counts so far.
pub(super) struct Tally {
    applied: u64,
    ignored: u64,
    rejected: u64,
    through_line: u64,
    /// Rejected lines, kept for a summary in JSON only.
    listed: Option<Vec<Value>>,
    terminal: bool,
    told: u64,
}

impl Tally {
    pub(super) fn new(json: bool) -> Self {
        Self {
            applied: 0,
            ignored: 0,
            rejected: 0,
            through_line: 0,
            listed: json.then(Vec::new),
            terminal: io::stderr().is_terminal(),
            told: 0,
        }
    }

    /// Counts a line that is no event.
    pub(super) fn reject(&mut self, line: u64, reasons: Vec<String>) {
        self.rejected += 1;
        self.end_progress();
        eprintln!("line {line}: rejected: {}", reasons.join("; "));
        if let Some(listed) = self.listed.as_mut().filter(|listed| listed.len() < MAX_LISTED) {
            listed.push(json!({ "line": line, "result": "rejected", "reasons": reasons }));
        }
    }

    /// Counts the gate's answer to a chunk; `lines` are those of its events.
    pub(super) fn take(&mut self, answer: &Value, lines: &[u64]) {
        let count = |member| answer.get(member).and_then(Value::as_u64).unwrap_or(0);
        self.applied += count("applied");
        self.ignored += count("ignored");
        let results = answer.get("results").and_then(Value::as_array).into_iter().flatten();
        for result in results.filter(|result| result.get("result").and_then(Value::as_str) == Some("rejected")) {
            let place = result.get("line").and_then(Value::as_u64).and_then(|line| usize::try_from(line).ok());
            let line = place.and_then(|place| lines.get(place.checked_sub(1)?)).copied().unwrap_or(0);
            let reasons = result.get("reasons").and_then(Value::as_array).into_iter().flatten();
            self.reject(line, reasons.filter_map(Value::as_str).map(str::to_owned).collect());
        }
        self.through_line = lines.last().copied().unwrap_or(self.through_line);
        self.tell_progress();
    }

    fn tell_progress(&mut self) {
        if self.terminal {
            eprint!("\r\x1b[K{}", self.summary());
            self.told = self.total();
        } else if self.total() >= self.told + PLAIN_EVERY {
            eprintln!("{}", self.summary());
            self.told = self.total();
        }
    }

    /// Clears a progress line, so that what is printed next stands alone.
    pub(super) fn end_progress(&mut self) {
        if self.terminal && self.told > 0 {
            eprint!("\r\x1b[K");
        }
    }

    fn total(&self) -> u64 {
        self.applied + self.ignored + self.rejected
    }

    /// How many lines were rejected.
    pub(super) fn rejected(&self) -> u64 {
        self.rejected
    }

    /// The counts, for people.
    pub(super) fn summary(&self) -> String {
        format!("applied {}, ignored {}, rejected {}", self.applied, self.ignored, self.rejected)
    }

    /// What is settled when an import ends early.
    pub(super) fn so_far(&self) -> String {
        format!(
            "until then: {}; lines through {} are settled, and running the import again repeats none of them",
            self.summary(),
            self.through_line
        )
    }

    /// The counts and the rejected lines, for programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "applied": self.applied,
            "ignored": self.ignored,
            "rejected": self.rejected,
            "results": self.listed.as_deref().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_event_is_told_by_its_line_in_the_file() {
        let mut tally = Tally::new(true);
        let results = json!([{ "line": 2, "result": "rejected", "reasons": ["a", "b"] }, { "line": 1, "result": "ignored" }]);
        tally.take(&json!({ "applied": 3, "ignored": 1, "rejected": 1, "results": results }), &[10, 12, 13]);
        tally.reject(14, vec!["c".to_owned()]);
        assert_eq!(tally.summary(), "applied 3, ignored 1, rejected 2");
        assert_eq!(tally.json()["results"][0], json!({ "line": 12, "result": "rejected", "reasons": ["a", "b"] }));
        assert!(tally.so_far().contains("lines through 13 are settled"));
    }
}
