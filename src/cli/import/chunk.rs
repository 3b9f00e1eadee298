//! Events on their way to the gate in one request, and what they were in the file.

use csv::ByteRecord;
use serde_json::Value;

use super::rejects::{Original, Rejected};
use super::source::{Fault, Item, Place};

/// How many bytes go into one request at most, whatever the number of events.
const MAX_BYTES: usize = 6 << 20;

/// Some items of a file in their order.
#[derive(Default)]
pub(super) struct Chunk {
    /// The events as NDJSON.
    pub(super) body: Vec<u8>,
    sent: Vec<Sent>,
    unreadable: Vec<Unreadable>,
    /// How far the file is read with this chunk.
    pub(super) end: Place,
}

struct Sent {
    line: u64,
    /// Where it begins in the body.
    start: usize,
    faults: Vec<Fault>,
    row: Option<ByteRecord>,
}

struct Unreadable {
    line: u64,
    why: String,
    row: Option<ByteRecord>,
}

impl Sent {
    /// A reason of the gate's; of a field that did not reach it as it is in the file, ours.
    fn in_our_words(&self, reason: &str) -> String {
        let field = reason.split_once(':').map(|(field, _)| field);
        match self.faults.iter().find(|fault| Some(fault.field) == field) {
            Some(Fault { field, why }) => format!("{field}: {why}"),
            None => reason.to_owned(),
        }
    }
}

impl Chunk {
    pub(super) fn push(&mut self, item: Item) {
        let Item { line, end, event, faults, row } = item;
        match event {
            Ok(event) => {
                self.sent.push(Sent { line, start: self.body.len(), faults, row });
                self.body.extend_from_slice(&event);
                self.body.push(b'\n');
            }
            Err(why) => self.unreadable.push(Unreadable { line, why, row }),
        }
        self.end = end;
    }

    /// Whether it is enough for one request of at most so many events.
    pub(super) fn is_full(&self, events: u64) -> bool {
        self.len() as u64 >= events || self.body.len() >= MAX_BYTES
    }

    /// How many items it holds.
    pub(super) fn len(&self) -> usize {
        self.sent.len().saturating_add(self.unreadable.len())
    }

    /// What was rejected, here or by the gate's answer, in the order of the file.
    pub(super) fn rejected(&self, answer: &Value) -> Vec<Rejected<'_>> {
        let results = answer.get("results").and_then(Value::as_array).into_iter().flatten();
        let refused =
            results.filter(|result| result.get("result").and_then(Value::as_str) == Some("rejected"));
        let mut rejected: Vec<_> = refused.filter_map(|result| self.refused(result)).collect();
        rejected.extend(self.unreadable.iter().map(|item| Rejected {
            line: item.line,
            reasons: vec![item.why.clone()],
            original: item.row.as_ref().map_or(Original::Unknown, Original::Row),
        }));
        rejected.sort_by_key(|rejected| rejected.line);
        rejected
    }

    /// A result of the answer, which names the event's place in the body.
    fn refused(&self, result: &Value) -> Option<Rejected<'_>> {
        let place = usize::try_from(result.get("line")?.as_u64()?).ok()?;
        let sent = self.sent.get(place.checked_sub(1)?)?;
        let end = self.sent.get(place).map_or(self.body.len(), |next| next.start);
        let reasons = result.get("reasons").and_then(Value::as_array).into_iter().flatten();
        let reasons = reasons.filter_map(Value::as_str).map(|reason| sent.in_our_words(reason));
        Some(Rejected {
            line: sent.line,
            reasons: reasons.collect(),
            original: match &sent.row {
                Some(row) => Original::Row(row),
                None => Original::Line(self.body.get(sent.start..end)?.trim_ascii()),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rejected_lines_are_told_in_the_order_of_the_file() {
        let mut chunk = Chunk::default();
        for (line, event) in [(10, Ok("{}")), (11, Err("d")), (12, Ok("[2]")), (13, Err("c")), (14, Ok("{}"))]
        {
            let event = event.map(|text| text.as_bytes().to_vec()).map_err(str::to_owned);
            let faults = if line == 12 { vec![Fault { field: "a", why: "not ours" }] } else { Vec::new() };
            chunk.push(Item { line, end: Place { bytes: line, lines: line }, event, faults, row: None });
        }
        let results = json!([{ "line": 2, "result": "rejected", "reasons": ["a: x", "b: y"] }, { "line": 1, "result": "ignored" }]);
        let answer = json!({ "results": results });
        let rejected = chunk.rejected(&answer);
        let told: Vec<_> = rejected.iter().map(|r| (r.line, r.reasons.join("; "))).collect();
        assert_eq!(told, [(11, "d".to_owned()), (12, "a: not ours; b: y".to_owned()), (13, "c".to_owned())]);
        assert!(matches!(rejected[1].original, Original::Line(b"[2]")));
        assert_eq!(chunk.end, Place { bytes: 14, lines: 14 });
    }
}
