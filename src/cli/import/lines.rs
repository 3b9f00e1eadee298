//! Events of an NDJSON file. What a line says is the gate's to judge; only its length and its tenant are looked at here.

use std::io::{self, BufRead, Read};

use serde_json::{Map, Value};

use super::Item;

/// The longest line that the gate takes.
const MAX_LINE: usize = 64 * 1024;

/// The lines of a file, read in constant memory.
pub(super) struct Lines<R> {
    reader: R,
    tenant: Option<String>,
    line: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R, tenant: Option<String>) -> Self {
        Self { reader, tenant, line: 0 }
    }

    /// The next line that is not blank.
    pub(super) fn next(&mut self) -> io::Result<Option<Item>> {
        loop {
            let mut line = Vec::new();
            let limit = MAX_LINE as u64 + 1;
            if self.reader.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if line.len() > MAX_LINE && line.last() != Some(&b'\n') {
                self.reader.skip_until(b'\n')?;
                let event = Err(format!("longer than {MAX_LINE} bytes; an event is at most that long"));
                return Ok(Some(Item { line: self.line, event }));
            }
            let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line).trim_ascii();
            if !text.is_empty() {
                return Ok(Some(Item { line: self.line, event: Ok(self.with_tenant(text)) }));
            }
        }
    }

    /// The line with the tenant written into it, if it is an object that names none.
    fn with_tenant(&self, text: &[u8]) -> Vec<u8> {
        let (Some(tenant), Some(rest)) = (&self.tenant, text.strip_prefix(b"{")) else {
            return text.to_vec();
        };
        match serde_json::from_slice::<Map<String, Value>>(text) {
            // Put before what stands there, and nothing rewritten: the gate must see a key that stands twice.
            Ok(event) if !event.is_empty() && !event.contains_key("tenant") => {
                let named = format!("{{\"tenant\":{},", Value::from(tenant.as_str()));
                [named.as_bytes(), rest].concat()
            }
            Ok(_) | Err(_) => text.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], tenant: Option<&str>) -> Vec<(u64, Result<String, String>)> {
        let mut lines = Lines::new(text, tenant.map(str::to_owned));
        let mut found = Vec::new();
        while let Some(item) = lines.next().unwrap() {
            found.push((item.line, item.event.map(|event| String::from_utf8(event).unwrap())));
        }
        found
    }

    #[test]
    fn blank_lines_are_counted_and_skipped() {
        let found = read(b"\xef\xbb\xbf{\"a\":1}\r\n\n  \n{\"b\":2}", None);
        assert_eq!(found, [(1, Ok("{\"a\":1}".into())), (4, Ok("{\"b\":2}".into()))]);
    }

    #[test]
    fn a_line_that_is_too_long_is_rejected_and_the_next_one_read() {
        let text = [vec![b'x'; MAX_LINE * 3], b"\n{\"b\":2}\n".to_vec()].concat();
        let found = read(&text, None);
        assert!(found[0].1.is_err() && found[1] == (2, Ok("{\"b\":2}".into())), "{found:?}");
    }

    #[test]
    fn the_tenant_is_written_into_events_that_name_none() {
        let found = read(b"{\"a\":1,\"a\":2}\n{\"tenant\":\"b\"}\nnot json\n{}", Some("ac\"me"));
        let texts: Vec<_> = found.into_iter().map(|(_, text)| text.unwrap()).collect();
        assert_eq!(
            texts,
            ["{\"tenant\":\"ac\\\"me\",\"a\":1,\"a\":2}", "{\"tenant\":\"b\"}", "not json", "{}"]
        );
    }
}
