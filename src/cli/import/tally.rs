//! What became of an import's lines, and telling it while it goes on.

use std::io::{self, IsTerminal};

use serde_json::{Value, json};

use super::Chunk;

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
    fn reject(&mut self, line: u64, reasons: &[String]) {
        self.rejected += 1;
        self.end_progress();
        eprintln!("line {line}: rejected: {}", reasons.join("; "));
        if let Some(listed) = self.listed.as_mut().filter(|listed| listed.len() < MAX_LISTED) {
            listed.push(json!({ "line": line, "result": "rejected", "reasons": reasons }));
        }
    }

    /// Counts what became of a chunk: the gate's answer to its events, and the lines that were no events.
    pub(super) fn take(&mut self, answer: &Value, chunk: Chunk) {
        let count = |member| answer.get(member).and_then(Value::as_u64).unwrap_or(0);
        self.applied += count("applied");
        self.ignored += count("ignored");
        let results = answer.get("results").and_then(Value::as_array).into_iter().flatten();
        let refused =
            results.filter(|result| result.get("result").and_then(Value::as_str) == Some("rejected"));
        let mut rejected = chunk.unreadable;
        rejected.extend(refused.map(|result| (line_of(result, &chunk.lines), reasons(result))));
        rejected.sort();
        for (line, reasons) in &rejected {
            self.reject(*line, reasons);
        }
        let ends = [chunk.lines.last().copied(), rejected.last().map(|(line, _)| *line)];
        self.through_line = ends.into_iter().flatten().max().unwrap_or(self.through_line);
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

/// The line in the file of a result, which names its place in the chunk.
fn line_of(result: &Value, lines: &[u64]) -> u64 {
    let place = result.get("line").and_then(Value::as_u64).and_then(|place| usize::try_from(place).ok());
    place.and_then(|place| lines.get(place.checked_sub(1)?)).copied().unwrap_or(0)
}

fn reasons(result: &Value) -> Vec<String> {
    let reasons = result.get("reasons").and_then(Value::as_array).into_iter().flatten();
    reasons.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejected_lines_are_told_in_the_order_of_the_file() {
        let mut tally = Tally::new(true);
        let results = json!([{ "line": 2, "result": "rejected", "reasons": ["a", "b"] }, { "line": 1, "result": "ignored" }]);
        let chunk = Chunk {
            lines: vec![10, 12, 14],
            unreadable: vec![(13, vec!["c".to_owned()]), (11, vec!["d".to_owned()])],
            ..Chunk::default()
        };
        tally.take(&json!({ "applied": 1, "ignored": 1, "rejected": 1, "results": results }), chunk);
        assert_eq!(tally.summary(), "applied 1, ignored 1, rejected 3");
        let lines: Vec<_> =
            tally.json()["results"].as_array().unwrap().iter().map(|r| r["line"].as_u64().unwrap()).collect();
        assert_eq!(lines, [11, 12, 13]);
        assert!(tally.so_far().contains("lines through 14 are settled"));
    }
}
