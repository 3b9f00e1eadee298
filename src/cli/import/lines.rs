//! Events of an NDJSON file. What a line says is the gate's to judge; only its length is looked at here, and what an earlier import wrote into it.

use std::io::{self, BufRead, Read};

use memchr::memmem;

use super::rejects::REASONS;
use super::source::{Item, Place};
use crate::consent::event::Members;

/// The longest line that the gate takes.
const MAX_LINE: usize = 64 * 1024;

/// The lines of a file, read in constant memory.
pub(super) struct Lines<R> {
    reader: R,
    at: Place,
}

impl<R: BufRead> Lines<R> {
    /// The lines from a place on, where `reader` stands.
    pub(super) fn new(reader: R, from: Place) -> Self {
        Self { reader, at: from }
    }

    /// The next line that is not blank.
    pub(super) fn next(&mut self) -> io::Result<Option<Item>> {
        loop {
            let mut line = Vec::new();
            let limit = MAX_LINE as u64 + 1;
            let mut read = self.reader.by_ref().take(limit).read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(None);
            }
            let too_long = line.len() > MAX_LINE && line.last() != Some(&b'\n');
            if too_long {
                read = read.saturating_add(self.reader.skip_until(b'\n')?);
            }
            self.at.bytes += read as u64;
            self.at.lines += 1;
            let event = if too_long {
                Err(format!("longer than {MAX_LINE} bytes; an event is at most that long"))
            } else {
                let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line).trim_ascii();
                if text.is_empty() {
                    continue;
                }
                Ok(without_reasons(text).unwrap_or_else(|| text.to_vec()))
            };
            return Ok(Some(Item {
                line: self.at.lines,
                end: self.at,
                event,
                faults: Vec::new(),
                row: None,
            }));
        }
    }
}

/// The event without the reasons that an earlier import wrote beside it; `None` if there are none.
pub(super) fn without_reasons(text: &[u8]) -> Option<Vec<u8>> {
    memmem::find(text, b"\"reasons\"")?;
    let Members(mut members) = serde_json::from_slice(text).ok()?;
    let before = members.len();
    members.retain(|(name, _)| name != REASONS);
    if members.len() == before {
        return None;
    }
    Some(Members(members).text().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<(u64, Result<String, String>)> {
        let mut lines = Lines::new(text, Place::default());
        let mut found = Vec::new();
        while let Some(item) = lines.next().unwrap() {
            found.push((item.line, item.event.map(|event| String::from_utf8(event).unwrap())));
        }
        assert_eq!(lines.at.bytes, text.len() as u64);
        found
    }

    #[test]
    fn blank_lines_are_counted_and_skipped() {
        let found = read(b"\xef\xbb\xbf{\"a\":1}\r\n\n  \n{\"b\":2}");
        assert_eq!(found, [(1, Ok("{\"a\":1}".into())), (4, Ok("{\"b\":2}".into()))]);
    }

    #[test]
    fn a_line_that_is_too_long_is_rejected_and_the_next_one_read() {
        let text = [vec![b'x'; MAX_LINE * 3], b"\n{\"b\":2}\n".to_vec()].concat();
        let found = read(&text);
        assert!(found[0].1.is_err() && found[1] == (2, Ok("{\"b\":2}".into())), "{found:?}");
    }

    #[test]
    fn reading_goes_on_from_any_place_that_an_item_ended_at() {
        let text = b"{\"a\":1}\r\n\n{\"b\":2}\n{\"c\":3}";
        let mut lines = Lines::new(&text[..], Place::default());
        let first = lines.next().unwrap().unwrap();
        let mut rest = Lines::new(&text[usize::try_from(first.end.bytes).unwrap()..], first.end);
        let second = rest.next().unwrap().unwrap();
        assert_eq!((second.line, second.event.unwrap()), (3, b"{\"b\":2}".to_vec()));
    }

    #[test]
    fn reasons_are_taken_out_and_everything_else_stays_as_it_is() {
        let found =
            read(b"{\"a\":1,\"reasons\":[\"x\"],\"a\":2.50}\n{\"a\":\"\\\"reasons\\\"\"}\n{\"reasons\"");
        let texts: Vec<_> = found.into_iter().map(|(_, text)| text.unwrap()).collect();
        assert_eq!(texts, ["{\"a\":1,\"a\":2.50}", "{\"a\":\"\\\"reasons\\\"\"}", "{\"reasons\""]);
    }
}
